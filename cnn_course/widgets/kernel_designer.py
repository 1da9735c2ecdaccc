"""kernel_designer(): edit nine numbers, or pick one of `filters.PRESETS`: a photograph is filtered by them at once."""

from __future__ import annotations  # traitlets 5.7 cannot be subscripted when the class is made

import io
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import traitlets
from matplotlib.figure import Figure
from PIL import Image

from cnn_course import filters, images, visualize
from cnn_course.appearance.live import StaticFirst, module
from cnn_course.appearance.pictures import eight_bit, quick_png
from cnn_course.arguments.integers import pair
from cnn_course.arguments.objects import flag, one_of

OWN = "your own"
MODES = ("automatic", "clipped to 0 to 1", "signed: grey is zero")


class KernelDesigner(StaticFirst):
    """The kernel designer. The browser sets `cells`, `preset`, `photograph`, `normalise` and `mode`."""

    _esm = module(__file__)
    alt = traitlets.Unicode().tag(sync=True)
    photographs: traitlets.List[Any] = traitlets.List().tag(sync=True)
    presets: traitlets.List[Any] = traitlets.List().tag(sync=True)
    modes = traitlets.List(list(MODES)).tag(sync=True)
    cells = traitlets.List(traitlets.Unicode()).tag(sync=True)
    preset = traitlets.Unicode().tag(sync=True)
    photograph = traitlets.Unicode().tag(sync=True)
    normalise = traitlets.Bool().tag(sync=True)
    mode = traitlets.Unicode(MODES[0]).tag(sync=True)
    bad = traitlets.List(traitlets.Int()).tag(sync=True)
    original = traitlets.Bytes().tag(sync=True)
    result = traitlets.Bytes().tag(sync=True)
    summary = traitlets.Unicode().tag(sync=True)
    shown_as = traitlets.Unicode().tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)

    def __init__(self, size: tuple[int, int], gray: bool, **traits: object) -> None:
        self._size, self._gray = size, gray
        super().__init__(**traits)
        self._load()
        self.cells = _cells(filters.PRESETS[self.preset])
        self._filter()
        self._static = _static(self)
        self.observe(self._on_preset, "preset")
        self.observe(self._on_photograph, "photograph")
        self.observe(self._on_change, ["cells", "normalise", "mode"])

    def static_bundle(self) -> tuple[dict, dict]:
        return visualize.picture_bundle(self._static, self.alt)

    def kernel(self) -> np.ndarray | None:
        """The 3 by 3 kernel in the cells, normalised if asked for; None, with `bad` set, if a cell is no number."""
        values = [_number(text) for text in self.cells]
        self.bad = [i for i, value in enumerate(values) if value is None]
        if self.bad or len(values) != 9:
            return None
        kernel = np.array(values).reshape(3, 3)
        total = kernel.sum()
        return kernel / total if self.normalise and abs(total) > 1e-9 else kernel

    def _on_preset(self, change: dict) -> None:
        if change["new"] in filters.PRESETS:
            self.cells = _cells(filters.PRESETS[change["new"]])

    def _on_photograph(self, change: dict) -> None:
        self._guarded(self._load, self._filter)

    def _on_change(self, change: dict) -> None:
        self._guarded(self._filter)

    def _guarded(self, *acts: Callable[[], None]) -> None:
        with self.hold_sync():
            try:
                for act in acts:
                    act()
            except Exception as failure:  # One bad value must not end the view: the last picture stays.
                self.error = f"{type(failure).__name__}: {failure}"

    def _load(self) -> None:
        if self.photograph not in images.PHOTOGRAPHS:
            raise ValueError(f"there is no photograph {self.photograph!r}: choose from {', '.join(images.PHOTOGRAPHS)}")
        self._photo = images.photograph(self.photograph, size=self._size, gray=self._gray)
        self.original = quick_png(eight_bit(self._photo))

    def _filter(self) -> None:
        kernel = self.kernel()
        if kernel is None:
            self.error = "Not a number in the marked cells: the picture shows the last kernel that was complete."
            return
        if self.mode not in MODES:
            raise ValueError(f"mode is {self.mode!r}, but it must be one of {MODES}")
        self._shown_kernel = kernel
        filtered = filters.apply(self._photo, kernel)
        signed = self.mode == MODES[2] or (self.mode == MODES[0] and kernel.sum() < 0.25 and filtered.min() < -0.02)
        self.shown_as = MODES[2] if signed else MODES[1]
        if signed:
            limit = float(np.abs(filtered).max()) or 1.0
            shown = filtered / (2 * limit) + 0.5
            note = f"Black is {_short_number(-limit)}, mid grey is 0, white is {_short_number(limit)}."
        else:
            shown = filtered
            outside = float(np.mean((filtered < -1e-9) | (filtered > 1 + 1e-9)))
            note = f"{100 * outside:.1f} % of the values lie outside 0 to 1 and are clipped."
        total = sum(_number(text) or 0.0 for text in self.cells)
        if self.normalise:
            scaled = (
                f", divided by it: {_short_number(kernel.sum())}" if abs(total) > 1e-9 else ": nothing to divide by"
            )
        else:
            scaled = ""
        low, high = _short_number(float(filtered.min())), _short_number(float(filtered.max()))
        self.summary = f"Sum of the kernel: {_short_number(total)}{scaled}. Result from {low} to {high}. {note}"
        self.result = quick_png(eight_bit(shown))
        names = [name for name, preset in filters.PRESETS.items() if _cells(preset) == list(self.cells)]
        if self.preset not in names:
            self.preset = names[0] if names else OWN
        self.error = ""


def kernel_designer(
    photograph: str = "camera",
    *,
    preset: str = "Sobel x",
    size: int | tuple[int, int] = (256, 256),
    gray: bool = True,
    normalise: bool = False,
) -> KernelDesigner:
    """Edit a 3 by 3 kernel, or pick one of `filters.PRESETS`, and see a photograph filtered by it.

    photograph: one of `images.PHOTOGRAPHS`. preset: one of `filters.PRESETS`, to start with. size: (H, W) to work at,
    or one number for a square, 2 to 1,024 pixels to a side.
    gray: filter one grey channel; False filters each of the three colours. Picture edges repeat (border="edge").
    Raises ValueError for an unknown photograph or preset, or another size; TypeError for other kinds of values.
    """
    one_of("preset", preset, filters.PRESETS)
    one_of("photograph", photograph, images.PHOTOGRAPHS)
    gray, normalise = flag("gray", gray), flag("normalise", normalise)
    # Every touch of a cell filters the picture and sends it anew.
    size = pair("size", size, least=2, most=1024)
    alt = f"The photograph {photograph}, the kernel {preset} as nine numbers, and the photograph filtered by it."
    return KernelDesigner(
        size, gray, photograph=photograph, preset=preset, normalise=normalise, alt=alt,
        photographs=list(images.PHOTOGRAPHS), presets=[*filters.PRESETS, OWN],
    )  # fmt: skip


def _number(text: str) -> float | None:
    """The number that a student wrote: 3, -0.5, 1/9, also with a true minus or a decimal comma; None if it is none."""
    clean = text.strip().replace("\N{MINUS SIGN}", "-").replace(",", ".")
    top, slash, bottom = clean.partition("/")
    try:
        value = float(top) / float(bottom) if slash else float(clean)
    except (ValueError, ZeroDivisionError):
        return None
    return value if np.isfinite(value) and abs(value) < 1e6 else None


def _cells(kernel: np.ndarray) -> list[str]:
    return [_cell(float(value)) for value in np.ravel(kernel)]


def _cell(value: float) -> str:
    """A number as a student would type it: 2, -0.5, 1/9; digits only where no simple fraction is meant."""
    simple = Fraction(value).limit_denominator(99)
    if abs(value - simple) > 1e-12:
        return f"{value:.4g}"
    return f"{value:g}" if simple.denominator in (1, 2, 4, 5, 10) else str(simple)


def _short_number(value: float) -> str:
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}") if abs(value) > 1e-9 else "0"


def _static(view: KernelDesigner) -> bytes:
    # Half the size: the still picture is a third as wide as the live one, and a notebook stays small.
    original, result = (np.asarray(Image.open(io.BytesIO(data)).reduce(2)) for data in (view.original, view.result))
    with visualize.style():
        fig = Figure(figsize=(7.2, 2.4))
        left, middle, right = fig.subplots(1, 3, width_ratios=[1, 0.7, 1])
        visualize.image(left, original, view.photograph)
        visualize.matrix(middle, view._shown_kernel, ".3g", title=view.preset)
        visualize.image(right, result, view.shown_as)
        return visualize.png(fig)
