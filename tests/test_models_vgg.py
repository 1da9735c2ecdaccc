"""VGG: published sizes, shapes at every stage, torchvision's logits with the same weights."""

import pytest
import torch
import torchvision
from torch import nn

from cnn_course import trace
from cnn_course.models import vgg
from cnn_course.models.convert import renamed

PARAMETERS = {
    (11, False): 132_863_336,
    (13, False): 133_047_848,
    (16, False): 138_357_544,
    (19, False): 143_667_240,
    (11, True): 132_868_840,
    (13, True): 133_053_736,
    (16, True): 138_365_992,
    (19, True): 143_678_248,
}


@pytest.mark.parametrize(("depth", "batch_norm"), PARAMETERS)
def test_parameters_as_published(depth, batch_norm):
    with torch.device("meta"):
        net = getattr(vgg, f"vgg{depth}")(batch_norm=batch_norm)
    assert sum(p.numel() for p in net.parameters()) == PARAMETERS[depth, batch_norm]
    weighted = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighted) == depth


def test_shape_at_every_stage():
    with torch.device("meta"):
        net, x = vgg.vgg16(), torch.empty(2, 3, 224, 224)
        shapes = {}
        for name, layer in net.named_children():
            x = layer(x)
            shapes[name] = tuple(x.shape[1:])
    assert shapes == {
        "stage1": (64, 112, 112),
        "stage2": (128, 56, 56),
        "stage3": (256, 28, 28),
        "stage4": (512, 14, 14),
        "stage5": (512, 7, 7),
        "average": (512, 7, 7),
        "flatten": (25_088,),
        "fc1": (4096,),
        "fc2": (4096,),
        "logits": (1000,),
    }


def test_multiply_adds():
    with torch.device("meta"):
        table = trace.table(vgg.vgg16(), (3, 224, 224))
    # 15.3e9 for the convolutions, which torchvision's table gives as 15.47 with the fully connected layers
    assert sum(row.macs for row in table.rows if row.macs) == 15_470_264_320


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "batch_norm"), [(11, False), (16, True)])
def test_logits_are_torchvisions_with_its_weights(depth, batch_norm, record_property):
    # Neither draws its 130 million weights: a cheap pattern of the right size goes into both, so that a test costs a
    # second. What differs between the two is the order and the names, and that is what is compared.
    with torch.device("meta"):
        theirs = getattr(torchvision.models, f"vgg{depth}" + "_bn" * batch_norm)(weights=None)
        ours = vgg.vgg(depth, batch_norm=batch_norm)
    theirs.to_empty(device="cpu").eval()
    generator = torch.Generator().manual_seed(0)
    block = torch.randn(1 << 20, generator=generator)
    state = theirs.state_dict()
    for number, (name, tensor) in enumerate(state.items()):
        values = (
            block.roll(number * 997).repeat(-(-tensor.numel() // len(block)))[: tensor.numel()].reshape(tensor.shape)
        )
        if tensor.dtype == torch.int64:
            tensor.zero_()
        elif name.endswith("running_var"):
            tensor.copy_(values.abs() + 0.5)
        elif tensor.ndim == 1:
            tensor.copy_(values * 0.1 + (1.0 if "weight" in name else 0.0))
        else:
            tensor.copy_(values * (2 / tensor[0].numel()) ** 0.5)
    names = list(state)
    ours.load_state_dict(renamed(state, ours), assign=True)
    ours.eval()
    x = torch.randn(2, 3, 64, 64, generator=generator)
    with torch.inference_mode():
        reference = theirs(x)
        difference = (ours(x) - reference).abs().max().item()
    record_property("difference", difference)
    print(f"VGG-{depth}, batch norm {batch_norm}: largest difference of the logits {difference:.1e}")
    assert reference.std() > 0.1 and difference < 1e-4
    back = renamed(ours.state_dict(), theirs)
    assert list(back) == names and all(torch.equal(back[name], state[name]) for name in names)


def test_renamed_refuses_another_network():
    with torch.device("meta"):
        state, other = vgg.vgg11().state_dict(), vgg.vgg13()
        small = vgg.vgg_cifar(5)
    with pytest.raises(ValueError, match="not the same network: 22 tensors for a module with 26"):
        renamed(state, other)
    with pytest.raises(
        ValueError, match=r"logits.weight has shape \(10, 128\), but in its place logits.weight has \(5,"
    ):
        renamed(vgg.vgg_cifar().state_dict(), small)


def test_small_form_costs_its_budget():
    table = trace.table(vgg.vgg_cifar(), (3, 32, 32))
    assert abs(sum(row.macs for row in table.rows if row.macs) / 10.2e6 - 1) < 0.05
    assert sum(p.numel() for p in vgg.vgg_cifar().parameters()) == 579_786


@pytest.mark.slow
def test_overfits_eight_images():
    torch.manual_seed(0)
    net, x, labels = vgg.vgg_cifar(8), torch.rand(8, 3, 32, 32), torch.arange(8)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(30):
        loss = nn.functional.cross_entropy(net(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05 and (net(x).argmax(1) == labels).all()


def test_bad_sizes():
    with pytest.raises(ValueError, match="VGG has 11, 13, 16, 19 layers with weights, not 12"):
        vgg.vgg(12)
    for build in (vgg.vgg11, vgg.vgg_cifar):
        with pytest.raises(ValueError, match="classes must be an integer of at least 1, not 0"):
            build(0)
