"""Which statements of a submission an answer needs, from what each of them makes and uses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from cnn_course.grading.sandbox.source_text import EVERYTHING, FUTURE, Statement

_MOST_LOOKS = 100_000
Place = tuple[str, int]  # a statement: its cell, and its number there


class Statements:
    """The statements of all cells, in the notebook's order. Nothing here runs any of them.

    cells: the cells' names in that order. answers: those of them that the master has. given: names that are there
    without the student.
    """

    def __init__(self, cells: Iterable[str], answers: Collection[str], given: Iterable[str]) -> None:
        self._order = {cell: number for number, cell in enumerate(cells)}
        self._answers, self._given = answers, frozenset(given)
        self._said: dict[Place, Statement] = {}
        self._makers: dict[str, list[Place]] = {}  # of each name
        self._looks = 0  # of `_filled`

    def add(self, cell: str, statements: Iterable[Statement | None]) -> None:
        """What one cell says; None for a statement that the lab's first cell has run already. In the order of cells."""
        for number, statement in enumerate(statements):
            if statement is not None:
                self._said[cell, number] = statement
                for name in statement.made:
                    self._makers.setdefault(name, []).append((cell, number))

    def complete(self) -> None:
        """After all cells: what changes a name that another statement made counts among its makers."""
        own = {name for name, found in self._makers.items() if not all(self._said[place].modules for place in found)}
        for place, statement in self._said.items():
            for name in own & (statement.changed if statement.calm else statement.changed | self._filled(statement)):
                if place not in self._makers[name]:
                    self._makers[name].append(place)

    def __getitem__(self, place: Place) -> Statement:
        return self._said[place]

    def make(self, name: str) -> bool:
        """Whether any statement makes this name."""
        return name in self._makers

    def common(self, end: str) -> Iterator[Place]:
        """Those above the end of a cell that every process runs: answers' cells, and imports of everything."""
        everywhere = {*self._makers.get(EVERYTHING, []), *self._makers.get(FUTURE, [])}
        return (p for p in self._said if self._above(p, end) and (p in everywhere or p[0] in self._answers))

    def needed(self, function: str, end: str) -> set[Place]:
        """Those that make a function as it is at the end of a cell, and those that make what these use."""
        found: set[Place] = set()
        wanted, seen = [function], {function}
        while wanted:  # each name once, and so each statement: an answer may have tens of thousands
            for place in self._made(wanted.pop(), end):
                if place not in found:
                    found.add(place)
                    more = self._said[place].used - seen
                    seen |= more
                    wanted += more
        return found

    def in_each_others_way(self, functions: Iterable[str]) -> bool:
        """Whether it matters for an answer which cells below it have been run."""
        if EVERYTHING in self._makers:
            return True
        run = {place for place in self._said if place[0] in self._answers}
        run = run.union(*(self.needed(function, "") for function in functions))
        made: dict[str, tuple[str, dict[str, str] | None]] = {}
        for place in run:
            statement = self._said[place]
            imports = statement.modules or None
            if statement.made & self._given:  # an answer above it has the one that was there
                return True
            for name in statement.made:
                where, what = made.setdefault(name, (place[0], imports))
                if where != place[0] and (imports is None or what != imports):
                    return True
        return not all(self._said[place].calm for place in run)

    def _filled(self, statement: Statement) -> set[str]:
        """What a statement may fill that does something: names that are no functions, used by it or what it calls."""
        found: set[str] = set()
        wanted, seen = [*statement.used - statement.made], {*statement.used}
        while wanted and self._looks < _MOST_LOOKS:  # a chain of thousands of functions is nobody's answer
            self._looks += 1
            name = wanted.pop()
            makers = [self._said[place] for place in self._makers.get(name, [])]
            if makers and not all(maker.defines or maker.modules for maker in makers):
                found.add(name)
                continue
            more = set().union(*(maker.used for maker in makers if maker.defines)) - seen
            seen |= more
            wanted += more
        return found

    def _made(self, name: str, end: str) -> list[Place]:
        """Where a name is made above; if nowhere, and it is nothing that is there from the start, then below."""
        makers = self._makers.get(name, [])
        above = [place for place in makers if self._above(place, end)]
        return above if name in self._given else above or [*makers]

    def _above(self, place: Place, end: str) -> bool:
        """Whether a statement stands above the end of a cell; "" is the end of the notebook."""
        return end not in self._order or self._order[place[0]] <= self._order[end]
