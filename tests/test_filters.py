import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import skimage.filters

from cnn_course import filters, images

CAMERA = images.photograph("camera", size=(40, 48))
CHELSEA = images.photograph("chelsea", size=(30, 26))
SCIPY_MODE = {"edge": "nearest", "zeros": "constant", "reflect": "mirror", "wrap": "wrap"}


def test_kernels_by_hand():
    np.testing.assert_array_equal(filters.identity(), [[0, 0, 0], [0, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(filters.shift(0, 1), [[0, 0, 0], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(filters.laplacian(), [[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    np.testing.assert_array_equal(filters.laplacian(diagonal=True), [[1, 1, 1], [1, -8, 1], [1, 1, 1]])
    np.testing.assert_array_equal(filters.sharpen(), [[0, -1, 0], [-1, 5, -1], [0, -1, 0]])
    np.testing.assert_array_equal(filters.box(), np.full((3, 3), 1 / 9))
    np.testing.assert_array_equal(filters.two_tap_edge(), [[-1, 1]])
    np.testing.assert_array_equal(filters.corners(), [[1, 0, -1], [0, 0, 0], [-1, 0, 1]])
    np.testing.assert_array_equal(filters.sobel_y(), filters.sobel_x().T)
    np.testing.assert_array_equal(filters.prewitt_y(), filters.prewitt_x().T)


def test_apply_by_hand():
    image = np.zeros((3, 4))
    image[1, 1] = 1
    np.testing.assert_array_equal(filters.apply(image, filters.two_tap_edge(), border="valid")[1], [1, -1, 0])
    # Correlation puts the kernel into the output turned by 180 degrees around the lit pixel.
    np.testing.assert_array_equal(
        filters.apply(image, np.arange(9).reshape(3, 3))[:, :3], [[8, 7, 6], [5, 4, 3], [2, 1, 0]]
    )


def test_sums():
    for name, kernel in filters.PRESETS.items():
        difference = any(word in name for word in ("Laplacian", "corners", "Sobel", "Prewitt"))
        assert kernel.shape == (3, 3)
        assert kernel.dtype == np.float64
        assert kernel.sum() == pytest.approx(0 if difference else 1), name
        with pytest.raises(ValueError, match="read-only"):
            kernel[0, 0] = 1


@pytest.mark.parametrize(("dy", "dx"), [(0, 0), (1, 0), (-2, 1), (0, -3)])
def test_shift_kernel_is_the_shift_of_images(dy, dx):
    moved = filters.apply(CAMERA, filters.shift(dy, dx), border="zeros")
    np.testing.assert_array_equal(moved, images.shift(CAMERA, dy, dx))


@pytest.mark.parametrize("border", SCIPY_MODE)
@pytest.mark.parametrize("image", [CAMERA, CHELSEA], ids=["gray", "color"])
@pytest.mark.parametrize("kernel", [*filters.PRESETS.values(), filters.gaussian(7, 2.0)])
def test_apply_against_scipy(image, kernel, border):
    expected = scipy.ndimage.correlate(np.atleast_3d(image), kernel[:, :, None], mode=SCIPY_MODE[border])
    np.testing.assert_allclose(filters.apply(image, kernel, border=border), expected.reshape(image.shape), atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (2, 2), (3, 5), (4, 3)])
def test_apply_with_any_kernel_size(shape):
    kernel = np.random.default_rng(1).standard_normal(shape)
    valid = filters.apply(CAMERA, kernel, border="valid")
    np.testing.assert_allclose(valid, scipy.signal.correlate2d(CAMERA, kernel, mode="valid"), atol=1e-12)
    same = filters.apply(CAMERA, kernel, border="zeros")
    assert same.shape == CAMERA.shape
    top, left = (shape[0] - 1) // 2, (shape[1] - 1) // 2
    np.testing.assert_allclose(same[top : top + valid.shape[0], left : left + valid.shape[1]], valid, atol=1e-12)


def test_named_filters_against_scipy_and_skimage():
    def check(kernel, expected):
        np.testing.assert_allclose(filters.apply(CAMERA, kernel), expected, atol=1e-12)

    check(filters.gaussian(9, 1.3), scipy.ndimage.gaussian_filter(CAMERA, 1.3, radius=4, mode="nearest"))
    check(filters.box(5), scipy.ndimage.uniform_filter(CAMERA, 5, mode="nearest"))
    check(filters.laplacian(), scipy.ndimage.laplace(CAMERA, mode="nearest"))
    check(filters.sobel_x(), scipy.ndimage.sobel(CAMERA, axis=1, mode="nearest"))
    check(filters.sobel_y(), scipy.ndimage.sobel(CAMERA, axis=0, mode="nearest"))
    check(filters.prewitt_x(), scipy.ndimage.prewitt(CAMERA, axis=1, mode="nearest"))
    # scikit-image divides by the sum of the positive weights.
    check(filters.sobel_x() / 4, skimage.filters.sobel(CAMERA, axis=1, mode="nearest"))
    check(filters.prewitt_y() / 3, skimage.filters.prewitt(CAMERA, axis=0, mode="nearest"))


def test_a_filter_ignores_edges_along_its_own_difference():
    stripes = np.tile(np.array([0.0, 1.0] * 5)[:, None], (1, 8))  # horizontal edges only
    assert not filters.apply(stripes, filters.sobel_x()).any()
    assert filters.apply(stripes, filters.laplacian()).any()


def test_corners_ignores_level_and_upright_edges():
    level = np.tile(np.array([0.0, 0, 1, 1, 1])[:, None], (1, 6))
    assert not filters.apply(level, filters.corners()).any() and not filters.apply(level.T, filters.corners()).any()
    assert filters.apply(np.triu(np.ones((6, 6))), filters.corners())[1:-1, 1:-1].any()  # a slanted edge
    quarter = np.pad(np.ones((3, 3)), ((3, 0), (3, 0)))
    seen = np.argwhere(filters.apply(quarter, filters.corners()))
    np.testing.assert_array_equal(seen, [[2, 2], [2, 3], [3, 2], [3, 3]])


def test_separate():
    column, row = filters.separate(filters.sobel_x())
    np.testing.assert_allclose(column, [[1], [2], [1]])
    np.testing.assert_allclose(row, [[-1, 0, 1]])
    column, row = filters.separate(filters.sobel_y())
    np.testing.assert_allclose(column, [[-1], [0], [1]])
    np.testing.assert_allclose(row, [[1, 2, 1]])
    column, row = filters.separate(filters.box(5))
    np.testing.assert_allclose(column, np.full((5, 1), 0.2))
    np.testing.assert_allclose(row, np.full((1, 5), 0.2))
    for kernel in (filters.laplacian(), filters.laplacian(diagonal=True), filters.sharpen(), filters.emboss()):
        assert filters.separate(kernel) is None


@pytest.mark.parametrize(
    "kernel",
    [
        filters.gaussian(7, 1.5),
        filters.gaussian(5).astype(np.float32),
        filters.two_tap_edge(),
        filters.shift(2, -1),
        -filters.box(),
        np.outer([1, -1], [1, -1]),
        np.outer([1, 2, 3, 4], [5, -6]),
        np.zeros((2, 3)),
        np.array([[0.0]]),
    ],
)
def test_two_passes_do_the_work_of_a_separable_kernel(kernel):
    column, row = filters.separate(kernel)
    assert column.shape == (kernel.shape[0], 1)
    assert row.shape == (1, kernel.shape[1])
    np.testing.assert_allclose(column @ row, kernel, atol=1e-6 if kernel.dtype == np.float32 else 1e-14)
    twice = filters.apply(filters.apply(CAMERA, column, border="valid"), row, border="valid")
    np.testing.assert_allclose(twice, filters.apply(CAMERA, kernel, border="valid"), atol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: filters.box(4), ValueError, "k must be odd, so that the kernel has a middle, not 4"),
        (lambda: filters.identity(0), ValueError, "at least 1"),
        (lambda: filters.gaussian(3.0), TypeError, "k must be an integer"),
        (lambda: filters.gaussian(3, 0), ValueError, "sigma must be a finite number, above 0, not 0"),
        (lambda: filters.gaussian(3, float("nan")), ValueError, "sigma"),
        (lambda: filters.shift(0.5, 0), TypeError, "dy must be an integer"),
        (lambda: filters.apply(CAMERA, [1, 2]), ValueError, r"kernel must have 2 axes .*\(shape \(2,\)\)"),
        (lambda: filters.apply(np.zeros((4, 4, 4)), np.ones((3, 3))), ValueError, r"\(H, W\) or \(H, W, 3\)"),
        (lambda: filters.apply(CAMERA, np.ones((3, 3)), border="same"), ValueError, "border must be one of 'edge'"),
        (lambda: filters.apply(np.zeros((2, 2)), np.ones((3, 3)), border="valid"), ValueError, "kernel covers 3 x 3"),
        (lambda: filters.apply(CAMERA * 1j, np.ones((3, 3))), TypeError, "complex128"),
        (lambda: filters.separate([1, 2, 3]), ValueError, "kernel must have 2 axes"),
        (lambda: filters.separate([[np.nan, 1]]), ValueError, "finite"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_preset_that_is_not_there_names_those_that_are():
    with pytest.raises(KeyError, match="there is no kernel 'sobel' in PRESETS, only identity, shift right"):
        filters.PRESETS["sobel"]
    assert filters.PRESETS.get("sobel") is None and "sobel" not in filters.PRESETS
