"""Pieces of a kernel -> lines of Cython text: loops over lanes, products and copies of whole matrices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from symgrad.program import LEAVES, row_of, size_of
from symgrad.schedule import WITHOUT_LANES, Kernel, LaneFunction, Loop, Piece, Whole, is_reduction, view

from .spelling import Printer

Lines = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PieceText:
    """One piece as text: ``call`` for a whole; else a loop over ``size`` rows, and over lanes where there are any.

    ``starts`` set what grows in the loop (for each lane), ``heads`` are the same for all lanes of a row, ``lines`` are
    for each lane, ``ends`` follow the loop.
    """

    size: int
    call: Lines = ()
    starts: Lines = ()
    heads: Lines = ()
    lines: Lines = ()
    ends: Lines = ()

    def text(self, *, without_lanes: bool) -> Lines:
        """Return a piece's lines, with its loops: over rows, and over lanes unless there are none."""
        if without_lanes:
            rows = _looped(f"for row in range({self.size}):", self.lines) if self.size > 1 else self.lines
            return (*self.call, *self.starts, *rows, *self.ends)
        lanes = "for lane in range(LANES):"
        body = _looped(lanes, self.lines) if self.size else ()
        if self.size > 1:
            body = _looped(f"for row in range({self.size}):", (*self.heads, *body))
        return (*self.call, *(_looped(lanes, self.starts) if self.starts else ()), *body)


def _looped(head: str, lines: Lines) -> Lines:
    return (head, *(f"    {line}" for line in lines))


class PieceWriter:
    """Writes the pieces of one function; afterwards ``names`` and ``conditions`` are the locals that it needs."""

    def __init__(self, kernel: Kernel, printer: Printer, function: LaneFunction | None) -> None:
        self._kernel, self._printer, self._function = kernel, printer, function
        self._once = function is None
        self.without_lanes = function is None or function.name in WITHOUT_LANES
        self._own = "c" if function is None else "out"  # the array that the function fills
        self._pieces = kernel.once if function is None else function.pieces
        self._places = kernel.slots if function is None else function.places
        self._named = {v for piece in self._pieces if isinstance(piece, Loop) for v in piece.body}
        self._singles = frozenset(() if function is None else function.singles)
        self.names: dict[str, None] = {}
        self.conditions: dict[str, None] = {}
        self.scalars: dict[int, None] = {}  # numbers that the whole function reads: invariants, or once parameters

    def write(self, comments: dict[int, str]) -> tuple[PieceText, ...]:
        """Return the text of all pieces; ``comments`` are put beside the rows that they are about."""
        texts: list[PieceText] = []
        copied: tuple[int, int, int] | None = None  # what the last text copies of theta
        for piece in self._pieces:
            copy = self._copy_of_theta(piece)
            if copy is not None and copied is not None and copy[:2] == (copied[0] + copied[2], copied[1] + copied[2]):
                copy = (copied[0], copied[1], copied[2] + copy[2])
                texts.pop()
            copied = copy
            if copy is not None:
                texts.append(PieceText(copy[2], lines=(f"c[{_plus(copy[0])}row] = <real>theta[{_plus(copy[1])}row]",)))
            else:
                text = self._loop(piece, comments) if isinstance(piece, Loop) else self._whole(piece)
                if texts and texts[-1].size == 1 and not self.without_lanes:  # what grows may be set in the loop before
                    texts[-1] = replace(texts[-1], lines=(*texts[-1].lines, *text.starts))
                    text = replace(text, starts=())
                texts.append(text)
        return tuple(texts)

    def _copy_of_theta(self, piece: Piece) -> tuple[int, int, int] | None:
        """Return what a loop that only copies parameters copies: to which row of c, from where in theta, how many."""
        copies = isinstance(piece, Loop) and piece.size > 1 and not piece.body and len(piece.writes) == 1
        if not (self._once and copies):
            return None
        assert isinstance(piece, Loop)
        ((variable, row),) = piece.writes
        array, place = self.rows_of(variable)
        return (row, int(place), piece.size) if array == "theta" else None

    # ------------------------------------------------------------------------------------------------------ addresses

    def base(self, variable: int) -> tuple[int, int]:
        """Return in whose rows a variable lies, and how many rows on."""
        variable, offset = self._kernel.homes[variable], 0
        while (start := view(self._kernel.program, variable)) is not None:
            offset += start
            variable = self._kernel.homes[self._kernel.program.assignments[variable].arguments[0]]
        return variable, offset

    def rows_of(self, variable: int, given: bool = True) -> tuple[str, int | str]:
        """Return the array that holds a variable, and its first row there; theta itself only if it may be ``given``."""
        base, offset = self.base(variable)
        assignment = self._kernel.program.assignments[base]
        if self._once and given and assignment.operation == "parameter":
            return "theta", int(assignment.attribute or 0) + offset  # type: ignore[arg-type]
        if assignment.operation == "weight":
            return "data", "WEIGHT_ROW"
        if assignment.operation in ("input", "target", "linear", "cotangent"):
            place = int(assignment.attribute or 0)  # type: ignore[arg-type]
            return "data", place + offset + (self._kernel.inputs if assignment.operation == "target" else 0)
        if base in self._singles:
            return self._array(base), 0
        if base in self._places:
            return self._own, self._places[base] + offset
        return "c", self._kernel.slots[base] + offset

    def element(self, variable: int) -> str:
        """Return the value of a variable, read where it is kept: in a loop over its elements, the row's."""
        array, row = self.rows_of(variable)
        text = self._address(array, row, self._size(variable))
        text = f"<real>{text}" if array == "theta" else text
        return f"{text} != 0.0" if self._is_condition(variable) else text

    def _address(self, array: str, row: int | str, size: int) -> str:
        if array in ("c", "theta") or self.without_lanes:
            return f"{array}[{row}]" if size == 1 else f"{array}[{_plus(row)}row]"
        if size == 1:
            return f"{array}[lane]" if row == 0 else f"{array}[{row} * LANES + lane]"
        return f"{array}[row * LANES + lane]" if row == 0 else f"{array}[({_plus(row)}row) * LANES + lane]"

    def _array(self, variable: int) -> str:
        """The array of a number that has one of its own."""
        return f"{self._printer.name(variable)}_by_lane"

    @property
    def arrays(self) -> tuple[str, ...]:
        """The arrays of the numbers that have one of their own."""
        return tuple(map(self._array, sorted(self._singles)))

    def pointer(self, variable: int, more: str = "") -> str:
        """Return where a whole matrix begins."""
        array, row = self.rows_of(variable, given=False)
        width = "" if array == "c" or self.without_lanes else " * LANES"
        return f"&{array}[{_sum(row, more, width)}]"

    def _size(self, variable: int) -> int:
        return size_of(self._kernel.shape(self._kernel.homes[variable]))

    def _is_condition(self, variable: int) -> bool:
        return row_of(self._kernel.program.assignments[self._kernel.homes[variable]].operation).is_condition

    # ---------------------------------------------------------------------------------------------------------- loops

    def _loop(self, loop: Loop, comments: dict[int, str]) -> PieceText:
        program, printer, homes = self._kernel.program, self._printer, self._kernel.homes
        grown = [v for v in loop.body if is_reduction(program.assignments[v])]
        added = {v: homes[program.assignments[v].arguments[0]] for v in grown}
        single = [v for v in loop.body if v in self._singles and v not in added]
        lasting = 2 * self._used_later(loop) if self.without_lanes else []  # used twice: it gets a line
        kept = [*(v for v, _ in loop.writes), *single, *(added[v] for v in grown for _ in self._uses(v)), *lasting]
        body = [v for v in loop.body if v not in added and program.assignments[v].operation != "place"]
        lines, texts = printer.lines(body, kept)
        heads, reads = self._reads(body, kept)
        text = [*reads, *(self._declared(v, expression) for v, expression in lines)]
        text += [self._written(v, row, texts[v].text, loop.size, comments) for v, row in loop.writes]
        text += [f"{self._array(v)}[lane] = {self._stored(v, texts[v].text)}" for v in single]
        text += [line for v in grown for line in self._grown(v, texts[added[v]].text)]
        return PieceText(
            loop.size,
            starts=tuple(f"{self._growing(v)} = {self._neutral(v)}" for v in grown),
            heads=tuple(heads),
            lines=tuple(text),
            ends=tuple(
                f"{self._own}[{self._places[v]}] = {printer.name(v)}"
                for v in grown
                if self.without_lanes and v in self._places
            ),
        )

    def _uses(self, variable: int) -> range:
        """How often the line of a reduction writes its argument: more than once, and it needs a name."""
        return range(2 if self._kernel.program.assignments[variable].operation == "largest" else 1)

    def _used_later(self, loop: Loop) -> list[int]:
        """In the function that runs once: the numbers of a loop that other pieces read by name."""
        used: set[int] = set()
        for piece in self._pieces:
            if piece is not loop:
                used.update(self._taken(piece))
        return [v for v in loop.body if v in used and self._size(v) == 1]

    def _taken(self, piece: Piece) -> Iterator[int]:
        body = piece.body if isinstance(piece, Loop) else (piece.variable,)
        yield from (self._kernel.homes[a] for v in body for a in self._kernel.program.assignments[v].arguments)
        if isinstance(piece, Loop):
            yield from (v for v, _ in piece.writes)

    def _reads(self, body: list[int], kept: Iterable[int]) -> tuple[list[str], list[str]]:
        """What a loop reads: lines that are the same for all lanes, and those for each lane."""
        program = self._kernel.program
        arguments = [self._kernel.homes[a] for v in body for a in program.assignments[v].arguments]
        read = sorted({*arguments, *kept} - set(body))
        heads: list[str] = []
        lines: list[str] = []
        for variable in read:
            assignment = program.assignments[variable]
            if assignment.operation in ("constant", "place"):
                continue
            invariant = self.rows_of(variable)[0] in ("c", "theta") if not self._is_local(variable) else False
            if self._is_local(variable) or (invariant and self._size(variable) == 1 and self._lasts(variable)):
                if not self._is_local(variable):
                    self.scalars[variable] = None
                continue
            (heads if invariant and not self.without_lanes else lines).append(
                self._declared(variable, self.element(variable))
            )
        return heads, lines

    def _is_local(self, variable: int) -> bool:
        """A number that a loop has computed, in the function that runs once: its name still holds it."""
        return (
            self.without_lanes
            and variable in self._named
            and self._size(variable) == 1
            and view(self._kernel.program, variable) is None
        )

    def _lasts(self, variable: int) -> bool:
        """Can a number be read at the beginning of the function? Not, if it is part of what the function computes."""
        return not self._once or self._kernel.program.assignments[self.base(variable)[0]].operation in LEAVES

    def _declared(self, variable: int, text: str) -> str:
        name = self._printer.name(variable)
        (self.conditions if self._is_condition(variable) else self.names)[name] = None
        return f"{name} = {text}"

    def _written(self, variable: int, row: int, text: str, size: int, comments: dict[int, str]) -> str:
        address = self._address(self._own, row, size)
        return f"{address} = {self._stored(variable, text)}{comments.get(row, '')}"

    def _stored(self, variable: int, text: str) -> str:
        """A value as a row of numbers holds it: a condition as 1 or 0."""
        return f"1.0 if {text} else 0.0" if self._is_condition(variable) else text

    def _growing(self, variable: int) -> str:
        """Where a sum over elements grows: in a name, or in the lane's place of its row."""
        if not self.without_lanes:
            return self.element(variable)
        self.names[self._printer.name(variable)] = None
        return self._printer.name(variable)

    def _neutral(self, variable: int) -> str:
        return "0.0" if self._kernel.program.assignments[variable].operation == "total" else "-INFINITY"

    def _grown(self, variable: int, text: str) -> list[str]:
        place = self._growing(variable)
        if self._kernel.program.assignments[variable].operation == "total":
            return [f"{place} += {text}"]
        # in single choices between names, or the loop is not vectorised; a NaN wins, as a sum of both
        name = self._printer.name(variable)
        self.names |= {name: None, f"{name}_or_nan": None}
        return [
            *([] if place == name else [f"{name} = {place}"]),
            f"{name}_or_nan = {name} + {text}",
            f"{name}_or_nan = {name} if {name} >= {text} else {name}_or_nan",
            f"{place} = {text} if {text} > {name} else {name}_or_nan",
        ]

    # --------------------------------------------------------------------------------------------------------- wholes

    def _whole(self, whole: Whole) -> PieceText:
        operation = self._kernel.program.assignments[whole.variable].operation
        lines = self._product(whole) if operation == "matmul" else self._copied(whole, operation)
        return PieceText(0, call=(f"# {self._equation(whole.variable)}", *lines))

    def _equation(self, variable: int) -> str:
        """What a whole is, in names."""
        assignment = self._kernel.program.assignments[variable]
        names = [self._printer.operand(a).text for a in assignment.arguments]
        shape = f"{assignment.shape[0]} x {assignment.shape[1]}"
        if assignment.operation == "matmul":
            turned = assignment.attribute if isinstance(assignment.attribute, tuple) else (0, 0)
            names = [f"{name}.T" if t else name for name, t in zip(names, turned, strict=True)]
            return f"{self._printer.name(variable)} = {' @ '.join(names)}, {shape}"
        return f"{self._printer.name(variable)} = {assignment.operation} of {', '.join(names)}, {shape}"

    def _product(self, whole: Whole) -> Lines:
        assignment = self._kernel.program.assignments[whole.variable]
        left, right = assignment.arguments
        turned = assignment.attribute if isinstance(assignment.attribute, tuple) else (0, 0)
        (m, n), k = assignment.shape, self._size(left) // assignment.shape[0]
        rows, columns = ((1, m) if turned[0] else (k, 1)), ((1, k) if turned[1] else (n, 1))
        to = self.pointer(whole.variable)
        if whole.service == "multiply_once":
            return (
                f"multiply_once({to}, {self.pointer(left)}, {rows[0]}, {rows[1]}, "
                f"{self.pointer(right)}, {columns[0]}, {columns[1]}, {m}, {k}, {n})",
            )
        if whole.service == "multiply_each":
            return (f"multiply_each({to}, {self.pointer(left)}, {self.pointer(right)}, {m}, {k}, {n})",)
        if self._is_fixed(left):
            return (
                f"multiply({to}, {self.pointer(left)}, {rows[0]}, {rows[1]}, {self.pointer(right)}, {m}, {k}, {n})",
            )
        steps = ("", "") if m == 1 else (f"row * {n}", f"row * {k}")
        to, from_ = self.pointer(whole.variable, steps[0]), self.pointer(left, steps[1])
        call = f"multiply({to}, {self.pointer(right)}, {columns[1]}, {columns[0]}, {from_}, {n}, {k}, 1)"
        return (call,) if m == 1 else (f"for row in range({m}):", f"    {call}")

    def _is_fixed(self, variable: int) -> bool:
        return self.rows_of(variable, given=False)[0] == "c"

    def _copied(self, whole: Whole, operation: str) -> Lines:
        assignment = self._kernel.program.assignments[whole.variable]
        source = assignment.arguments[0]
        rows, columns = assignment.shape
        to, from_, width = self.pointer(whole.variable), self.pointer(source), "1" if self.without_lanes else "LANES"
        if operation == "transpose":
            return (f"copy_rows({to}, {columns}, 1, {from_}, 1, {rows}, {rows}, {columns}, {width})",)
        assert isinstance(assignment.attribute, tuple)
        if operation == "slice":
            top, left = assignment.attribute[:2]
            across = self._kernel.shape(source)[1]
            begin = self.pointer(source, str(top * across + left))
            return (f"copy_rows({to}, {columns}, 1, {begin}, {across}, 1, {rows}, {columns}, {width})",)
        places = zip(assignment.attribute[:-2:2], assignment.attribute[1:-2:2], strict=True)
        lines = [f"memset({to}, 0, {rows * columns} * {width} * sizeof(real))"]
        if sum(map(self._size, assignment.arguments)) == rows * columns:
            lines.clear()  # the parts leave nothing out
        for part, (top, left) in zip(assignment.arguments, places, strict=True):
            m, n = self._kernel.shape(part)
            begin, from_ = self.pointer(whole.variable, str(top * columns + left)), self.pointer(part)
            lines.append(f"copy_rows({begin}, {columns}, 1, {from_}, {n}, 1, {m}, {n}, {width})")
        return tuple(lines)


def _plus(row: int | str) -> str:
    return "" if row == 0 else f"{row} + "


def _sum(row: int | str, more: str, width: str) -> str:
    """An offset in an array as text: ``row`` and more rows, each so wide."""
    if more.isdigit() and isinstance(row, int):
        row, more = row + int(more), ""
    text = f"{_plus(row)}{more}" if more else str(row)
    if text == "0":
        return "0"
    return f"({text}){width}" if more and width and row != 0 else f"{text}{width}"
