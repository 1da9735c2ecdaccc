"""NiN and GoogLeNet: exact counts, shapes at every stage, torchvision's logits, eight images by heart, bad input."""

import warnings

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from cnn_course import trace, train
from cnn_course.models import convert
from cnn_course.models.googlenet import (
    WIDTHS,
    Inception,
    Outputs,
    googlenet,
    googlenet_cifar,
    googlenet_paper,
)
from cnn_course.models.nin import nin, nin_imagenet


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def on_meta(build, *arguments, **settings) -> nn.Module:
    with torch.device("meta"):
        return build(*arguments, **settings)


def stages(model: nn.Module, shape: tuple[int, ...]) -> dict[str, tuple[tuple[int, ...], int, int]]:
    """{child: (output shape, parameters, MACs)}, without computing anything."""
    found: dict[str, tuple] = {}
    for row in trace.table(model.eval(), shape).rows[1:]:
        name = row.name.partition(".")[0]
        _, weights, macs = found.get(name, ((), 0, 0))
        found[name] = (row.shape, weights + row.parameters, macs + row.macs)
    # The last row of a block is one of its branches, or the concatenation of them all.
    return found


@pytest.fixture(scope="module")
def theirs():
    """torchvision's GoogLeNet with both heads and random weights; skipping its own initialisation saves a minute."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torchvision.models.googlenet(weights=None, aux_logits=True, init_weights=False)


@pytest.mark.parametrize(
    ("build", "aux", "count"),
    [
        (googlenet, False, 6_624_904),
        (googlenet, True, 13_004_888),
        (googlenet_paper, False, 6_998_552),
        (googlenet_paper, True, 13_378_280),
    ],
)
def test_googlenet_parameters(build, aux, count):
    assert parameters(on_meta(build, aux=aux)) == count


def test_inception_parameters_by_hand():
    # 1x1: 3 -> 2. 1x1: 3 -> 4, 3x3: 4 -> 5. 1x1: 3 -> 1, 5x5: 1 -> 6. 1x1: 3 -> 7. Each output has a bias.
    weights = 3 * 2 + (3 * 4 + 9 * 4 * 5) + (3 * 1 + 25 * 1 * 6) + 3 * 7
    biases = 2 + 4 + 5 + 1 + 6 + 7
    block = Inception(3, 2, 4, 5, 1, 6, 7, norm=False)
    assert parameters(block) == weights + biases
    assert parameters(Inception(3, 2, 4, 5, 1, 6, 7)) == weights + 2 * biases  # a scale and a shift each
    assert block(torch.zeros(2, 3, 7, 9)).shape == (2, 2 + 5 + 6 + 7, 7, 9) and block.out_channels == 20


def test_inception_branches_by_hand():
    # Every weight is 1 and every bias 0: the branches add up the pixels that they see, and the last takes the largest.
    block = Inception(1, 1, 1, 1, 1, 1, 1, norm=False)
    for name, values in block.named_parameters():
        nn.init.constant_(values, float(name.endswith("weight")))
    x = torch.zeros(1, 1, 7, 7)
    x[0, 0, 3, 3] = 2
    maps = block(x)[0].detach()
    for out, reach in zip(maps, (0, 1, 2, 1), strict=True):
        expected = torch.zeros(7, 7)
        expected[3 - reach : 4 + reach, 3 - reach : 4 + reach] = 2
        torch.testing.assert_close(out, expected)


STAGES = {
    "conv1": (64, 112, 112),
    "pool1": (64, 56, 56),
    "conv3": (192, 56, 56),
    "pool2": (192, 28, 28),
    "inception3a": (256, 28, 28),
    "inception3b": (480, 28, 28),
    "pool3": (480, 14, 14),
    "inception4a": (512, 14, 14),
    "inception4d": (528, 14, 14),
    "inception4e": (832, 14, 14),
    "pool4": (832, 7, 7),
    "inception5a": (832, 7, 7),
    "inception5b": (1024, 7, 7),
    "avgpool": (1024, 1, 1),
    "logits": (1000,),
}


@pytest.mark.parametrize("build", [googlenet, googlenet_paper])
def test_googlenet_stages(build):
    found = stages(on_meta(build), (3, 224, 224))
    assert {name: found[name][0] for name in STAGES} == STAGES


def test_googlenet_costs_as_its_table_says():
    found = stages(on_meta(googlenet), (3, 224, 224))
    assert sum(macs for _, _, macs in found.values()) == 1_498_376_192  # torchvision's page says 1.50 G
    by_group = [
        [sum(found[f"inception{name}"][i] for name in WIDTHS if name[0] == group) for group in "345"] for i in (1, 2)
    ]
    assert by_group == [[496_096, 2_653_088, 2_325_984], [387_358_720, 518_568_960, 113_748_992]]
    assert [found[name][1:] for name in ("conv1", "conv2", "conv3", "logits")] == [
        (9_536, 118_013_952),
        (4_224, 12_845_056),
        (110_976, 346_816_512),
        (1_025_000, 1_024_000),
    ]


def test_logits_are_torchvisions(theirs, agreement):
    ours = on_meta(googlenet, aux=True)
    ours.load_state_dict(convert.renamed(theirs.state_dict(), ours), assign=True)
    x = torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        reference = theirs.eval()(x)
        agreement("googlenet against torchvision", ours.eval()(x), reference, 1e-5)
        assert (ours(x) - reference).abs().max() < 1e-4
        # In training mode the heads answer as well; dropout and the statistics have to be switched off for that.
        for model in (ours, theirs):
            model.training = True
        mine, other = ours(x), theirs(x)
        for model in (ours, theirs):
            model.eval()
    assert isinstance(mine, Outputs)
    agreement("googlenet against torchvision", mine.logits, other.logits, 1e-5)
    agreement("googlenet against torchvision, heads", mine.aux1, other.aux_logits1, 1e-5)
    agreement("googlenet against torchvision, heads", mine.aux2, other.aux_logits2, 1e-5)


def test_state_dict_goes_both_ways(theirs):
    ours = on_meta(googlenet, aux=True)
    there = convert.renamed(theirs.state_dict(), ours)
    back = convert.renamed(there, theirs)
    assert all(torch.equal(back[name], tensor) for name, tensor in theirs.state_dict().items())
    with pytest.raises(ValueError, match="not the same network"):
        convert.renamed(theirs.state_dict(), on_meta(googlenet))


def test_heads_answer_in_training_only():
    model = on_meta(googlenet_paper, 7, aux=True)
    x = torch.empty(2, 3, 224, 224, device="meta")
    assert [tuple(out.shape) for out in model.train()(x)] == [(2, 7)] * 3
    assert model.eval()(x).shape == (2, 7)
    assert on_meta(googlenet_paper, 7).train()(x).shape == (2, 7)


def test_paper_form_has_no_batch_norm_and_five_by_five():
    kinds = {type(layer) for layer in on_meta(googlenet_paper, aux=True).modules()}
    assert nn.BatchNorm2d not in kinds and nn.LocalResponseNorm in kinds
    kernels = {build: on_meta(build).inception4b.five[1].conv.kernel_size for build in (googlenet, googlenet_paper)}
    assert kernels == {googlenet: (3, 3), googlenet_paper: (5, 5)}


def test_cifar_form_keeps_the_budget():
    found = stages(on_meta(googlenet_cifar), (3, 32, 32))
    assert sum(macs for _, _, macs in found.values()) == 10_123_620  # 10.2 million, give or take 5 %
    assert sum(weights for _, weights, _ in found.values()) == 155_701
    shapes = {name: found[name][0] for name in ("pool1", "inception3b", "inception4e", "inception5b", "logits")}
    assert shapes == {
        "pool1": (10, 16, 16),
        "inception3b": (76, 16, 16),
        "inception4e": (132, 8, 8),
        "inception5b": (162, 4, 4),
        "logits": (10,),
    }


def test_nin_parameters_and_stages():
    found = stages(on_meta(nin), (3, 32, 32))
    assert [found[name] for name in ("block1", "block2", "block3")] == [
        ((96, 32, 32), 60_928, 61_931_520),
        ((192, 16, 16), 535_104, 136_839_168),
        ((10, 8, 8), 370_954, 23_715_840),
    ]
    assert parameters(on_meta(nin)) == 966_986
    assert parameters(on_meta(nin_imagenet)) == 7_595_176
    shapes = {name: shape for name, (shape, _, _) in stages(on_meta(nin_imagenet), (3, 224, 224)).items()}
    assert [shapes[f"block{i}"] for i in (1, 2, 3, 4)] == [(96, 54, 54), (256, 27, 27), (384, 13, 13), (1000, 6, 6)]
    assert shapes["flatten"] == (1000,)


def test_nin_logit_is_the_mean_of_its_map():
    torch.manual_seed(0)
    model = nin(4).eval()
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        maps = model[:-2](x)
        torch.testing.assert_close(model(x), maps.mean(dim=(2, 3)))


@pytest.mark.slow
@pytest.mark.parametrize(("build", "size", "lr"), [(googlenet_cifar, 16, 0.01), (nin, 8, 0.001)])
def test_overfits_eight_images(build, size, lr):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, 3, size, size), np.uint8)
    data = type("Eight", (), {"images": images, "labels": np.arange(8)})()
    torch.manual_seed(0)
    model = build(8)
    for layer in model.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    config = train.TrainConfig(epochs=40, batch_size=8, lr=lr, device="cpu")
    history = train.fit(model, data, config, verbose=False)
    assert history.epochs[-1].train_accuracy == 1.0
    assert history.epochs[-1].train_loss < 0.2 < 1.5 < history.epochs[0].train_loss


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: googlenet(0), ValueError, "classes must be an integer of at least 1, not 0"),
        (lambda: googlenet_paper(-3), ValueError, "classes must be an integer of at least 1"),
        (lambda: googlenet_cifar("ten"), TypeError, "classes must be an integer of at least 1, not 'ten'"),
        (lambda: nin(2.5), TypeError, "not 2.5"),
        (lambda: nin_imagenet(True), TypeError, "not True"),
        (lambda: Inception(3, 1, 1, 0, 1, 1, 1), ValueError, "three must be an integer of at least 1, not 0"),
        (lambda: Inception(3, 1, 1, 1, 1, 1, 1, kernel=4), ValueError, "kernel must be odd"),
    ],
)
def test_bad_sizes(build, error, message):
    with pytest.raises(error, match=message):
        build()
