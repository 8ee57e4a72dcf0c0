"""Program -> Kernel: what is computed once for a theta, what for each sample, in which loops, and kept where."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from heapq import heappop, heappush

from symgrad.program import SAMPLE_LEAVES, Program, Shape, count, size_of

from .blocks import separate_blocks
from .kernel import WITHOUT_LANES, Kernel, LaneFunction, Loop, Outer, Piece, Predictor, Scaled, Segment, Whole
from .predictors import separate_predictors
from .products import separate_products
from .scratch import Rows
from .steps import Step, is_elementwise, is_reduction, same_elements, sequence, view

DEPTH = 16  # calls of a lane function that make a tile: bounds the error of the compensated sum
# Operations in one loop: beyond, a processor no longer sees from one pass into the next, and waits for each result.
LONGEST_BODY = 200


def schedule(program: Program, inputs: int) -> Kernel:
    """Return the kernel of a program: what no sample changes is hoisted, and each output has its lane function.

    The program's outputs are ``loss`` (weighted), ``gradient``, ``prediction`` and, with a penalty, ``penalty`` and
    ``penalty_gradient``; with a cut, ``pulled`` (see passes/cut.py). ``inputs`` is the number of the inputs' columns.
    """
    parameters = [program.assignments[v].shape for v in program.outputs["gradient"]]
    program, predictors, scaled = separate_blocks(*separate_predictors(program))
    program, outers = separate_products(program)
    homes = same_elements(program)
    varies = program.depends_on(SAMPLE_LEAVES)
    rows, segments = _gradient_rows(program, parameters)
    operands = [*(v for outer in outers for v in (outer.left, outer.right)), *(s.factor for s in scaled)]
    scheduler = _Scheduler(program, homes, varies)
    functions = [
        scheduler.lane_function("losses", program.outputs["loss"]),
        scheduler.lane_function("gradients", (*program.outputs["loss"], *rows), operands),
    ]
    if program.outputs["prediction"]:
        functions.append(scheduler.lane_function("predictions", program.outputs["prediction"]))
    if "pulled" in program.outputs:
        functions.append(scheduler.lane_function("pull", program.outputs["pulled"]))
    penalty = (*program.outputs.get("penalty", ()), *program.outputs.get("penalty_gradient", ()))
    once = scheduler.once(functions, [predictor.weights for predictor in predictors], penalty)
    return Kernel(
        program=program,
        homes=homes,
        once=once.pieces,
        slots=once.places,
        n_invariants=once.rows + once.scratch,
        functions=tuple(functions),
        parameters=tuple(parameters),
        segments=segments,
        outers=outers,
        predictors=predictors,
        scaled=scaled,
        n_penalty=once.rows,
        inputs=inputs,
        lanes=64 if scheduler.has_matrices else _lanes(sum(segment.size for segment in segments)),
        depth=DEPTH,
        counts=_counts(program, varies, outers, predictors, scaled),
    )


def _lanes(rows: int) -> int:
    """Samples side by side: fewer where the sums of many rows have to share the first cache."""
    return 64 if rows <= 24 else 32 if rows <= 48 else 16


def _gradient_rows(program: Program, shapes: Sequence[Shape]) -> tuple[list[int], tuple[Segment, ...]]:
    """The gradients that are summed row by row, and which parameters' they are; what is zero needs no rows."""
    rows, segments, row, at = list[int](), list[Segment](), 1, 0
    for variable, shape in zip(program.outputs["gradient"], shapes, strict=True):
        assignment, size = program.assignments[variable], size_of(shape)
        if assignment.operation != "constant" or assignment.attribute != 0:
            zero = assignment.operation == "fill" and program.assignments[assignment.arguments[0]].attribute == 0
            if not zero:
                rows.append(variable)
                last = segments[-1] if segments else None
                if last is not None and last.at + last.size == at and last.row + last.size == row:
                    segments[-1] = Segment(last.row, last.at, last.size + size)
                else:
                    segments.append(Segment(row, at, size))
                row += size
        at += size
    return rows, tuple(segments)


def _counts(
    program: Program,
    varies: Sequence[bool],
    outers: Iterable[Outer],
    predictors: Iterable[Predictor],
    scaled: Sequence[Scaled],
) -> dict[str, int]:
    """Operations for a sample: of the loss, and of the loss with its gradient; and those done once for a theta."""
    roots = [*(v for outer in outers for v in (outer.left, outer.right)), *(s.factor for s in scaled)]
    gradient = {*program.needed("loss", "gradient"), *program.closure(roots)}
    sums = sum(2 * p.size - 1 for p in predictors)
    products = sum(2 * o.m * o.p * o.k for o in outers) + sum(s.size for s in scaled)

    def total(variables: Iterable[int]) -> int:
        return sum(count(program, v) for v in variables)

    return {
        "loss": total(v for v in program.needed("loss") if varies[v]) + sums,
        "gradient": total(v for v in gradient if varies[v]) + sums + products,
        "once": total(v for v in {*program.needed(), *gradient} if not varies[v]),
        "loss in all": total(program.needed("loss")) + sums,
        "gradient in all": total(gradient) + sums + products,
    }


class _Scheduler:
    """Puts the operations behind some results into pieces, and what outlives its loop into rows."""

    def __init__(self, program: Program, homes: tuple[int, ...], varies: Sequence[bool]) -> None:
        self._program, self._homes, self._varies = program, homes, varies
        self.has_matrices = any(program.assignments[v].shape for v in program.needed())

    def lane_function(self, name: str, rows: Sequence[int], operands: Sequence[int] = ()) -> LaneFunction:
        """The function that fills ``rows``, and keeps ``operands`` for the products of a tile."""
        variables = self._closure([*rows, *operands], varying=True)
        loops = -(-len(variables) // LONGEST_BODY)
        steps = sequence(self._program, self._homes, variables, -(-len(variables) // max(loops, 1)))
        # a result may be consecutive rows of what has to be kept for it
        lasting = [self._base(v) for v in (*rows, *operands)]
        kept = [*self._crossing(steps), *lasting]
        return self._placed(name, steps, [self._homes[v] for v in rows], kept, frozenset(lasting))

    def once(self, functions: Iterable[LaneFunction], weights: Iterable[int], results: Sequence[int]) -> LaneFunction:
        """The results (of the penalty), the weights of predictors, and what the functions need that no sample changes.

        Scalars on the way need no row, unless they are copied into a matrix.
        """
        read = sorted({*map(self._base, weights), *(v for function in functions for v in self._taken(function.pieces))})
        steps = sequence(self._program, self._homes, self._closure([*read, *results], varying=False))
        copied = {self._base(a) for step in steps if not step.size for v in step.variables for a in self._arguments(v)}
        crossing = [v for v in self._crossing(steps) if self._program.assignments[v].shape or v in copied]
        kept = [*read, *crossing, *map(self._base, results)]
        return self._placed("once", steps, [self._homes[v] for v in results], kept, frozenset(kept))

    def _closure(self, roots: Iterable[int], varying: bool) -> list[int]:
        """The roots and all that they depend on, in order, without leaving what varies (or what does not)."""
        wanted = {self._homes[root] for root in roots if self._varies[root] == varying}
        for variable in range(max(wanted, default=-1), -1, -1):
            if variable in wanted:
                arguments = self._program.assignments[variable].arguments
                wanted.update(self._homes[a] for a in arguments if self._varies[a] == varying)
        return sorted(wanted)

    def _base(self, variable: int) -> int:
        """The variable in whose rows this one lies: itself, or what it is consecutive rows of."""
        variable = self._homes[variable]
        while view(self._program, variable) is not None:
            variable = self._homes[self._program.assignments[variable].arguments[0]]
        return variable

    def _arguments(self, variable: int) -> list[int]:
        return [self._homes[a] for a in self._program.assignments[variable].arguments]

    def _taken(self, pieces: Iterable[Piece]) -> Iterator[int]:
        """What pieces take that no sample changes; constants and places are written where they are used."""
        for piece in pieces:
            loop = isinstance(piece, Loop)
            own = [*piece.body, *(v for v, _ in piece.writes)] if isinstance(piece, Loop) else [piece.variable]
            for argument in (a for v in own for a in (*self._arguments(v), *([v] if loop else []))):
                base = self._base(argument)
                operation = self._program.assignments[base].operation
                written = operation == "constant" or (operation == "place" and loop and base == argument)
                if not self._varies[base] and not written:
                    yield base

    def _crossing(self, steps: Sequence[Step]) -> list[int]:
        """What is used in another step than it is made in, or by a product or copy, or as a part of itself."""
        home = {v: number for number, step in enumerate(steps) for v in step.variables}
        crossing: dict[int, None] = {}
        for number, step in enumerate(steps):
            for variable in step.variables:
                assignment = self._program.assignments[variable]
                for argument in self._arguments(variable):
                    base = self._base(argument)
                    if not step.size or base != argument or home.get(base, number) != number:
                        crossing[base] = None
                if not step.size or assignment.operation == "assemble" or is_reduction(assignment):
                    crossing[variable] = None
        return list(crossing)

    def _placed(
        self, name: str, steps: Sequence[Step], rows: Sequence[int], kept: Sequence[int], lasting: Set[int]
    ) -> LaneFunction:
        """Return the steps as pieces: results in the first rows, what is kept in those that follow.

        Rows are used again when what they hold is not read any more, unless it is ``lasting``. Of two results a and b,
        c that a loop reads in another than it is made in, and d that is made when c is no longer read:

            row 0: a    row 1: b    row 2: c, later d
        """
        made = {v for step in steps for v in step.variables}
        places: dict[int, int] = {}
        extra: list[tuple[int, int]] = []  # results that are no variable's own rows
        n_rows = 0
        for variable in rows:
            if variable in made and variable not in places and not self._is_reduction(variable):
                places[variable] = n_rows
            else:
                extra.append((variable, n_rows))
            n_rows += self._size(variable)
        parameters = [v for v in kept if name == "once" and self._program.assignments[v].operation == "parameter"]
        here = [v for v in dict.fromkeys(kept) if v not in places and (v in made or v in parameters)]
        alone = self.has_matrices and name not in WITHOUT_LANES
        singles = [v for v in here if alone and self._size(v) == 1 and v not in lasting]
        scratch, end = self._scratch(steps, [v for v in here if v not in singles], n_rows, lasting)
        places |= scratch
        given = [(v, row) for v, row in places.items() if v not in made]
        left = [(v, row) for v, row in extra if not self._is_line(v, made)]
        pieces = (
            *self._copies(given),
            *(self._piece(step, places, extra, name in WITHOUT_LANES) for step in steps),
            *self._copies(left),
        )
        return LaneFunction(name, n_rows, end - n_rows, pieces, places, tuple(singles))

    def _scratch(
        self, steps: Sequence[Step], kept: Iterable[int], first: int, lasting: Set[int]
    ) -> tuple[dict[int, int], int]:
        """A place for each kept variable, and the end of all."""
        born = {v: number for number, step in enumerate(steps) for v in step.variables}
        last = dict(born)
        for number, step in enumerate(steps):
            last |= {self._base(a): number for v in step.variables for a in self._arguments(v)}
        rows, places = Rows(first), dict[int, int]()
        alive = list[tuple[int, int]]()  # a heap: who dies next comes first
        for variable in sorted(kept, key=lambda v: born.get(v, -1)):
            while alive and alive[0][0] < born.get(variable, -1):
                _, dead = heappop(alive)
                rows.give(places[dead], self._size(dead))
            places[variable] = rows.take(self._size(variable))
            if variable not in lasting:
                heappush(alive, (last[variable], variable))
        return places, rows.end

    def _is_reduction(self, variable: int) -> bool:
        return is_reduction(self._program.assignments[variable])

    def _size(self, variable: int) -> int:
        return size_of(self._program.assignments[variable].shape)

    def _service(self, variable: int, once: bool) -> str:
        """What does a product or copy of whole matrices: see `Whole`."""
        if self._program.assignments[variable].operation != "matmul":
            return "copy_rows"
        if once:
            return "multiply_once"
        both = all(self._varies[self._base(argument)] for argument in self._arguments(variable))
        return "multiply_each" if both else "multiply"

    def _piece(self, step: Step, places: Mapping[int, int], extra: list[tuple[int, int]], once: bool) -> Piece:
        if not step.size:
            (variable,) = step.variables
            return Whole(variable, places.get(variable), self._service(variable, once))
        writes: list[tuple[int, int]] = []
        body = []
        for variable in step.variables:
            operation = self._program.assignments[variable].operation
            if operation == "assemble":
                writes += [(a, places[variable] + i) for i, a in enumerate(self._arguments(variable))]
                continue
            body.append(variable)
            if not self._is_reduction(variable):
                writes += [(variable, places[variable])] if variable in places else []
                writes += [(v, row) for v, row in extra if v == variable]
        return Loop(step.size, tuple(body), tuple(writes))

    def _copies(self, written: Iterable[tuple[int, int]]) -> Iterator[Piece]:
        """Loops that only write what no loop has made."""
        by_size: dict[int, list[tuple[int, int]]] = {}
        for variable, row in written:
            by_size.setdefault(self._size(variable), []).append((variable, row))
        for size, writes in by_size.items():
            yield Loop(size, (), tuple(writes))

    def _is_line(self, variable: int, made: set[int]) -> bool:
        operation = self._program.assignments[variable].operation
        return variable in made and is_elementwise(self._program.assignments[variable]) and operation != "assemble"
