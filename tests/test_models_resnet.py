"""ResNets against torchvision's: counts, shapes, logits; the networks for CIFAR, their plain twins, and bad input."""

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from cnn_course import trace
from cnn_course.models import resnet
from cnn_course.models.convert import renamed

PUBLISHED = {  # parameters; multiply-adds as the paper gives them, in 10⁹
    "resnet18": (11_689_512, 1.8),
    "resnet34": (21_797_672, 3.6),
    "resnet50": (25_557_032, 3.8),
    "resnet101": (44_549_160, 7.6),
    "resnet152": (60_192_808, 11.3),
}
CIFAR = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962}


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def stages(model: nn.Module, x: torch.Tensor) -> dict[str, tuple[int, ...]]:
    shapes = {}
    for name, child in model.named_children():
        x = child(x)
        shapes[name] = tuple(x.shape)
    return shapes


def build(name: str, **more) -> nn.Module:
    """Without memory, and so without the seconds that its first weights would take."""
    with torch.device("meta"):
        return getattr(resnet, name)(**more)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_parameters_and_multiply_adds(name):
    count, giga = PUBLISHED[name]
    paper = {"early_stride": True} if name in ("resnet50", "resnet101", "resnet152") else {}
    found = trace.table(build(name, **paper), (3, 224, 224))
    assert found.parameters == count == parameters(build(name))
    assert found.macs / 1e9 == pytest.approx(giga, abs=0.07)  # the paper's 3.6 is 3.66, cut off


@pytest.mark.parametrize(("name", "expansion"), [("resnet34", 1), ("resnet50", 4)])
def test_shape_at_every_stage(name, expansion):
    assert stages(build(name), torch.empty(2, 3, 224, 224, device="meta")) == {
        **dict.fromkeys(("conv1", "bn1", "relu"), (2, 64, 112, 112)),
        "maxpool": (2, 64, 56, 56),
        "layer1": (2, 64 * expansion, 56, 56),
        "layer2": (2, 128 * expansion, 28, 28),
        "layer3": (2, 256 * expansion, 14, 14),
        "layer4": (2, 512 * expansion, 7, 7),
        "avgpool": (2, 512 * expansion, 1, 1),
        "flatten": (2, 512 * expansion),
        "fc": (2, 1000),
    }


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in ("resnet101", "resnet152") else ()) for name in PUBLISHED],
)
def test_logits_equal_torchvision(name, agreement):
    with torch.device("meta"):
        theirs, ours = getattr(torchvision.models, name)().eval(), getattr(resnet, name)().eval()
    generator = torch.Generator().manual_seed(0)
    state = {key: random_like(key, value, generator) for key, value in theirs.state_dict().items()}
    theirs.load_state_dict(state, assign=True)
    ours.load_state_dict(renamed(state, ours), assign=True)
    x = torch.randn(2, 3, 64, 48, generator=generator)
    with torch.inference_mode():
        expected, logits = theirs(x), ours(x)
    assert expected.abs().max() > 0.1
    difference = float((logits - expected).abs().max())
    print(f"{name}: largest difference of a logit from torchvision's {difference:.1e}")
    assert difference < 1e-4
    agreement(f"{name} against torchvision", logits, expected, 1e-5)


def random_like(key: str, value: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Cheap to draw, and no batch norm is left at its neutral start."""
    if value.ndim == 0:
        return torch.zeros(value.shape, dtype=value.dtype)
    spread = torch.rand(value.shape, generator=generator)
    if value.ndim == 1:
        return spread + 0.5 if "var" in key or "weight" in key else spread - 0.5
    return (spread - 0.5) * (24 / value[0].numel()) ** 0.5


def test_state_dict_both_ways():
    theirs, ours = torchvision.models.resnet18(), build("resnet18")
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)  # the names are torchvision's, so no renaming is needed
    ours.load_state_dict(renamed(state, ours), assign=True)
    back = renamed(ours.state_dict(), theirs)
    assert all(torch.equal(back[key], value) for key, value in state.items())


def test_early_stride_only_moves_the_stride():
    x = torch.zeros(2, 3, 32, 32, device="meta")
    late, early = build("resnet50"), build("resnet50", early_stride=True)
    assert stages(late, x) == stages(early, x)
    assert early.layer2[0].conv1.stride == late.layer2[0].conv2.stride == (2, 2)
    assert early.layer2[0].conv2.stride == late.layer2[0].conv1.stride == (1, 1)


def test_first_weights_are_he():
    torch.manual_seed(0)
    net = resnet.resnet_cifar(8, 64)
    for layer in (net.conv1, net.layer2[0].conv1, net.layer3[0].conv2):
        fan_out = layer.out_channels * 9
        assert float(layer.weight.std().detach()) == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)


@pytest.mark.parametrize("depth", CIFAR)
@pytest.mark.parametrize("residual", [True, False])
def test_cifar_parameters_depth_and_macs(depth, residual):
    net = build("resnet_cifar", depth=depth, residual=residual)
    assert parameters(net) == CIFAR[depth]
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in net.modules()) == depth
    n = depth // 6
    # Per stage 2n layers of 9 w² H² each; halving the side and doubling the width leave the product as it is.
    expected = 9 * 3 * 16 * 32**2 + 9 * 16**2 * 32**2 * (2 * n + 2 * (2 * n - 0.5)) + 640
    assert trace.table(net, (3, 32, 32)).macs == expected


def test_cifar_shapes_and_other_sizes():
    net = resnet.resnet_cifar(8, width=4, classes=7)
    shapes = stages(net, torch.zeros(2, 3, 32, 32))
    assert [shapes[f"layer{i}"] for i in (1, 2, 3)] == [(2, 4, 32, 32), (2, 8, 16, 16), (2, 16, 8, 8)]
    for size in ((16, 16), (15, 9), (1, 1)):
        shapes = stages(net.eval(), torch.zeros(2, 3, *size))
        assert shapes["layer3"] == (2, 16, -(-size[0] // 4), -(-size[1] // 4))
        assert shapes["fc"] == (2, 7)


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (1, 1)])
def test_subsample_is_slicing_and_zeros(size):
    x = torch.randn(2, 3, *size)
    assert torch.equal(resnet.Subsample()(x), F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, 3)))
    out = resnet.Subsample()(x.to(memory_format=torch.channels_last))
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_block_by_hand():
    """1 channel, 1 x 1 image, in evaluation mode with fresh batch norms: relu(w2 relu(w1 x) / s² + x), s² = 1 + eps."""
    x, scale = torch.tensor([2.0, -2.0]).reshape(2, 1, 1, 1), 1 / (1 + 1e-5)
    for residual, expected in ((True, [2 - 3 * 0.5 * 2 * scale, 0.0]), (False, [0.0, 0.0])):
        block = resnet.BasicBlock(1, 1, residual=residual).eval()
        for conv, weight in ((block.conv1, 0.5), (block.conv2, -3.0)):
            nn.init.constant_(conv.weight, weight)
        expected = [max(value, 0.0) for value in expected]
        np.testing.assert_allclose(block(x).flatten().detach(), expected, atol=1e-6)
    nn.init.constant_(block.conv2.weight, 3.0)
    np.testing.assert_allclose(block(x).flatten().detach(), [3 * 0.5 * 2 * scale, 0.0], rtol=1e-5)


def test_residual_block_that_adds_nothing_is_the_identity():
    block = resnet.BasicBlock(4, 4)
    nn.init.zeros_(block.bn2.weight)
    x = torch.rand(2, 4, 5, 5)
    assert torch.equal(block(x), x)
    plain = resnet.BasicBlock(4, 4, residual=False)
    plain.load_state_dict(block.state_dict())
    assert not plain(x).any()


@pytest.mark.slow
@pytest.mark.parametrize("residual", [True, False])
def test_overfits_eight_images(residual):
    torch.manual_seed(0)
    net = resnet.resnet_cifar(8, width=8, residual=residual)
    images, labels = torch.rand(8, 3, 16, 16), torch.arange(8)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    for _ in range(40):
        loss = F.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.1
    assert (net(images).argmax(dim=1) == labels).all()


@pytest.mark.parametrize("depth", [2, 7, 18, 21, 0, -4])
def test_impossible_depth(depth):
    with pytest.raises(ValueError, match=rf"6n \+ 2 .* 20, 32, 44, 56, 110; got {depth}"):
        resnet.resnet_cifar(depth)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: resnet.resnet_cifar(20.0), TypeError, "depth must be an integer, not 20.0"),
        (lambda: resnet.resnet_cifar(True), TypeError, "depth must be an integer, not True"),
        (lambda: resnet.resnet_cifar(20, width=0), ValueError, "width must be an integer of at least 1"),
        (lambda: resnet.resnet_cifar(8, classes=0), ValueError, "classes must be an integer of at least 1"),
        (lambda: build("resnet18", classes=0), ValueError, "classes must be an integer of at least 1"),
        (lambda: resnet.resnet_cifar(8)(torch.zeros(1, 1, 8, 8)), RuntimeError, "channels"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
