"""The NumPy half at work where torch cannot be imported: one small real call for each of its modules.

Run as a script (`test_numpy_half` does): every import of torch or torchvision fails from the first line on. Prints the
name of each module that did its work.
"""

import sys
import tempfile
from importlib import import_module
from importlib.abc import MetaPathFinder
from pathlib import Path

import numpy as np

BARRED = ("torch", "torchvision")


class Barred(MetaPathFinder):
    """What `sys.modules[name] = None` would do, but so that a library that asks "is torch loaded?" hears no."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname.partition(".")[0] in BARRED:
            raise ModuleNotFoundError(f"{fullname} cannot be imported here", name=fullname)


PICTURE = np.arange(36.0).reshape(1, 1, 6, 6)
KERNEL = np.array([[1.0, 2.0], [0.0, -1.0]])


def train_a_network(network) -> None:
    net = network.Network([network.conv(1, 2, 3), network.relu(), network.flatten(), network.affine(32, 3)], seed=0)
    x, labels = PICTURE.repeat(4, axis=0) / 36, np.array([0, 1, 2, 0])
    before = network.accuracy(net, x, labels)
    network.fit(net, x, labels, epochs=2, verbose=False)
    assert network.predict(net, x).shape == (4, 3) and 0 <= before <= 1


def draw_everything(visualize) -> None:
    import matplotlib.pyplot as plt

    visualize.use_style()
    fig, (left, right) = plt.subplots(1, 2)
    visualize.image(left, PICTURE / 36, "a picture")
    visualize.curves(right, {"loss": np.array([2.0, 1.0])})
    visualize.show(fig, "A picture and a curve.")


def plot_a_history(history) -> None:
    rows = [history.Epoch(n, 1 / n, 0.5, 1 / n, 0.5, 0.1, 1.0) for n in (1, 2)]
    assert history.History(rows).best() == 0
    assert len(history.History(rows).plot(what="accuracy").lines) == 2


def read_a_folder(image_folder) -> None:
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        for name in ("cat", "dog"):
            Path(folder, name).mkdir()
            Image.new("RGB", (4, 4)).save(Path(folder, name, "1.png"))
        found = image_folder.list_splits(Path(folder))
        images, _ = image_folder.read_images([path for path, _ in found.splits["all"]], None)
    assert found.classes == ("cat", "dog") and images.shape == (2, 3, 4, 4)


def refuse_what_was_altered(download) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a")
        download.write_data_file(path, b"abc")
        assert download.sha256_of(path).startswith("ba7816bf")
    assert download.megabytes(170_000_000) == "170 MB"


def move_an_object(module) -> None:
    def two_classes(images):
        return np.tile([0.25, 0.75], (len(images), 1))

    module.object_mover(PICTURE[0] / 36, {"fixed": two_classes}, ["a", "b"], max_shift=1)


def draw_a_digit(module) -> None:
    def ask(image):
        return {"maps": np.zeros((2, 8, 8))}, np.array([0.25, 0.75])

    module.draw_digit({"fixed": ask}, np.zeros((1, 28, 28), np.uint8), classes=["tall", "wide"])


def watch_a_training(module) -> None:
    from cnn_course.training.history import Epoch

    with module.training_monitor(epochs=1) as monitor:
        monitor(Epoch(1, 1.0, 0.5, None, None, 0.1, 1.0))


def boxes(module) -> None:
    axis = module.AxisWindows(number=3, n=6, k=2, stride=2, padding=0, places=3)
    assert module.combine(np.maximum, PICTURE, axis).shape == (1, 1, 6, 3)


def columns(module) -> None:
    from cnn_course.array_engine.conv_arguments import checked

    conv = checked(2, PICTURE, KERNEL[None, None])
    module.by_columns(conv)
    assert conv.out[0, 0, 0, 0] == 1 * 0 + 2 * 1 - 1 * 7


def sums(module) -> None:
    out = np.empty((2, 2))
    module.product(KERNEL, KERNEL, out)
    assert (out == KERNEL @ KERNEL).all()


# By module, without the package's name.
CALLS = {
    "activations": lambda m: m.relu_derivative(m.relu(PICTURE)),
    "appearance.colours": lambda m: m.constants(),
    "appearance.live": lambda m: m.text("views.css") and m.enabled(),
    "appearance.saved_pictures": lambda m: m.keep_pictures({"type": "file", "content": ""}),
    "appearance.pictures": lambda m: m.quick_png(m.eight_bit(PICTURE[0, 0] / 36)),
    "arguments.arrays": lambda m: m.with_axes("x", PICTURE, "N, C, H, W"),
    "arguments.floats": lambda m: m.same_float(x=PICTURE, w=[1, 2]),
    "arguments.functions": lambda m: m.called("f", np.sum, PICTURE),
    "arguments.integers": lambda m: m.pair("k", 3, least=1),
    "arguments.labels": lambda m: m.images_and_labels(np.zeros((2, 1, 4, 4), np.uint8), np.array([0, 1])),
    "arguments.memory": lambda m: m.affordable("k", 3, 9),
    "arguments.networks": lambda m: m.classes_of(10, inputs=4),
    "arguments.objects": lambda m: m.one_of("border", "wrap", ["wrap", "zeros"]),
    "arguments.shown": lambda m: m.shown(PICTURE),
    "arithmetic": lambda m: m.conv_macs(3, 8, 3, 32, padding=1),
    "array_engine.box_windows": boxes,
    "array_engine.cache_blocks": sums,
    "array_engine.conv_arguments": lambda m: m.output_size(32, 3, padding="same"),
    "claims": lambda m: m.state("{n} weights.", n=3),
    "paired": lambda m: m.difference([1, 2], [0, 0]),
    "convolution": lambda m: m.conv_backward(m.conv2d(PICTURE, KERNEL[None, None]), PICTURE, KERNEL[None, None]),
    "data_sources.download": refuse_what_was_altered,
    "data_sources.drawing": lambda m: m.balanced_labels(4, 2, m.stream(0, 1)),
    "data_sources.image_folder": read_a_folder,
    "data_sources.published_files": lambda m: m.idx_present(m.MNIST, Path("nowhere")),
    "data_sources.strokes": lambda m: m.like_mnist([[4.0, 4.0, 20.0, 20.0]]),
    "datasets": lambda m: (m.load("digits"), m.describe(Path("nowhere"))),
    "equivariance": lambda m: m.equivariance_error(lambda x: x, PICTURE, 1, 0),
    "errors": lambda m: str(m.DatasetError("no data")),
    "fast_convolution": columns,
    "files.course_files": lambda m: m.find_lecture("2", m.course()),
    "files.notebook_files": lambda m: m.read_notebook(next(Path("lectures").glob("02_*.ipynb"))),
    "files.system_errors": lambda m: m.said(OSError(28, "full", "a")),
    "files.working_copies": lambda m: m.lay_out(Path.cwd(), Path(tempfile.mkdtemp(), "mine")),
    "files.whole_files": lambda m: m.write_whole(Path(tempfile.mkdtemp(), "a"), b"a"),
    "filters": lambda m: m.apply(PICTURE[0, 0], m.sobel_x()),
    "gabor": lambda m: m.wave((5, 5), m.Gabor(1, 2, 2, 1, 1, 0, 0.2, 0)),
    "gradient_check": lambda m: m.numerical_gradient(lambda x: float((x**2).sum()), KERNEL),
    "images": lambda m: m.shift(m.photograph("camera", size=16, gray=True), 1, 1),
    "inspection.layer_table": lambda m: m.table_of([m.Row("input", (1, 6, 6), (m.Axis.pixels(6),) * 2)]),
    "layers": lambda m: m.softmax_cross_entropy(KERNEL, [0, 1]),
    "network": train_a_network,
    "pooling": lambda m: m.max_pool_backward(*m.max_pool_forward(PICTURE, 2)),
    "quiz": lambda m: m.choice("Which?", ["a", "b"], "a", ["Yes.", "No."]),
    "stacks": lambda m: repr(m.table([m.Conv(4, 3), m.Pool(2), m.Flatten(), m.Linear(10)], (1, 28, 28))),
    "synthetic": lambda m: (m.glyphs(4, 0), m.shapes(4, 0)),
    "toeplitz": lambda m: m.circulant_distance(m.circulant([1.0, 2.0, 3.0])),
    "training.history": plot_a_history,
    "visualize": draw_everything,
    "widgets.backward_stepper": lambda m: m.backward_stepper(PICTURE[0, 0, :3, :3], KERNEL, KERNEL),
    "widgets.draw_digit": draw_a_digit,
    "widgets.explore": lambda m: m.explore(lambda ax, k: ax.plot([0, k]), k=(1, 3), alt="A line."),
    "widgets.kernel_designer": lambda m: m.kernel_designer(size=(24, 24)),
    "widgets.kernel_matrix": lambda m: m.kernel_matrix(),
    "widgets.object_mover": move_an_object,
    "widgets.shape_playground": lambda m: m.shape_playground(),
    "widgets.stack_builder": lambda m: m.stack_builder("camera", layers=["conv 3×3"], size=64),
    "widgets.stepping_window": lambda m: m.stepping_window(PICTURE[0, 0, :4, :4], KERNEL),
    "widgets.training_monitor": watch_a_training,
}


if __name__ == "__main__":
    sys.meta_path.insert(0, Barred())
    for name, call in CALLS.items():
        call(import_module(f"cnn_course.{name}"))
        print("did its work:", name)
    assert not set(BARRED) & set(sys.modules)
