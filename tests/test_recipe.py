"""The learning rate of every step, with torch's schedulers as judges, and the two optimizers."""

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from cnn_course.training.recipe import TrainConfig, lr_at, make_optimizer


def rates(steps: int, **settings) -> np.ndarray:
    config = TrainConfig(**settings)
    return np.array([lr_at(step, steps, config) for step in range(steps)])


def torchs(steps: int, scheduler, **settings) -> np.ndarray:
    """What torch's scheduler sets for each step of a run with lr 0.1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule = scheduler(optimizer, **settings)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return np.array(found)


@pytest.mark.parametrize("steps", [7, 100, 351])
def test_schedules_are_torchs(steps):
    cosine = torchs(steps, lr_scheduler.CosineAnnealingLR, T_max=steps)
    np.testing.assert_allclose(rates(steps, lr=0.1, schedule="cosine"), cosine, rtol=1e-9)
    drops = [-(-steps // 2), -(-3 * steps // 4)]
    step = torchs(steps, lr_scheduler.MultiStepLR, milestones=drops, gamma=0.1)
    np.testing.assert_allclose(rates(steps, lr=0.1, schedule="step"), step, rtol=1e-12)
    cycle = torchs(steps - 1, lr_scheduler.OneCycleLR, max_lr=0.1, total_steps=steps, cycle_momentum=False)
    np.testing.assert_allclose(rates(steps, lr=0.1, schedule="one-cycle")[:-1], cycle, rtol=1e-9)
    np.testing.assert_array_equal(rates(steps, lr=0.1), 0.1)


def test_warm_up_by_hand():
    # 3 epochs of 4 steps, 1 of warm-up: a quarter, a half, three quarters, all; then half a cosine over 8 steps.
    up = [0.25, 0.5, 0.75, 1]
    down = (1 + np.cos(np.pi * np.arange(8) / 8)) / 2
    np.testing.assert_allclose(rates(12, lr=1.0, epochs=3, warmup=1, schedule="cosine"), [*up, *down])
    np.testing.assert_allclose(rates(12, lr=1.0, epochs=3, warmup=1), [*up, *np.ones(8)])
    # Two and a half steps: the third would overshoot, and is held at config.lr.
    assert rates(10, lr=1.0, epochs=10, warmup=2.5).max() == 1.0
    np.testing.assert_allclose(rates(10, lr=1.0, epochs=10, warmup=2.5)[:3], [0.4, 0.8, 1])


def test_the_step_schedule_takes_its_own_milestones_and_factor():
    config = {"lr": 1.0, "schedule": "step", "milestones": (0.2, 0.6, 0.9), "factor": 0.5}
    np.testing.assert_allclose(rates(10, **config), [1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125])


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step", "one-cycle"])
@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_runs_of_few_steps(schedule, steps):
    found = rates(steps, lr=0.1, schedule=schedule, epochs=1)
    assert np.isfinite(found).all() and (0 < found).all() and (found <= 0.1 + 1e-12).all()


@pytest.mark.parametrize(
    ("step", "steps", "error", "says"),
    [
        (10, 10, ValueError, "step must be below steps, which is 10, not 10"),
        (-1, 10, ValueError, "step must be an integer of at least 0, not -1"),
        (0, 0, ValueError, "steps must be an integer of at least 1"),
        (0.0, 10, TypeError, "step must be an integer"),
        (0, "10", TypeError, "steps must be an integer"),
    ],
)
def test_steps_that_a_run_does_not_have(step, steps, error, says):
    with pytest.raises(error, match=says):
        lr_at(step, steps, TrainConfig())
    with pytest.raises(TypeError, match="config must be a TrainConfig"):
        lr_at(0, 10, {})
    assert lr_at(np.int64(3), np.int32(10), TrainConfig(lr=np.float32(0.5))) == 0.5


@pytest.mark.parametrize(
    ("model", "error", "says"),
    [
        (None, TypeError, "model must be a network"),
        (torch.nn.Linear, TypeError, "model must be a network"),
        ([torch.ones(2, requires_grad=True)], TypeError, "model must be a network"),
        (torch.nn.Flatten(), ValueError, "model has no parameters to change"),
    ],
)
def test_what_no_optimizer_can_change(model, error, says):
    with pytest.raises(error, match=says):
        make_optimizer(model, TrainConfig())


def test_optimizers():
    net = torch.nn.Linear(2, 2)
    sgd = make_optimizer(net, TrainConfig(optimizer="sgd", lr=0.1, momentum=0.5, weight_decay=0.01))
    assert type(sgd) is torch.optim.SGD
    assert sgd.defaults | {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.01, "nesterov": False} == sgd.defaults
    adam = make_optimizer(net, TrainConfig(weight_decay=0.01))
    assert type(adam) is torch.optim.AdamW and adam.defaults["weight_decay"] == 0.01
    assert sum(len(group["params"]) for group in adam.param_groups) == 2
