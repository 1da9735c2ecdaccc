"""explore(draw, k=(1, 5)): a figure with sliders, drop-down lists and check boxes. Python draws every picture."""

from __future__ import annotations  # traitlets 5.7 cannot be subscripted when the class is made

import inspect
from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any

import numpy as np
import traitlets
from matplotlib.figure import Figure

from cnn_course import visualize
from cnn_course.appearance.live import StaticFirst, module
from cnn_course.arguments.floats import finite, is_number
from cnn_course.arguments.objects import flag, function, sequence, text
from cnn_course.arguments.shown import brief, shown

LEAST_INCHES = 3.0  # of a picture that is drawn narrower than was asked for
MOST_INCHES = 40  # 4,000 pixels: every picture is drawn and sent anew
SHRUNK = 0.8  # to this part a picture is only shown smaller: its smallest words, of 10 points, are 11 pixels high then
MOST_NUMBER = 2**53  # of a slider: the browser's whole numbers end there


class Explore(StaticFirst):
    """A figure and its controls. Setting `values` (what the browser does) redraws `png` or sets `error`.

    room: the width in pixels that the browser has for the picture where that is less than `least`, else 0.
    """

    _esm = module(__file__)
    title = traitlets.Unicode().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    controls: traitlets.List[Any] = traitlets.List().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)
    png = traitlets.Bytes().tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)
    least = traitlets.Int().tag(sync=True)
    room = traitlets.Int(0).tag(sync=True)

    def __init__(self, draw: Callable, meanings: dict, figsize: tuple[float, float], **traits: Any) -> None:
        self._draw = draw
        self._figsize, self._narrowest = figsize, LEAST_INCHES
        self._meanings = meanings
        # Not made through pyplot, so that the notebook never shows it a second time.
        with visualize.style():
            self._figure = Figure(figsize=figsize)
        self._static = self._redraw(traits["values"], small=True)
        super().__init__(png=self._static, least=int(SHRUNK * figsize[0] * self._figure.dpi), **traits)
        self.observe(self._on_change, ["values", "room"])

    def static_bundle(self) -> tuple[dict, dict]:
        return visualize.picture_bundle(self._static, self.alt)

    def _redraw(self, values: Mapping, *, small: bool, room: int = 0) -> bytes:
        arguments = {name: self._meanings[name](value) for name, value in values.items()}
        most, height = self._figsize
        width = most if room <= 0 else min(most, max(self._narrowest, room / SHRUNK / self._figure.dpi))
        while True:
            picture = self._drawn((width, height), arguments, small)
            outside = 0 if width == most else self._figure.get_tightbbox().x1 - width
            if outside <= 0.05:
                return picture
            # A long title, say: better in smaller letters than cut. The next picture is drawn as wide at once.
            self._narrowest = width = min(most, width + outside)

    def _drawn(self, inches: tuple[float, float], arguments: dict, small: bool) -> bytes:
        with visualize.style():
            self._figure.set_size_inches(*inches)
            # A colour bar takes room from its Axes, so the Axes are made anew; the Figure is the same.
            self._figure.clear()
            wants_figure = next(iter(inspect.signature(self._draw).parameters)) in ("fig", "figure")
            self._draw(self._figure if wants_figure else self._figure.subplots(), **arguments)
            return visualize.png(self._figure, small=small)

    def _on_change(self, change: dict) -> None:
        try:
            unknown = set(self.values) ^ set(self._meanings)
            if unknown:
                raise ValueError(f"the controls are {sorted(self._meanings)}; {sorted(unknown)} do not match")
            picture, error = self._redraw(self.values, small=False, room=self.room), ""
        except Exception as failure:  # The student's next move must still work, whatever draw does.
            picture, error = self.png, f"{type(failure).__name__}: {failure}"
        with self.hold_sync():
            self.png, self.error = picture, error


def explore(
    draw: Callable,
    *,
    title: str = "",
    alt: str = "",
    figsize: tuple[float, float] = (7.2, 3.4),
    **controls: object,
) -> Explore:
    """A figure that `draw(ax, **values)` draws anew whenever a control moves.

    draw: gets an empty Axes (or the empty Figure, if its first parameter is called `fig`) and one value for each
    control; it draws on that and need not return anything. controls, by name:

    - (low, high) or (low, high, step): a slider, of whole numbers if all of these are whole. Without a step it moves
      by 1, or by a hundredth of the range.
    - a list: a drop-down list of its entries; a dict: a drop-down list of its keys, draw gets the values.
    - True or False: a check box.

    A control starts at the default value that `draw` gives its parameter, else at the low end or the first entry.
    alt: says in words what the figure shows; stored with it. The stored picture is the start.
    Raises TypeError or ValueError if the controls do not fit `draw`; what `draw` raises at the start comes through.
    """
    if not controls:
        raise ValueError("explore: there are no controls: name at least one, like explore(draw, k=(1, 5))")
    text("title", title)
    text("alt", alt)
    inches = sequence("figsize", figsize, "a pair (width, height) in inches")
    if len(inches) != 2:
        raise ValueError(f"figsize must be a pair (width, height) in inches, not {brief(figsize)}")
    width, height = (finite(f"figsize[{i}]", side, least=0.5, most=MOST_INCHES) for i, side in enumerate(inches))
    try:
        signature = inspect.signature(function("draw", draw))
    except ValueError:
        raise TypeError(f"draw must be a function written in Python, not {shown(draw)}") from None
    parameters = signature.parameters
    try:
        signature.bind(None, **dict.fromkeys(controls))
    except TypeError as failure:
        raise TypeError(f"explore: draw{signature} cannot be called with {list(controls)}: {failure}") from None
    specs, values, meanings = [], {}, {}
    for name, control in controls.items():
        start = parameters[name].default if name in parameters else inspect.Parameter.empty
        spec, value, meaning = _control(name, control, None if start is inspect.Parameter.empty else start)
        specs.append({"name": name, "label": name.replace("_", " "), **spec})
        values[name], meanings[name] = value, meaning
    alt = alt or f"Interactive figure{f': {title}' if title else ''}, with the controls {', '.join(controls)}."
    try:
        return Explore(draw, meanings, (width, height), title=title, alt=alt, controls=specs, values=values)
    except TypeError as failure:  # an object that only looks as if it could be called with these controls
        raise TypeError(f"draw fails at the start, with {values}: {failure}") from failure


def _control(name: str, control: object, start: object) -> tuple[dict, object, Callable]:
    """(what the browser needs, the first value as JSON, from JSON to what draw gets)."""
    if isinstance(control, bool):
        return {"kind": "check"}, control if start is None else flag(f"draw's default of {name}", start), bool
    if isinstance(control, list | dict):
        if not control:
            raise ValueError(f"explore: the list for {name} is empty: give at least one entry")
        options = control if isinstance(control, dict) else {str(entry): entry for entry in control}
        options = {str(key): value for key, value in options.items()}
        if len(options) < len(control):
            raise ValueError(f"explore: two entries of {name} look the same: {list(control)}")
        first = next((key for key, value in options.items() if start is not None and _same(value, start)), None)
        return {"kind": "choice", "options": list(options)}, first or next(iter(options)), options.__getitem__
    if isinstance(control, tuple) and len(control) in (2, 3) and all(is_number(v) for v in control):
        return _slider(name, control, start)
    raise TypeError(
        f"explore: {name}={control!r} is no control: use (low, high), (low, high, step), a list, a dict, True or False"
    )


def _slider(name: str, control: tuple, start: Any) -> tuple[dict, object, Callable]:
    for value in control:
        finite(name, value, least=-MOST_NUMBER, most=MOST_NUMBER)
    whole = all(isinstance(value, Integral) for value in control)
    low, high = control[:2]
    step = control[2] if len(control) == 3 else 1 if whole else (high - low) / 100
    if not (low < high and step > 0):
        raise ValueError(f"explore: {name}={control!r}: low must be less than high, and the step more than 0")
    cast = int if whole else float
    value = cast(low if start is None else finite(f"draw's default of {name}", start))
    if start is not None and value != start:
        raise ValueError(f"explore: draw's default of {name} is {start}, but {name}={control!r} has whole numbers only")
    if not low <= value <= high:
        raise ValueError(f"explore: {name} starts at {value}, but {name}={control!r} allows {low} to {high}")
    digits = 0 if whole else next(d for d in range(1, 7) if np.isclose(round(step, d), step, rtol=0.02) or d == 6)

    def meaning(given: Any) -> int | float:
        if not is_number(given) or not low <= given <= high:
            raise ValueError(f"{name} is {given!r}, but it must be a number from {low} to {high}")
        return cast(given)

    # Plain Python numbers: NumPy's do not travel as JSON.
    spec = {"kind": "slider", "low": cast(low), "high": cast(high), "step": cast(step), "digits": digits}
    return spec, value, meaning


def _same(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    return a is b or (type(a) is type(b) and bool(np.all(a == b)))
