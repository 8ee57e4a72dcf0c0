"""Passes from program to program: dead code goes, and operations that C lacks become ones that it has."""

from .fold import fold
from .operations import TABLE
from .program import LEAVES, Builder, Program
from .value import Value


def lower(program: Program) -> Program:
    """Every operation that has a lowering in the table is replaced by it, and what is used by no output is dropped."""
    needed = program.needed()
    builder = Builder(fold=fold)
    numbers: dict[int, int] = {}
    for variable, assignment in enumerate(program.assignments):
        if variable in needed:
            arguments = tuple(numbers[a] for a in assignment.arguments)
            numbers[variable] = _lowered(builder, assignment.operation, arguments, assignment.attribute)
    outputs = {name: tuple(numbers[v] for v in variables) for name, variables in program.outputs.items()}
    return eliminate_dead(builder.program(outputs))


def eliminate_dead(program: Program) -> Program:
    """Only what an output depends on, numbered anew in the same order."""
    kept = sorted(program.needed())
    numbers = {variable: number for number, variable in enumerate(kept)}
    builder = Builder()
    for variable in kept:
        assignment = program.assignments[variable]
        arguments = (numbers[a] for a in assignment.arguments)
        builder.emit(assignment.operation, *arguments, attribute=assignment.attribute)
    return builder.program({name: tuple(numbers[v] for v in vs) for name, vs in program.outputs.items()})


def _lowered(builder: Builder, operation: str, arguments: tuple[int, ...], attribute: float | int | None) -> int:
    """An operation by others, and those by others again, until each is one that C has."""
    row = None if operation in LEAVES else TABLE[operation]
    if row is None or row.lower is None:
        return builder.emit(operation, *arguments, attribute=attribute)
    inner = Builder(fold=fold)
    places = [Value(inner, inner.emit("input", attribute=i)) for i in range(len(arguments))]
    root = row.lower(*places, *(() if attribute is None else (attribute,)))
    numbers: dict[int, int] = {}
    for number, step in enumerate(inner.assignments):
        if step.operation == "input":
            assert isinstance(step.attribute, int)
            numbers[number] = arguments[step.attribute]
        else:
            operands = tuple(numbers[a] for a in step.arguments)
            numbers[number] = _lowered(builder, step.operation, operands, step.attribute)
    return numbers[root.variable]
