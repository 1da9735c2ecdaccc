"""What interpret and probing promise, with captum as the judge of the three maps."""

import copy

import captum.attr
import numpy as np
import pytest
import torch
from torch import nn

from cnn_course import interpret
from cnn_course.models.shift_cnn import shift_cnn

pytestmark = pytest.mark.usefixtures("one_thread")

DEVICES = [
    "cpu",
    *(["cuda"] if torch.cuda.is_available() else []),
    *(["mps"] if torch.backends.mps.is_available() else []),
]
SHAPE = (3, 12, 10)


def small_net(seed: int = 0, inplace: bool = True) -> nn.Sequential:
    torch.manual_seed(seed)
    net = nn.Sequential()
    net.conv1 = nn.Conv2d(3, 6, 5, padding=2)
    net.norm1 = nn.BatchNorm2d(6)
    net.relu1 = nn.ReLU(inplace=inplace)
    net.pool1 = nn.MaxPool2d(2)
    net.drop = nn.Dropout(0.5)
    net.conv2 = nn.Conv2d(6, 8, 3, padding=1)
    net.relu2 = nn.ReLU(inplace=inplace)
    net.pool = nn.AdaptiveAvgPool2d(1)
    net.flat = nn.Flatten()
    net.logits = nn.Linear(8, 4)
    for _ in range(3):  # batch norm gets statistics of its own
        net(torch.rand(16, *SHAPE))
    return net.eval()


@pytest.fixture
def net():
    return small_net()


@pytest.fixture
def images():
    return torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(1))


TARGETS = torch.tensor([0, 1, 2, 3, 1])


# captum ---------------------------------------------------------------------------------------------------------------


def test_saliency_is_captum_s(net, images, agreement):
    theirs = captum.attr.Saliency(net).attribute(images.clone().requires_grad_(), TARGETS, abs=False)
    ours = interpret.saliency(net, images, TARGETS, channels="all")
    agreement("saliency, against captum", ours, theirs.detach(), 1e-5)
    np.testing.assert_array_equal(interpret.saliency(net, images, TARGETS), ours.abs().amax(1))


@pytest.mark.parametrize("layer", ["relu1", "conv2", "pool1"])
@pytest.mark.parametrize("relu", [True, False])
def test_grad_cam_is_captum_s(images, layer, relu, agreement):
    judge = small_net(inplace=False)
    theirs = captum.attr.LayerGradCam(judge, getattr(judge, layer)).attribute(images, TARGETS, relu_attributions=relu)
    ours = interpret.grad_cam(small_net(), layer, images, TARGETS, relu=relu, upsample=False)
    agreement("Grad-CAM, against captum", ours, theirs[:, 0].detach(), 1e-5)
    whole = captum.attr.LayerAttribution.interpolate(theirs, SHAPE[1:], "bilinear")[:, 0]
    ours = interpret.grad_cam(small_net(), layer, images, TARGETS, relu=relu)
    agreement("Grad-CAM, against captum", ours, whole.detach(), 1e-5)


@pytest.mark.parametrize(("window", "stride"), [(4, 2), (5, 3), (10, 7)])
@pytest.mark.parametrize("baseline", [0.5, torch.tensor([0.1, 0.5, 0.9])[:, None, None]])
def test_occlusion_is_captum_s(net, images, window, stride, baseline, agreement):
    fill = baseline if isinstance(baseline, float) else baseline.expand(1, *SHAPE)
    theirs = captum.attr.Occlusion(net).attribute(
        images, (3, window, window), (3, stride, stride), fill, TARGETS, perturbations_per_eval=50
    )
    ours = interpret.occlusion(net, images, TARGETS, window=window, stride=stride, baseline=baseline, batch_size=16)
    agreement("occlusion, against captum", ours, theirs[:, 0].detach(), 1e-4)


# by hand --------------------------------------------------------------------------------------------------------------


def test_a_linear_model_is_its_own_explanation():
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3, bias=False))
    x = torch.rand(2, 1, 3, 4)
    weights = net[1].weight.detach().reshape(3, 3, 4)
    np.testing.assert_array_equal(interpret.first_layer_filters(net, (1, 3, 4))[:, 0], weights)
    np.testing.assert_allclose(interpret.saliency(net, x, 2, channels="all")[0, 0], weights[2])
    fall = interpret.occlusion(net, x, 2, window=1, stride=1, baseline=0.0)
    np.testing.assert_allclose(fall, x[:, 0] * weights[2], atol=1e-6)


def test_activations_are_those_before_an_in_place_relu(net, images):
    found = interpret.activations(net, images, ["norm1", "relu1", "logits"])
    np.testing.assert_array_equal(found["norm1"], net[:2](images).detach())
    assert found["norm1"].min() < 0 and found["relu1"].min() == 0
    np.testing.assert_array_equal(found["relu1"], found["norm1"].relu())
    np.testing.assert_array_equal(found["logits"], net(images).detach())
    assert not any(x.requires_grad for x in found.values())


def test_first_layer_filters_are_a_copy(net):
    filters = interpret.first_layer_filters(net)
    assert filters.shape == (6, 3, 5, 5) and not filters.requires_grad
    filters.zero_()
    assert net.conv1.weight.abs().min() > 0


def test_smooth_saliency_is_the_mean_over_noisy_copies(net, images):
    generator = torch.Generator().manual_seed(3)
    shaken = [images + 0.2 * torch.randn(images.shape, generator=generator) for _ in range(4)]
    mean = torch.stack([interpret.saliency(net, x, 1, channels="all") for x in shaken]).mean(0)
    ours = interpret.saliency(net, images, 1, channels="all", copies=4, noise=0.2, seed=3)
    np.testing.assert_allclose(ours, mean, atol=1e-7)


def test_maximise_excites_its_channel_and_no_channel_knows_of_the_others(net):
    channels = list(range(8))
    found = interpret.maximise(net, "conv2", channels, SHAPE, steps=12)
    assert found.shape == (8, *SHAPE) and found.min() >= 0 and found.max() <= 1
    start = interpret.maximise(net, "conv2", 0, SHAPE, steps=0)
    for c in channels:
        before, after = (interpret.activations(net, x, ["conv2"])["conv2"][0, c].mean() for x in (start, found[c]))
        assert after > before
    one = interpret.maximise(net, "conv2", 5, SHAPE, steps=12, peak=True)
    peaks = [interpret.activations(net, x, ["conv2"])["conv2"][0, 5].max() for x in (start, one)]
    assert peaks[1] > peaks[0]
    alone = interpret.maximise(net, "conv2", 5, SHAPE, steps=12)
    np.testing.assert_allclose(alone[0], found[5], atol=1e-4)
    own = interpret.maximise(net, "logits", [0, 3], SHAPE, steps=5, start=torch.full(SHAPE, 0.2), jitter=0, blur=0)
    assert own.shape == (2, *SHAPE) and (own[0] - own[1]).abs().max() > 0


def test_maximise_leaves_a_dead_channel_at_its_start(net):
    with torch.no_grad():
        net.conv2.bias[2] = -1e6
    dead, alive = interpret.maximise(net, "relu2", [2, 3], SHAPE, steps=10)
    start = interpret.maximise(net, "relu2", 2, SHAPE, steps=0)[0]
    np.testing.assert_array_equal(dead, start)
    assert interpret.top_images(net, "relu2", 2, torch.rand(4, *SHAPE), 4).values.max() == 0


def test_top_images_find_the_patch_that_fits_best():
    net = nn.Sequential()
    net.conv = nn.Conv2d(1, 2, 3, padding=1, bias=False)
    net.pool = nn.MaxPool2d(2)
    with torch.no_grad():
        net.conv.weight[:] = torch.tensor([[[0.0, 1, 0], [1, 1, 1], [0, 1, 0]], [[0, 0, 0], [0, 1, 0], [0, 0, 0]]])[
            :, None
        ]
    images = torch.zeros(4, 1, 8, 10)
    images[2, 0, 4:7, 5:8] = net.conv.weight[0, 0].detach()  # a plus around (5, 6)
    images[1, 0, 0, 0] = 2.0
    best = interpret.top_images(net, "conv", [0, 1], images, k=2, batch_size=3)
    assert best.values.tolist() == [[5, 2], [2, 1]] and best.index.tolist() == [[2, 1], [1, 2]]
    assert best.boxes[0, 0].tolist() == [4, 5, 3, 3] and best.boxes[0, 1].tolist()[2:] == [3, 3]
    np.testing.assert_array_equal(best.patches[0, 0, 0], net.conv.weight[0, 0].detach())
    assert best.boxes[1, 0].tolist() == [-1, -1, 3, 3]
    np.testing.assert_array_equal(best.patches[1, 0, 0], [[0, 0, 0], [0, 2, 0], [0, 0, 0]])
    pooled = interpret.top_images(net, "pool", 0, images, k=1)
    assert pooled.boxes[0, 0].tolist() == [3, 5, 4, 4] and pooled.patches.shape == (1, 1, 1, 4, 4)


def test_top_images_of_a_logit_see_the_whole_image(net, images):
    best = interpret.top_images(net, "logits", 3, images, k=5)
    logits = net(images)[:, 3].detach()
    np.testing.assert_allclose(best.values[0], logits.sort(descending=True).values, atol=1e-6)
    assert best.boxes[0, 0].tolist() == [0, 0, 12, 10]
    np.testing.assert_array_equal(best.patches[0], images[best.index[0]])


# no trace -------------------------------------------------------------------------------------------------------------


def everything(net, images):
    interpret.activations(net, images, ["conv1", "logits"])
    interpret.first_layer_filters(net)
    interpret.occlusion(net, images, 0)
    interpret.saliency(net, images, TARGETS, copies=2)
    interpret.grad_cam(net, "relu1", images, TARGETS)
    interpret.maximise(net, "conv2", [0, 1], SHAPE, steps=3)
    interpret.top_images(net, "conv2", 0, images, k=2)


@pytest.mark.parametrize("guard", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_model_is_left_as_it_was(images, guard):
    net = small_net().train()
    net.norm1.eval()  # a part in another mode than the whole
    net.conv1.weight.requires_grad_(False)
    before = copy.deepcopy(net)
    state = torch.get_rng_state()
    with guard():
        everything(net, images)
    assert [m.training for m in net.modules()] == [m.training for m in before.modules()]
    assert [p.requires_grad for p in net.parameters()] == [p.requires_grad for p in before.parameters()]
    assert all(p.grad is None for p in net.parameters()) and images.grad is None and not images.requires_grad
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), before.state_dict().values(), strict=True))
    assert not any(m._forward_hooks for m in net.modules())
    assert torch.equal(torch.get_rng_state(), state)


def test_hooks_and_mode_are_restored_after_a_failure(net, images):
    net.train()
    for call in (
        lambda: interpret.activations(net, images[:, :2], ["conv1"]),
        lambda: interpret.activations(net, images, ["conv1", "conv9"]),
        lambda: interpret.grad_cam(net, "conv1", images, 9),
    ):
        with pytest.raises(ValueError):
            call()
        assert net.training and not any(m._forward_hooks for m in net.modules())


def test_a_model_in_training_mode_gives_the_same(net, images):
    quiet = interpret.grad_cam(net, "conv2", images, TARGETS), interpret.occlusion(net, images, TARGETS)
    net.train()
    loud = interpret.grad_cam(net, "conv2", images, TARGETS), interpret.occlusion(net, images, TARGETS)
    for a, b in zip(quiet, loud, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("device", DEVICES)
def test_works_where_the_model_is(device, images):
    net, here = small_net().to(device), small_net()
    everything(net, images)
    for name, there in {
        "cam": interpret.grad_cam(net, "conv2", images, TARGETS),
        "fall": interpret.occlusion(net, images, TARGETS.numpy()),
    }.items():
        assert there.device.type == device, name
    np.testing.assert_allclose(
        interpret.saliency(net, images, TARGETS).cpu(), interpret.saliency(here, images, TARGETS), atol=1e-4
    )


def test_takes_uint8_arrays_one_image_and_double_weights(net, images):
    pixels = (images * 255).round().to(torch.uint8)
    pixels.numpy().flags.writeable = False
    np.testing.assert_allclose(
        interpret.saliency(net, pixels.numpy(), TARGETS), interpret.saliency(net, pixels.float() / 255, TARGETS)
    )
    assert interpret.saliency(net, images[0], 1).shape == (1, *SHAPE[1:])
    assert interpret.saliency(net.double(), images, 1).dtype == torch.float64


def test_a_global_max_net_and_a_layer_used_twice():
    model = shift_cnn(head="global", channels=3, size=12)
    assert interpret.grad_cam(model, "relu3", torch.rand(2, 3, 12, 12), 0).shape == (2, 12, 12)
    relu = nn.ReLU()
    twice = nn.Sequential(nn.Conv2d(1, 2, 1), relu, nn.Conv2d(2, 3, 1), relu)
    assert interpret.activations(twice, torch.rand(1, 1, 4, 4), ["1"])["1"].shape == (1, 3, 4, 4)


# bad input ------------------------------------------------------------------------------------------------------------

X = torch.rand(5, *SHAPE)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda n: interpret.activations(n, X, ["conv7"]), "no layer 'conv7'; the layers are conv1, norm1"),
        (lambda n: interpret.activations(n, X, [""]), "no layer ''"),
        (lambda n: interpret.activations(n, X[:, :1], ["conv1"]), r"cannot take images of shape \(1, 12, 10\)"),
        (lambda n: interpret.activations(n, X[0, 0], ["conv1"]), r"must have shape \(N, C, H, W\)"),
        (lambda n: interpret.activations(n, X[:0], ["conv1"]), r"must have shape"),
        (lambda n: interpret.saliency(n, X, 4), "targets must be from 0 to 3, got 4"),
        (lambda n: interpret.saliency(n, X, -1), "targets must be from 0 to 3, got -1"),
        (lambda n: interpret.saliency(n, X, [0, 1]), "one for each of the 5 images"),
        (lambda n: interpret.saliency(n, X, 1.5), "whole number"),
        (lambda n: interpret.saliency(n, X, True), "whole number"),
        (lambda n: interpret.saliency(n, X, 0, channels="mean"), "one of 'max', 'all', not 'mean'"),
        (lambda n: interpret.saliency(n, X, 0, copies=-1), "copies must be an integer of at least 0"),
        (lambda n: interpret.saliency(n[:3], X, 0), r"logits of shape \(N, classes\), got \(5, 6, 12, 10\)"),
        (lambda n: interpret.occlusion(n, X, 0, window=11), "window must be 1 to 10"),
        (lambda n: interpret.occlusion(n, X, 0, window=2, stride=3), "stride 1 to window"),
        (lambda n: interpret.occlusion(n, X, 0, window=2, stride=0), "stride 0"),
        (lambda n: interpret.grad_cam(n, "flat", X, 0), r"gives the shape \(5, 8\): Grad-CAM needs maps"),
        (lambda n: interpret.grad_cam(n, "nothing", X, 0), "no layer 'nothing'"),
        (lambda n: interpret.maximise(n, "conv1", 6, SHAPE), "channels of 'conv1' are 0 to 5"),
        (lambda n: interpret.maximise(n, "conv1", [], SHAPE), "channels is empty"),
        (lambda n: interpret.maximise(n, "conv1", 0, SHAPE, lr=0), "lr must be a finite number, above 0"),
        (lambda n: interpret.maximise(n, "conv1", 0, (1, 9, 9)), r"cannot take images of shape \(1, 9, 9\)"),
        (lambda n: interpret.top_images(n, "conv1", 0, X, k=6), "k is 6"),
        (lambda n: interpret.top_images(n, "conv1", 6, X, k=1), "0 to 5, got .6"),
        (lambda n: interpret.top_images(n, "conv1", 0, X[0], k=1), "shape"),
        (lambda n: interpret.first_layer_filters(nn.ReLU()), "no Conv2d and no Linear"),
        (lambda n: interpret.first_layer_filters(nn.Linear(12, 2), (1, 2, 5)), "12 inputs"),
    ],
)
def test_says_what_is_wrong(net, call, message):
    with pytest.raises(ValueError, match=message):
        call(net)


def test_says_which_kind_is_wrong(net):
    with pytest.raises(TypeError, match="list of names"):
        interpret.activations(net, X, "conv1")
    with pytest.raises(TypeError, match="int64"):
        interpret.saliency(net, X.long(), 0)


class Auxiliary(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 1)
        self.pair = Pair()

    def forward(self, x):
        out = self.pair(self.a(x))[0].mean(dim=(2, 3))
        return (out, self.b(x)) if self.training else out


class Pair(nn.Module):
    def forward(self, x):
        return x, x


def test_a_layer_that_is_not_reached_or_gives_no_tensor_is_named():
    net = Auxiliary().train()
    assert interpret.saliency(net, X, 1).shape == (5, 12, 10)
    with pytest.raises(ValueError, match="'b' is not reached"):
        interpret.activations(net, X, ["b"])
    with pytest.raises(ValueError, match="'pair' gives a tuple"):
        interpret.activations(net, X, ["pair"])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda n: interpret.maximise(n, "conv1", [0.9], SHAPE), TypeError, r"channels\[0\] must be an integer"),
        (lambda n: interpret.maximise(n, "conv1", "01", SHAPE), TypeError, "channels must be an integer or a list"),
        (lambda n: interpret.maximise(n, "conv1", 6, SHAPE, steps=0), ValueError, "channels of 'conv1' are 0 to 5"),
        (lambda n: interpret.maximise(n, "conv1", 0, SHAPE, steps=10**9), ValueError, "steps must be"),
        (lambda n: interpret.maximise(n, "conv1", 0, (3, 10**6, 10**6)), ValueError, "shape is too large"),
        (lambda n: interpret.maximise(n, "conv1", 0, SHAPE, start=2.0), ValueError, "start must lie between 0 and 1"),
        (lambda n: interpret.maximise(n, "conv1", 0, SHAPE, peak="no"), TypeError, "peak must be True or False"),
        (lambda n: interpret.occlusion(n, X, 0, baseline=torch.ones(4)), ValueError, "baseline must be a number, or"),
        (lambda n: interpret.occlusion(n, X, 0, baseline=1e300), ValueError, "baseline must be finite numbers"),
        (lambda n: interpret.occlusion(n, X, 0, batch_size=0), ValueError, "batch_size must be"),
        (lambda n: interpret.saliency(n, X, 0, copies=10**9), ValueError, "copies must be"),
        (lambda n: interpret.saliency(n, X * float("nan"), 0), ValueError, "images must be finite"),
        (lambda n: interpret.saliency(n, X.to("meta"), 0), ValueError, "images is on the meta device"),
        (lambda n: interpret.saliency(type(n), X, 0), TypeError, "model must be a module, not the class Sequential"),
        (lambda n: interpret.saliency(n.forward, X, 0), TypeError, "model must be a torch.nn.Module"),
        (lambda n: interpret.saliency(n.to("meta"), X, 0), ValueError, "model is on the meta device"),
        (lambda n: interpret.grad_cam(n, "conv1", X, 0, relu="no"), TypeError, "relu must be True or False"),
        (lambda n: interpret.activations(n, X, "conv1"), TypeError, "layers must be a list of names"),
        (lambda n: interpret.top_images(n, "conv1", 0, X, k=True), TypeError, "k must be an integer"),
    ],
)
def test_nothing_is_silently_wrong(net, call, error, message):
    with pytest.raises(error, match=message):
        call(net)


def test_numbers_of_numpy_are_numbers(net, images):
    ours = interpret.saliency(net, images, np.int64(1), copies=np.int64(2), noise=np.float32(0.5), seed=np.int64(3))
    np.testing.assert_array_equal(ours, interpret.saliency(net, images, 1, copies=2, noise=0.5, seed=3))


@pytest.mark.parametrize(
    "layout", [np.asfortranarray, lambda x: x[::-1, ..., ::-1], lambda x: x.astype(">f4"), lambda x: x[:1][::-1]]
)
def test_images_of_any_layout(net, images, layout):
    given = layout(images.numpy())
    expected = interpret.saliency(net, np.array(given, np.float32), 1)
    given.flags.writeable = False
    np.testing.assert_array_equal(interpret.saliency(net, given, 1), expected)


def test_a_first_layer_that_works_in_place_leaves_the_images_alone():
    net = nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(12, 2))
    x = torch.randn(2, 1, 3, 4)
    before = x.clone()
    interpret.activations(net, x, ["1"])
    fall = interpret.occlusion(net, x, 0, window=2, stride=1, baseline=0.0)
    assert torch.equal(x, before)
    torch.testing.assert_close(fall, interpret.occlusion(net, x.relu(), 0, window=2, stride=1, baseline=0.0))


def test_a_model_that_has_diverged_is_named():
    net = small_net()
    with torch.no_grad():
        net.logits.weight.fill_(float("nan"))
    for call in (interpret.saliency, interpret.occlusion):
        with pytest.raises(ValueError, match="the logits of the model must be finite"):
            call(net, X, 0)
    with pytest.raises(ValueError, match="what the layer 'logits' of the model gives must be finite"):
        interpret.top_images(net, "logits", 0, X, k=1)
