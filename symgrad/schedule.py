"""Program -> Kernel: what is computed once for a theta, what for each sample, and in which loops."""

from collections.abc import Iterable, Sequence

from .kernel import Kernel, LaneFunction, Loop
from .program import LEAVES, Program

DEPTH = 16  # samples that follow one another in a lane of a tile: bounds the error of the compensated sum
LONGEST_BODY = 200  # operations in one loop; beyond, the spills and the time of GCC grow faster than the work
_SAMPLE_LEAVES = ("input", "target", "weight")


def schedule(program: Program, inputs: int) -> Kernel:
    """Hoist what no sample changes; give each output its lane function.

    The program's outputs are ``loss`` (weighted), ``gradient``, ``prediction`` and, with a penalty, ``penalty`` and
    ``penalty_gradient``. ``inputs`` is the number of the inputs' columns.
    """
    varies = program.depends_on(_SAMPLE_LEAVES)
    outputs = program.outputs
    wanted = {"losses": outputs["loss"], "gradients": (*outputs["loss"], *outputs["gradient"])}
    if outputs["prediction"]:
        wanted["predictions"] = outputs["prediction"]
    functions = tuple(_lane_function(program, varies, name, rows) for name, rows in wanted.items())
    penalty = (*outputs.get("penalty", ()), *outputs.get("penalty_gradient", ()))
    read = _invariants_read(program, varies, functions)
    slots = {variable: slot for slot, variable in enumerate(read)}
    return Kernel(
        program=program,
        invariant=_invariants(program, varies, (*read, *penalty)),
        slots=slots,
        functions=functions,
        penalty=penalty,
        inputs=inputs,
        lanes=_lanes(len(outputs["gradient"])),
        depth=DEPTH,
        counts=_counts(program, varies),
    )


def _lanes(parameters: int) -> int:
    """Samples side by side: fewer where many parameters' sums have to share the first cache."""
    return 64 if parameters <= 24 else 32 if parameters <= 48 else 16


def _lane_function(program: Program, varies: Sequence[bool], name: str, rows: tuple[int, ...]) -> LaneFunction:
    """The loops that compute ``rows``; a variable that a later loop reads goes through a scratch row."""
    wanted = _closure(program, rows, varies)
    computed = [v for v in wanted if program.assignments[v].operation not in LEAVES]
    bodies = [computed[i : i + LONGEST_BODY] for i in range(0, len(computed), LONGEST_BODY)] or [[]]
    home = {variable: number for number, body in enumerate(bodies) for variable in body}
    uses = ((argument, v) for v in computed for argument in program.assignments[v].arguments)
    crossing = sorted({a for a, v in uses if home.get(a, home[v]) != home[v]})
    scratch = {variable: len(rows) + place for place, variable in enumerate(crossing)}
    last = len(bodies) - 1
    loops = []
    for number, body in enumerate(bodies):
        stored = [(v, row) for row, v in enumerate(rows) if home.get(v, last) == number]
        kept = [(v, scratch[v]) for v in body if v in scratch]
        used = {a for v in body for a in program.assignments[v].arguments}
        reads = [(v, row) for v, row in scratch.items() if v in used and home[v] < number]
        loops.append(Loop(tuple(reads), tuple(body), (*stored, *kept)))
    return LaneFunction(name, len(rows), len(scratch), tuple(loops))


def _closure(program: Program, roots: Iterable[int], among: Sequence[bool]) -> list[int]:
    """The roots and all that they depend on, in order, without leaving the variables marked in ``among``."""
    wanted = {root for root in roots if among[root]}
    for variable in range(max(wanted, default=-1), -1, -1):
        if variable in wanted:
            wanted.update(a for a in program.assignments[variable].arguments if among[a])
    return sorted(wanted)


def _invariants_read(program: Program, varies: Sequence[bool], functions: Iterable[LaneFunction]) -> list[int]:
    """What the lane functions take from outside their loops, constants aside."""
    read: set[int] = set()
    for function in functions:
        for loop in function.loops:
            read.update(a for v in loop.body for a in program.assignments[v].arguments)
            read.update(v for v, _ in loop.writes)
    return sorted(v for v in read if not varies[v] and program.assignments[v].operation != "constant")


def _invariants(program: Program, varies: Sequence[bool], roots: Iterable[int]) -> tuple[int, ...]:
    return tuple(
        v for v in _closure(program, roots, [not v for v in varies]) if program.assignments[v].operation not in LEAVES
    )


def _counts(program: Program, varies: Sequence[bool]) -> dict[str, int]:
    """Operations for a sample: of the loss, and of the loss with its gradient; and those done once for a theta."""

    def count(variables: Iterable[int], varying: bool) -> int:
        return sum(program.assignments[v].operation not in LEAVES and varies[v] == varying for v in variables)

    return {
        "loss": count(program.needed("loss"), True),
        "gradient": count(program.needed("loss", "gradient"), True),
        "once": count(program.needed(), False),
    }
