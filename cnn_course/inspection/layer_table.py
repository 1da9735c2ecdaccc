"""The table that `stacks` makes of a list of layers and `trace` of a torch module, and its arithmetic for one axis.

The **jump** is the distance, in input pixels, between two neighbouring units; the **field** (receptive field) is how
many input pixels in a row one unit can depend on, counted from the first to the last. A layer of k taps, stride s and
dilation d turns (field r, jump j) into (r + (k - 1) d j, s j).
"""

import dataclasses
import html
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, overload

from cnn_course.arguments.integers import integer
from cnn_course.arguments.objects import flag, text
from cnn_course.arguments.shown import brief
from cnn_course.convolution import output_size

Sizes = int | tuple[int, ...]


class Axis(NamedTuple):
    """What is known about one axis of a feature map. Pixels are counted from 0; those below 0 are padding."""

    size: int  # units along this axis
    jump: int | None  # input pixels from one unit to the next; None if there is no next one, or no one distance
    field: int  # input pixels that one unit covers, from the first to the last
    left: int  # first pixel that the first unit covers
    span: int  # pixels that all units together cover

    @classmethod
    def pixels(cls, n: int) -> "Axis":
        """The axis of an input: every unit is one pixel. Raises ValueError and TypeError for no number of pixels."""
        n = integer("n", n, least=1)
        return cls(n, 1, 1, 0, n)

    @property
    def centre(self) -> float:
        """Pixel in the middle of the first unit's field: a half between two pixels. Units follow `jump` apart."""
        return self.left + (self.field - 1) / 2

    def slide(
        self, k: int, *, stride: int = 1, padding: int | str = 0, dilation: int = 1, ceil_mode: bool = False
    ) -> "Axis":
        """After a layer of k taps: the recurrence. Raises ValueError if the taps do not fit, or have no one distance.

        ceil_mode: as in PyTorch's pools, one more window where pixels are left over and it starts inside.
        """
        k, stride = integer("k", k, least=1), integer("stride", stride, least=1)
        dilation = integer("dilation", dilation, least=1)
        padding = padding if isinstance(padding, str) else integer("padding", padding, least=0)
        before = padding if not isinstance(padding, str) else dilation * (k - 1) // 2 if padding == "same" else 0
        size = -1
        if flag("ceil_mode", ceil_mode):
            size = -(-(self.size + 2 * before - dilation * (k - 1) - 1) // stride) + 1
            size -= (size - 1) * stride >= self.size + before
        if size < 1:
            size = output_size(self.size, k, stride=stride, padding=padding, dilation=dilation)
        if self.jump is None:
            if k > 1 and self.size > 1:
                raise ValueError("its inputs are unevenly spaced (an adaptive pool did that): it has no one field")
            return self._replace(size=size)
        jump, field = self.jump * stride, self.field + (k - 1) * dilation * self.jump
        return Axis(size, jump, field, self.left - before * self.jump, field + (size - 1) * jump)

    def whole(self) -> "Axis":
        """After a layer that looks at all units at once."""
        return Axis(1, None, self.span, self.left, self.span)


class Row(NamedTuple):
    """One line of a table. axes: one for each axis of the map, or of the map that was flattened.

    jump, field and centre are one number where the axes agree, as they nearly always do. Their annotations say so, and
    leave the rest open (`Any`): else a type checker would object to each `row.field / 2`.
    """

    layer: str
    shape: tuple[int, ...]
    axes: tuple[Axis, ...]
    parameters: int = 0
    macs: int = 0
    name: str = ""  # of a part of a torch module; a list of layers has none

    @property
    def jump(self) -> int | Any:
        """Input pixels between neighbours; a tuple where the axes differ, None where there is no such distance."""
        return None if len(self.shape) == 1 else _shared([axis.jump for axis in self.axes])

    @property
    def field(self) -> int | Any:
        """Receptive field in input pixels; a tuple where the axes differ, None for an input without axes."""
        return _shared([axis.field for axis in self.axes])

    @property
    def centre(self) -> float | Any:
        """Input pixel in the middle of the first unit's field."""
        return _shared([axis.centre for axis in self.axes])


@dataclasses.dataclass(frozen=True, repr=False)
class Table:
    """Rows, of which the first is the input, and the totals of the whole network. Prints as text and as HTML."""

    rows: tuple[Row, ...]
    parameters: int
    macs: int
    note: str = ""

    @overload
    def __getitem__(self, i: int | str) -> Row: ...

    @overload
    def __getitem__(self, i: slice) -> tuple[Row, ...]: ...

    def __getitem__(self, i: int | str | slice) -> Row | tuple[Row, ...]:
        """The row of layer i, counted from 1 (0 is the input, -1 the last), or of the first layer with that name.

        Raises KeyError for another name, IndexError for another number, and TypeError for what is neither.
        """
        if isinstance(i, str):
            found = next((row for row in self.rows if i in (row.name, row.layer)), None)
            if found is None:
                raise KeyError(f"no layer is called {i!r}; there are {', '.join(r.name or r.layer for r in self.rows)}")
            return found
        if isinstance(i, slice):
            return self.rows[i]
        number = integer("i", i)
        if not -len(self.rows) <= number < len(self.rows):
            raise IndexError(f"i must be from {-len(self.rows)} to {len(self.rows) - 1}, not {brief(i)}")
        return self.rows[number]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def only(self, *kinds: str) -> "Table":
        """The rows whose layer begins with one of `kinds`, such as "Conv" or "Max pool", and the input; same totals."""
        for i, kind in enumerate(kinds):
            text(f"kinds[{i}]", kind)
        rows = [row for i, row in enumerate(self.rows) if i == 0 or row.layer.startswith(kinds)]
        return dataclasses.replace(self, rows=tuple(rows))

    def _cells(self) -> tuple[list[str], list[list[str]], list[str], int]:
        """(head, lines, foot, how many columns hold text)."""
        named = any(row.name for row in self.rows)
        head = [*(["name"] if named else []), "layer", "output", "parameters", "MACs", "jump", "field", "first centre"]
        lines = []
        for row in self.rows:
            costs = [f"{n:,}" if n else "" for n in (row.parameters, row.macs)]
            seen = [size_text(row.jump), size_text(row.field), size_text(row.centre)]
            lines.append([*([row.name] if named else []), row.layer, size_text(row.shape), *costs, *seen])
        foot = [*([""] if named else []), "whole network", "", f"{self.parameters:,}", f"{self.macs:,}", "", "", ""]
        return head, lines, foot, 3 if named else 2

    def __repr__(self) -> str:
        head, lines, foot, texts = self._cells()
        widths = [max(map(len, column)) for column in zip(head, *lines, foot, strict=True)]
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        printed = [
            "  ".join(
                c.ljust(w) if i < texts else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))
            )
            for line in [head, *lines, foot]
        ]
        ends = [self.note] if self.note else []
        return "\n".join(line.rstrip() for line in [printed[0], rule, *printed[1:-1], rule, printed[-1], *ends])

    def _repr_html_(self) -> str:
        head, lines, foot, texts = self._cells()

        def line(cells: list[str], tag: str) -> str:
            start = f'<{tag} style="text-align:left">'
            lefts = [f"{start}{html.escape(cell)}</{tag}>" for cell in cells[:texts]]
            return "".join(lefts + [f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells[texts:]])

        row = '<tr style="text-align:right">'
        body = "".join(f"{row}{line(cells, 'td')}</tr>" for cells in lines)
        note = f"<p>{html.escape(self.note)}</p>" if self.note else ""
        return (
            f"<table><thead>{row}{line(head, 'th')}</tr></thead><tbody>{body}</tbody>"
            f"<tfoot>{row}{line(foot, 'th')}</tr></tfoot></table>{note}"
        )


def table_of(rows: Sequence[Row], note: str = "") -> Table:
    """A table whose totals are those of its rows."""
    return Table(tuple(rows), sum(row.parameters for row in rows), sum(row.macs for row in rows), note)


def size_text(value: Any) -> str:
    """3, 3×3, same, 0.5; nothing for None. A tuple of equal numbers stays a tuple: it is a size."""
    if isinstance(value, tuple | list):
        return "×".join(size_text(v) or "–" for v in value)
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _shared(values: list) -> Any:
    """The one value, a tuple if they differ, None if there is none."""
    if not values or all(value is None for value in values):
        return None
    return values[0] if len(set(values)) == 1 else tuple(values)
