"""What a TrainConfig asks for: optimizer, schedule, smoothing, auxiliary heads, patience, augmentation."""

import dataclasses

import numpy as np
import pytest
import torch
from striped_images import CPU, stripes, trained
from torch import nn

from cnn_course.models.mlp import mlp
from cnn_course.train import TrainConfig, accuracy, evaluate, fit, predict


def stepped(config: TrainConfig, epochs: int = 3) -> nn.Module:
    """A linear classifier after so many epochs of a single batch each."""
    torch.manual_seed(0)
    model = mlp(36, (), 2)
    fit(model, stripes(10), dataclasses.replace(config, epochs=epochs, batch_size=10, device="cpu"), verbose=False)
    return model


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_sgd_as_written_by_hand(label_smoothing):
    # v = 0.9 v + g + decay w; w = w - lr v, with the learning rate of each step.
    config = TrainConfig(
        optimizer="sgd", lr=0.5, weight_decay=0.1, schedule="step", label_smoothing=label_smoothing, epochs=4
    )
    data = stripes(10)
    torch.manual_seed(0)
    model, velocity = mlp(36, (), 2), {}
    for step in range(4):
        logits = model(torch.tensor(data.images) / 255)
        target = torch.full((10, 2), label_smoothing / 2)
        target[range(10), data.labels] += 1 - label_smoothing
        loss = -(target * logits.log_softmax(dim=1)).sum(dim=1).mean()
        for p, g in zip(model.parameters(), torch.autograd.grad(loss, list(model.parameters())), strict=True):
            velocity[p] = 0.9 * velocity.get(p, 0) + g + 0.1 * p.detach()
            p.data -= (0.5, 0.5, 0.05, 0.005)[step] * velocity[p]
    for p, q in zip(model.parameters(), stepped(config, 4).parameters(), strict=True):
        torch.testing.assert_close(p, q)


def test_auxiliary_heads_count_for_three_tenths():
    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.flat, self.last, self.first = nn.Flatten(), nn.Linear(36, 2), nn.Linear(36, 2)

        def forward(self, x):
            x = self.flat(x)
            return (self.last(x), self.first(x)) if self.training else self.last(x)

    torch.manual_seed(0)
    model, data = Heads(), stripes(10)
    x, y = torch.tensor(data.images) / 255, torch.tensor(data.labels)
    main, aux = (nn.functional.cross_entropy(logits, y).item() for logits in model(x))
    row = fit(model, data, TrainConfig(epochs=1, batch_size=10, device="cpu"), val=data, verbose=False).epochs[0]
    assert row.train_loss == pytest.approx(main + 0.3 * aux, rel=1e-5)
    assert row.val_loss == pytest.approx(evaluate(model, data)[0])


def test_evaluate_is_the_mean_loss_and_the_accuracy():
    model, history = trained(val=stripes(40, seed=1))
    data = stripes(40, seed=1)
    p = predict(model, data.images)[range(40), data.labels]
    loss, right = evaluate(model, data)
    assert loss == pytest.approx(-np.log(p).mean(), rel=1e-4) == history.epochs[-1].val_loss
    assert right == accuracy(model, data) == (p > 0.5).mean()


def test_patience_stops_and_goes_back_to_the_best_epoch(capsys):
    torch.manual_seed(0)
    model, val = mlp(36, (), 2), stripes(40, seed=1)
    config = TrainConfig(epochs=30, batch_size=50, lr=0.02, device="cpu", patience=3)
    seen = []

    def turn(row):
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        if row.epoch == 4:  # from here on it learns the opposite
            with torch.no_grad():
                model[1].weight *= -1

    history = fit(model, stripes(100), config, val=val, on_epoch=turn)
    scores = history.column("val_accuracy")
    best = int(scores.argmax())
    assert history.restored == best + 1 == history.best() + 1
    assert len(scores) == best + 4 < 30
    assert all(torch.equal(value, seen[best][name]) for name, value in model.state_dict().items())
    assert accuracy(model, val) == scores[best]
    out = capsys.readouterr().out
    assert "stopped: no better val accuracy in 3 epochs" in out
    assert f"the model has the weights of epoch {best + 1}" in out


def test_patience_needs_validation_data():
    with pytest.raises(ValueError, match="patience=2 looks at the val accuracy: give validation data"):
        trained(dataclasses.replace(CPU, patience=2))


def test_augmentation_sees_every_batch_and_repeats_with_the_seed():
    batches = []

    def negative(images, generator):
        batches.append((images.shape, images.dtype, torch.rand(1, generator=generator).item()))
        return 255 - images

    config = dataclasses.replace(CPU, augment=negative, epochs=2)
    a, _ = trained(config)
    first, batches[:] = list(batches), []
    b, _ = trained(config)
    assert batches == first and [shape[0] for shape, _, _ in first] == 2 * [16, 16, 16, 16, 16, 16, 4]
    assert {dtype for _, dtype, _ in first} == {torch.uint8} and len({draw for _, _, draw in first}) == 14
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert not torch.equal(a[1].weight, trained(dataclasses.replace(config, augment=None))[0][1].weight)
