"""AlexNet and ZFNet: counts, shapes, logits (torchvision's, or the paper's two towers written out), bad input."""

import numpy as np
import pytest
import torch
import torchvision
from torch.nn import functional as F

from cnn_course import trace, train
from cnn_course.models.alexnet import alexnet, alexnet_cifar, alexnet_paper, response_norm
from cnn_course.models.convert import renamed
from cnn_course.models.zfnet import zfnet


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def table(build, size: int):
    with torch.device("meta"):
        return trace.table(build(), (3, size, size))


PAPER = {"conv1": 55, "pool1": 27, "conv2": 27, "pool2": 13, "conv3": 13, "conv4": 13, "conv5": 13, "pool5": 6}
CASES = {
    "paper": (alexnet_paper, 227, 60_965_224, 724_406_816, PAPER, (96, 96, 256, 256, 384, 384, 256, 256)),
    "paper, 224": (lambda: alexnet_paper(padding=2), 224, 60_965_224, 724_406_816, PAPER, (96, 96, 256, 256, 384)),
    "torchvision": (alexnet, 224, 61_100_840, 714_188_480, PAPER, (64, 64, 192, 192, 384, 256, 256, 256)),
    "zfnet": (zfnet, 224, 62_357_608, 1_168_032_896, PAPER | {"conv1": 110, "pool1": 55, "conv2": 26}, (96, 96, 256)),
    "cifar": (
        alexnet_cifar, 32, 257_538, 9_966_656,
        {"conv1": 32, "pool1": 15, "conv2": 15, "pool2": 7, "conv3": 7, "conv4": 7, "conv5": 7, "pool5": 3},
        (24, 24, 48, 48, 64, 64, 48, 48),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_parameters_macs_and_the_shape_at_every_stage(name):
    build, size, count, macs, sides, channels = CASES[name]
    found = table(build, size)
    assert (found.parameters, found.macs) == (count, macs)
    for stage, side in sides.items():
        assert found[stage].shape[1:] == (side, side), stage
    for stage, width in zip(sides, channels, strict=False):
        assert found[stage].shape[0] == width, stage
    widths = (256, 256, 10) if name == "cifar" else (4096, 4096, 1000)
    assert [found[stage].shape for stage in ("fc6", "fc7", "fc8")] == [(width,) for width in widths]


def test_parameters_of_each_layer_of_the_paper_by_hand():
    found = table(alexnet_paper, 227)
    by_hand = {
        "conv1": 96 * (11 * 11 * 3 + 1), "conv2": 256 * (5 * 5 * 48 + 1), "conv3": 384 * (3 * 3 * 256 + 1),
        "conv4": 384 * (3 * 3 * 192 + 1), "conv5": 256 * (3 * 3 * 192 + 1),
        "fc6": 4096 * (256 * 6 * 6 + 1), "fc7": 4096 * (4096 + 1), "fc8": 1000 * (4096 + 1),
    }  # fmt: skip
    assert {stage: found[stage].parameters for stage in by_hand} == by_hand


def test_the_equal_budget():
    # A pass of ResNet-20 with width 8 costs 10.2 million multiply-adds; the family stays within 5 percent of it.
    assert abs(table(alexnet_cifar, 32).macs / 10.2e6 - 1) < 0.05


@pytest.mark.parametrize("build", [alexnet_paper, alexnet, zfnet, alexnet_cifar])
def test_other_numbers_of_classes(build):
    assert table(lambda: build(classes=7), 32 if build is alexnet_cifar else 227).rows[-1].shape == (7,)


def test_224_pixels_without_padding_do_not_fit_the_paper():
    with pytest.raises(ValueError, match="fc6"):  # 54, 26, 12 and 5 x 5 at the end, where 6 x 6 are wanted
        table(alexnet_paper, 224)


def test_which_numbers_are_dropped():
    """The papers drop outputs of fc6 and fc7; torchvision the inputs of fc6 and of fc7, and our one for CIFAR too."""
    order = {}
    for build in (alexnet_paper, zfnet, alexnet, alexnet_cifar):
        with torch.device("meta"):
            order[build] = [name for name, _ in build().named_children() if name.startswith(("fc", "drop"))]
    published, copied = ["fc6", "drop6", "fc7", "drop7", "fc8"], ["drop6", "fc6", "drop7", "fc7", "fc8"]
    assert order == {alexnet_paper: published, zfnet: published, alexnet: copied, alexnet_cifar: copied}


@pytest.mark.slow
def test_logits_and_state_dict_are_torchvisions(agreement):
    torch.manual_seed(0)
    theirs = torchvision.models.alexnet().eval()
    with torch.device("meta"):
        ours = alexnet().eval()
    ours.load_state_dict(renamed(theirs.state_dict(), ours), assign=True)
    with torch.inference_mode():
        for shape in ((1, 3, 224, 224), (2, 3, 70, 95)):
            x = torch.randn(shape)
            reference = theirs(x)
            assert (ours(x) - reference).abs().max() < 1e-4
            agreement("AlexNet logits against torchvision", ours(x), reference, 1e-4)
    back = renamed(ours.state_dict(), theirs)
    assert all(torch.equal(back[name], tensor) for name, tensor in theirs.state_dict().items())


def lrn_by_hand(x: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    for channel in range(x.shape[1]):
        window = x[:, max(0, channel - 2) : channel + 3]
        out[:, channel] = x[:, channel] / (2 + 1e-4 * (window**2).sum(dim=1)) ** 0.75
    return out


def test_response_norm_is_the_papers_formula():
    x = torch.randn(2, 9, 3, 4, dtype=torch.float64) * 100
    torch.testing.assert_close(response_norm()(x), lrn_by_hand(x))


@pytest.mark.slow
def test_the_paper_in_two_towers(agreement):
    """Every grouped layer as two layers, one per graphics card; conv3 and the fully connected layers see both."""
    torch.manual_seed(0)
    net = alexnet_paper().eval()
    w, b = ({n: getattr(net, n)._parameters[p] for n, _ in net.named_children() if hasattr(getattr(net, n), p)}
            for p in ("weight", "bias"))  # fmt: skip
    x = torch.randn(1, 3, 227, 227)

    def halves(h, name, padding):
        parts = zip(h.chunk(2, 1), w[name].chunk(2), b[name].chunk(2), strict=True)
        return torch.cat([F.conv2d(part, weight, bias, padding=padding).relu() for part, weight, bias in parts], 1)

    with torch.inference_mode():
        h = F.max_pool2d(lrn_by_hand(F.conv2d(x, w["conv1"], b["conv1"], stride=4).relu()), 3, 2)
        h = F.max_pool2d(lrn_by_hand(halves(h, "conv2", 2)), 3, 2)
        h = F.conv2d(h, w["conv3"], b["conv3"], padding=1).relu()
        h = F.max_pool2d(halves(halves(h, "conv4", 1), "conv5", 1), 3, 2).flatten(1)
        h = (h @ w["fc6"].T + b["fc6"]).relu()
        reference = (h @ w["fc7"].T + b["fc7"]).relu() @ w["fc8"].T + b["fc8"]
        agreement("AlexNet of the paper against two towers", net(x), reference, 1e-4)

    ones = {name for name, bias in b.items() if (bias == 1).all()}
    assert ones == {"conv2", "conv4", "conv5", "fc6", "fc7"}
    assert all((b[name] == 0).all() for name in b.keys() - ones)
    for weight in w.values():
        assert weight.std().item() == pytest.approx(0.01, rel=0.05) and abs(weight.mean().item()) < 1e-3


@pytest.mark.slow
def test_overfits_eight_images():
    images = np.random.default_rng(0).integers(0, 256, (8, 3, 32, 32), dtype=np.uint8)
    data = type("Eight", (), {"images": images, "labels": np.arange(8)})()
    torch.manual_seed(0)
    model = alexnet_cifar()
    config = train.TrainConfig(epochs=60, batch_size=8, lr=0.002, device="cpu")
    history = train.fit(model, data, config, verbose=False)
    assert train.accuracy(model, data) == 1.0
    assert history.epochs[-1].train_loss < 0.2 < 1.5 < history.epochs[0].train_loss


@pytest.mark.parametrize("build", [alexnet_paper, alexnet, zfnet, alexnet_cifar])
@pytest.mark.parametrize(("classes", "error"), [(0, ValueError), (-3, ValueError), (2.5, TypeError), (True, TypeError)])
def test_bad_number_of_classes(build, classes, error):
    with pytest.raises(error, match="classes must be an integer of at least 1"):
        build(classes)


def test_bad_padding():
    with pytest.raises(ValueError, match="padding must be an integer of at least 0 and of at most 10, not -1"):
        alexnet_paper(padding=-1)
