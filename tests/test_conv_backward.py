"""conv1d, conv2d, conv3d and their gradients: by hand, against PyTorch, against finite differences."""

import numpy as np
import pytest
import torch
from drawn_convolutions import convolutions
from hypothesis import given, settings

from cnn_course.convolution import conv1d, conv2d, conv3d, conv_backward

OURS = {1: conv1d, 2: conv2d, 3: conv3d}
TORCH = {1: torch.nn.functional.conv1d, 2: torch.nn.functional.conv2d, 3: torch.nn.functional.conv3d}
AXES = pytest.mark.parametrize("axes", [1, 2, 3])


def test_gradients_by_hand():
    """x = [1, 2, 3], w = [4, 5], out = [14, 23]; a unit gradient at the second output only."""
    dx, dw, db = conv_backward([[[0, 1]]], [[[1, 2, 3]]], [[[4, 5]]])
    np.testing.assert_array_equal(dx, [[[0, 4, 5]]])
    np.testing.assert_array_equal(dw, [[[2, 3]]])
    np.testing.assert_array_equal(db, [1])


def test_a_pixel_that_no_window_covers_gets_no_gradient():
    dx, _, _ = conv_backward(np.ones((1, 1, 2)), np.ones((1, 1, 6)), np.ones((1, 1, 2)), stride=3)
    np.testing.assert_array_equal(dx, [[[1, 1, 0, 1, 1, 0]]])


@pytest.mark.slow
@pytest.mark.parametrize(("axes", "cases"), [(1, 400), (2, 400), (3, 300)])
def test_forward_and_backward_against_torch(agreement, axes, cases):
    @given(convolutions(axes))
    @settings(max_examples=cases)
    def compare(layer):
        (x, w, b), options = layer
        b = np.zeros(len(w), x.dtype) if b is None else b
        tensors = [torch.from_numpy(a).requires_grad_() for a in (x, w, b)]
        expected = TORCH[axes](*tensors, **options)
        dout = np.random.default_rng(x.size).standard_normal(expected.shape).astype(x.dtype)
        expected.backward(torch.from_numpy(dout))

        out = OURS[axes](x, w, b, **options)
        gradients = conv_backward(dout, x, w, **options)
        name, limit = (f"conv {axes}-D float32", 1e-5) if x.dtype == np.float32 else (f"conv {axes}-D float64", 1e-13)
        assert out.dtype == x.dtype
        agreement(f"{name} forward", out, expected.detach().numpy(), limit, scale=1)
        for ours, tensor in zip(gradients, tensors, strict=True):
            assert ours.dtype == x.dtype
            theirs = np.zeros(tensor.shape) if tensor.grad is None else tensor.grad.numpy()
            agreement(f"{name} backward", ours, theirs, limit, scale=1)

    compare()


@AXES
def test_gradients_against_finite_differences(agreement, axes):
    """The loss is the sum of out * dout, linear in x, in w and in b: a central difference is exact but for rounding."""

    @given(convolutions(axes, dtypes=(np.float64,), least_images=1))
    @settings(max_examples=25)
    def compare(layer):
        (x, w, b), options = layer
        b = np.zeros(len(w)) if b is None else b
        rng = np.random.default_rng(x.size)
        dout = rng.standard_normal(OURS[axes](x, w, b, **options).shape)
        for gradient, array in zip(conv_backward(dout, x, w, **options), (x, w, b), strict=True):
            direction = rng.standard_normal(array.shape)
            sides = []
            for step in (1e-3, -1e-3):
                moved = [a + step * direction if a is array else a for a in (x, w, b)]
                sides.append(float(np.sum(OURS[axes](*moved, **options) * dout)))
            numerical = (sides[0] - sides[1]) / 2e-3
            agreement(f"gradient check: conv {axes}-D", np.sum(gradient * direction), numerical, 1e-6, scale=1e-3)

    compare()


@pytest.mark.parametrize("padding", [0, 1, 5])
def test_gradients_at_the_size_of_real_layers(padding):
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(shape).astype(np.float32) for shape in ((9, 64, 19, 17), (48, 64, 3, 3)))
    tensors = [torch.from_numpy(a).requires_grad_() for a in (x, w)]
    expected = torch.nn.functional.conv2d(*tensors, padding=padding)
    dout = rng.standard_normal(expected.shape, dtype=np.float32)
    expected.backward(torch.from_numpy(dout))
    dx, dw, db = conv_backward(dout, x, w, padding=padding)
    for ours, theirs in ((dx, tensors[0].grad), (dw, tensors[1].grad), (db, torch.from_numpy(dout).sum((0, 2, 3)))):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-5 * theirs.abs().max().item())


def test_an_empty_batch():
    dx, dw, db = conv_backward(np.zeros((0, 2, 3, 3)), np.zeros((0, 1, 5, 5)), np.ones((2, 1, 3, 3)))
    assert dx.shape == (0, 1, 5, 5) and not dw.any() and not db.any()


@AXES
def test_bad_input(axes):
    x, w = np.zeros((2, 4) + (6,) * axes), np.zeros((3, 4) + (3,) * axes)
    with pytest.raises(ValueError, match=rf"x must have {axes + 2} axes \(N, C, .*, but has {axes + 1}"):
        OURS[axes](x[0], w)
    with pytest.raises(ValueError, match="x has 3 channels"):
        OURS[axes](x[:, :3], w)
    with pytest.raises(ValueError, match="stride must be an integer or a"):
        OURS[axes](x, w, stride=(1,) * (axes + 1))
    with pytest.raises(ValueError, match=r"dout must have the shape of the output, .*, but has shape \(2, 3, 1\)"):
        conv_backward(np.zeros((2, 3, 1)), x, w)
    with pytest.raises(TypeError, match="dout must be an array of .*, not dtype complex128"):
        conv_backward(np.zeros((2, 3) + (4,) * axes, complex), x, w)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (1, 2, 3, 4, 5, 6)])
def test_backward_needs_one_to_three_axes(shape):
    with pytest.raises(ValueError, match="x must have 3, 4 or 5 axes"):
        conv_backward(np.zeros((1, 1, 1)), np.zeros(shape), np.zeros((1, 1, 1)))
