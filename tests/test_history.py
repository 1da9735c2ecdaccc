"""The History: its columns, its best epoch, and the figure that it draws of itself."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cnn_course.training.history import Epoch, History

ROWS = [Epoch(1, 2.0, 0.4, 1.5, 0.5, 0.1, 3.0), Epoch(2, 1.0, 0.6, 0.9, 0.7, 0.05, 3.0)]
HISTORY = History([*ROWS, Epoch(3, 0.5, 0.9, 1.1, 0.7, 0.01, 3.0)])
ALONE = History([Epoch(1, 2.0, 0.4, None, None, 0.1, 3.0)])


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_columns_and_lines():
    np.testing.assert_array_equal(HISTORY.column("val_loss"), [1.5, 0.9, 1.1])
    assert np.isnan(ALONE.column("val_loss")).all() and History().column("lr").shape == (0,)
    assert str(ROWS[0]) == "epoch 1: train loss 2.000, train accuracy 0.400, val loss 1.500, val accuracy 0.500 (3.0 s)"
    assert str(ALONE.epochs[0]) == "epoch 1: train loss 2.000, train accuracy 0.400 (3.0 s)"


def test_best_is_the_first_of_the_best():
    assert HISTORY.best() == 1
    assert ALONE.best() is None and History().best() is None


@pytest.mark.parametrize(
    ("what", "train", "val"),
    [
        ("loss", [2, 1, 0.5], [1.5, 0.9, 1.1]),
        ("accuracy", [0.4, 0.6, 0.9], [0.5, 0.7, 0.7]),
        ("error", [60, 40, 10], [50, 30, 30]),
    ],
)
def test_plot(what, train, val):
    ax = HISTORY.plot(what=what, title="It learns")
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(lines["train"].get_ydata(), train)
    np.testing.assert_allclose(lines["val"].get_ydata(), val)
    np.testing.assert_array_equal(lines["val"].get_xdata(), [1, 2, 3])
    assert lines["train"].get_color() == lines["val"].get_color()
    assert ax.get_xlabel() == "epoch" and ax.get_ylabel() and ax.get_legend()
    assert ax.get_title(loc=plt.rcParams["axes.titlelocation"]) == "It learns"  # where the style in force puts it
    ax.figure.canvas.draw()
    assert all(tick == int(tick) for tick in ax.get_xticks())


def test_plot_of_several_runs_in_one_axes():
    _, ax = plt.subplots()
    assert HISTORY.plot(ax, "error", label="deep") is ax
    HISTORY.plot(ax, "error", label="flat")
    assert [line.get_label() for line in ax.lines] == ["deep train", "deep val", "flat train", "flat val"]
    colors = [line.get_color() for line in ax.lines]
    assert colors[0] == colors[1] != colors[2] == colors[3]


def test_plot_of_one_epoch_and_of_the_learning_rate():
    ax = ALONE.plot()
    assert [line.get_marker() for line in ax.lines] == ["o"]
    ax = HISTORY.plot(what="lr")
    assert len(ax.lines) == 1 and ax.get_legend() is None
    assert len(HISTORY.plot(what="lr", label="cosine").get_legend().get_texts()) == 1


def test_a_column_that_is_not_there():
    with pytest.raises(ValueError, match="name must be one of 'epoch', 'train_loss', .*'seconds', not 'loss'"):
        HISTORY.column("loss")
    with pytest.raises(TypeError, match="name must be a string"):
        HISTORY.column(1)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"ax": "left"}, "ax must be axes"), ({"label": 3}, "label must be"), ({"title": 3}, "title must be")],
)
def test_what_plot_does_not_take(wrong, says):
    with pytest.raises(TypeError, match=says):
        HISTORY.plot(**wrong)


def test_nothing_to_plot():
    with pytest.raises(ValueError, match="no epoch was finished"):
        History().plot()
    with pytest.raises(ValueError, match="what must be one of 'loss', 'accuracy', 'error', 'lr', not 'top5'"):
        HISTORY.plot(what="top5")
