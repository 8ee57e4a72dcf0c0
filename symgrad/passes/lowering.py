"""Passes from program to program: dead code goes, and operations that C lacks become ones that it has."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from symgrad.operations import TABLE
from symgrad.program import LEAVES, Assignment, Builder, Program, Value, fold

_MOST_FACTORS = 8  # below a bar: each may cost a division


def lower(program: Program) -> Program:
    """Return the program with every operation lowered that has a lowering in the table.

    What no output uses is dropped.
    """
    needed = program.needed()
    builder = Builder(fold=fold)
    numbers: dict[int, int] = {}
    for variable, assignment in enumerate(program.assignments):
        if variable in needed:
            arguments = tuple(numbers[a] for a in assignment.arguments)
            numbers[variable] = _lowered(builder, assignment, arguments)
    outputs = {name: tuple(numbers[v] for v in variables) for name, variables in program.outputs.items()}
    return eliminate_dead(builder.program(outputs))


def contract(program: Program) -> Program:
    """Return the program in which a quotient by a product or a power knows its factors; `lower` forgets them."""
    active = program.depends_on(["parameter"])

    def change(builder: Builder, numbers: Sequence[int], assignment: Assignment) -> Assignment:
        factors = _factors(program, assignment.arguments[1]) if assignment.operation == "div" else []
        arguments = tuple(numbers[a] for a in assignment.arguments)
        if len(factors) < 2 and all(exponent == (1, 1) for _, exponent in factors):
            return replace(assignment, arguments=arguments)
        factors = [(v, exponent) for v, exponent in factors if active[v]]
        exponents = tuple(n for _, exponent in factors for n in exponent)
        return replace(
            assignment,
            operation="over_product",
            arguments=(*arguments, *(numbers[v] for v, _ in factors)),
            attribute=exponents,
        )

    return _changed(program, change)


def _changed(program: Program, change: Callable[[Builder, Sequence[int], Assignment], Assignment]) -> Program:
    """Every assignment as ``change`` makes it, which is told the new number of each variable before."""
    builder = Builder(fold=fold)
    numbers: list[int] = []
    for assignment in program.assignments:
        new = change(builder, numbers, assignment)
        shape = new.shape if new.operation in LEAVES else None
        numbers.append(builder.emit(new.operation, *new.arguments, attribute=new.attribute, shape=shape))
    return builder.program({name: tuple(numbers[v] for v in vs) for name, vs in program.outputs.items()})


def _factors(program: Program, divisor: int) -> list[tuple[int, tuple[int, int]]]:
    """The factors of a product element by element, and each one's exponent p/q; too many are left as one."""
    found: list[tuple[int, tuple[int, int]]] = []
    waiting = [divisor]
    while waiting and len(found) + len(waiting) <= _MOST_FACTORS:
        variable = waiting.pop()
        assignment = program.assignments[variable]
        if assignment.operation == "mul":
            waiting += assignment.arguments[::-1]
        else:
            exponent = _exponent(assignment)
            found.append((variable, (1, 1)) if exponent is None else (assignment.arguments[0], exponent))
    return [(divisor, (1, 1))] if waiting else found


def _exponent(assignment: Assignment) -> tuple[int, int] | None:
    """The exponent p/q of a power, if it is positive."""
    operation, n = assignment.operation, assignment.attribute
    if operation == "power" and isinstance(n, int) and n > 0:
        return n, 1
    if operation == "root_power" and isinstance(n, int):
        return 2 * n + 1, 2
    if operation == "rational_power" and isinstance(n, tuple) and n[0] > 0:
        return int(n[0]), int(n[1])
    return None


def turn(program: Program) -> Program:
    """Return the program whose products with a transposed matrix that no sample changes read its columns."""
    return eliminate_dead(_changed(program, _turned))


def _turned(builder: Builder, numbers: Sequence[int], assignment: Assignment) -> Assignment:
    arguments, attribute = tuple(numbers[a] for a in assignment.arguments), assignment.attribute
    if assignment.operation == "matmul":
        turned = tuple(int(_is_turned(builder, a)) for a in arguments)
        pairs = zip(arguments, turned, strict=True)
        arguments = tuple(builder.assignments[a].arguments[0] if t else a for a, t in pairs)
        attribute = turned if any(turned) else None
    return replace(assignment, arguments=arguments, attribute=attribute)


def _is_turned(builder: Builder, variable: int) -> bool:
    assignment = builder.assignments[variable]
    return assignment.operation == "transpose" and 1 not in assignment.shape and not builder.varies[variable]


def eliminate_dead(program: Program, kept_operations: Collection[str] = ()) -> Program:
    """Return what outputs depend on, and operations that are kept anyway, numbered anew in the same order."""
    others = (v for v, assignment in enumerate(program.assignments) if assignment.operation in kept_operations)
    kept = sorted(program.needed().union(others))
    numbers = {variable: number for number, variable in enumerate(kept)}
    builder = Builder()
    for variable in kept:
        assignment = program.assignments[variable]
        arguments = (numbers[a] for a in assignment.arguments)
        builder.emit(assignment.operation, *arguments, attribute=assignment.attribute, shape=assignment.shape)
    return builder.program({name: tuple(numbers[v] for v in vs) for name, vs in program.outputs.items()})


def _lowered(builder: Builder, assignment: Assignment, arguments: tuple[int, ...]) -> int:
    """An operation by others, and those by others again, until each is one that C has."""
    operation, attribute = assignment.operation, assignment.attribute
    row = None if operation in LEAVES else TABLE[operation]
    if row is None or row.lower is None:
        return builder.emit(operation, *arguments, attribute=attribute, shape=assignment.shape)
    inner = Builder(fold=fold)
    shapes = [builder.assignments[a].shape for a in arguments]
    places = [Value(inner, inner.emit("input", attribute=i, shape=shape)) for i, shape in enumerate(shapes)]
    root = row.lower(*places, *(() if attribute is None else (attribute,)))
    numbers: dict[int, int] = {}
    for number, step in enumerate(inner.assignments):
        if step.operation == "input":
            assert isinstance(step.attribute, int)
            numbers[number] = arguments[step.attribute]
        else:
            numbers[number] = _lowered(builder, step, tuple(numbers[a] for a in step.arguments))
    return numbers[root.variable]
