"""The backward sweep: from a program of one output to its gradient with respect to the parameters.

Every variable on a path from a parameter to the output gets a cotangent, the derivative of the output with respect to
it (Linnainmaa 1970; Griewank and Walther 2008, chapter 3). A local derivative is SymPy's own ``diff`` of one operation,
traced once for each kind of operation. A zero times an infinity is NaN in arithmetic, and zero in a chain of slopes:

    not taken     a branch's cotangent is zero, its derivative may be infinite: guarded by the branch's condition
    flat tail     the cotangent is zero, the slope infinite: `_settled`
    at a cusp     the cotangent is infinite, the slope zero, as for sqrt(a*u) at u = 0: `_unmoved`
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, reduce
from itertools import accumulate

import sympy as sp

from symgrad.operations import TABLE, Tail, X, Y
from symgrad.program import Assignment, Builder, Program, Shape, Value, fold, size_of
from symgrad.trace import SCALAR_RULES, Tracer

from .cotangents import added
from .cut import narrowest
from .guards import ALWAYS, Guard, both, condition_of, either, literal
from .lowering import contract

_COTANGENT = sp.Symbol("c", real=True)
_STEEP = Tail.STEEP | Tail.EXPONENTIAL


def derive(traced: Program, *, again: bool = False, summed: bool = False) -> Program:
    """Return the traced program with the gradients of its loss and of its penalty.

    ``again`` says that they are differentiated once more, and ``summed`` that they are summed over samples, so that it
    is for the program to choose by which values: see `differentiate` and `cut`.
    """
    program = contract(traced)
    program = differentiate(program, "loss", "gradient", again=again, cut=narrowest(program) if summed else ())
    if "penalty" not in traced.outputs:
        return program
    return differentiate(program, "penalty", "penalty_gradient", again=again)


def differentiate(
    program: Program, output: str, gradient_name: str, *, again: bool = False, cut: Sequence[int] = ()
) -> Program:
    """Return the program with one more output: the derivatives of ``output`` by the parameters, in their order.

    Each has its parameter's shape. ``again`` says that they are differentiated once more, so that what is zero for now
    has to be made of what it hangs on. The gradient costs at most about four times the operations of the output: the
    cheap-gradient principle.

    With a ``cut``, variables between the parameters and the output, the derivatives are those by these, and a second
    output, "pulled", has those by the parameters, made of sums of the first: leaves that are called "cotangent".
    """
    builder = Builder(program.assignments, fold)
    (root,) = program.outputs[output]
    parameters = _parameters(program)
    sweep = _Sweep(builder, program, again)
    found = sweep.back({root: builder.constant(1.0)}, cut or parameters)
    results = {gradient_name: tuple(found)}
    if cut:
        sizes = (size_of(program.assignments[v].shape) for v in cut)
        leaves = [
            builder.emit("cotangent", attribute=place, shape=program.assignments[v].shape)
            for v, place in zip(cut, accumulate(sizes, initial=0), strict=False)
        ]
        results["pulled"] = tuple(sweep.back(dict(zip(cut, leaves, strict=True)), parameters))
    return builder.program({**program.outputs, **results})


class _Sweep:
    """Takes cotangents back from some variables of a program to others."""

    def __init__(self, builder: Builder, program: Program, again: bool) -> None:
        self._builder, self._program, self._again = builder, program, again
        self._active = program.depends_on(["parameter"])
        self._flattened = program.closure(a for step in program.assignments for a in _flattened(step))
        cusps = (s for s in program.assignments if Tail.CUSPED in _tail(s))
        self._under_cusps = program.closure(a for s in cusps for a in s.arguments[:1])

    def back(self, seeds: Mapping[int, int], ends: Sequence[int]) -> list[int]:
        """Return the cotangents of ``ends``, each in its variable's shape, made of those of the ``seeds``.

        None goes on from an end to what it is made of.
        """
        cotangents: dict[int, list[tuple[int, Guard]]] = {v: [(c, ALWAYS)] for v, c in seeds.items()}
        found = dict.fromkeys(ends, self._builder.constant(0.0))
        for variable in range(max(seeds), -1, -1):
            contributions = cotangents.pop(variable, None)
            if contributions is None or not self._active[variable]:
                continue
            cotangent, guard = added(self._builder, contributions)
            if variable in found:
                found[variable] = cotangent
                continue
            for argument, share, where in self._shares(variable, cotangent, guard):
                cotangents.setdefault(argument, []).append((share, where))
        return [self._builder.filled(c, self._program.assignments[v].shape) for v, c in found.items()]

    def _shares(self, variable: int, cotangent: int, guard: Guard) -> Iterator[tuple[int, int, Guard]]:
        """What a variable hands to its arguments: whose, the cotangent, and where it can differ from zero."""
        builder, program, assignment = self._builder, self._program, self._program.assignments[variable]
        row = TABLE[assignment.operation]
        shares = _pull_back(builder, program, variable, cotangent)
        guards = _guards(builder, program, variable)
        for argument, share, own in zip(assignment.arguments, shares, guards, strict=True):
            if self._active[argument] and builder.constant_value(share) != 0:
                where = _kept(guard, builder, assignment.shape if row.shape is None else ())
                if where != ALWAYS and Tail.PASSING not in row.tail:
                    share = _guarded(builder, share, cotangent, condition_of(where, builder))
                if variable in self._under_cusps:
                    share = _unmoved(builder, share, cotangent)
                steep = variable in self._flattened and _is_steep(program, variable, self._active)
                if Tail.CUSPED in row.tail or steep:
                    share = _settled(builder, share, cotangent, self._again)
                shape = program.assignments[argument].shape
                yield argument, _fitted(builder, share, shape), _kept(both(where, own), builder, shape)


def _flattened(step: Assignment) -> tuple[int, ...]:
    """The arguments whose cotangents may vanish because their value is large."""
    tail = _tail(step)
    if Tail.BELOW_A_BAR in tail:
        return step.arguments[1:]
    negative = step.operation == "power" and isinstance(step.attribute, int) and step.attribute < 0
    return step.arguments if negative or Tail.FLAT in tail else ()


def _is_steep(program: Program, variable: int, active: tuple[bool, ...]) -> bool:
    """Can the slopes of an operation be infinite where its arguments are finite?"""
    assignment = program.assignments[variable]
    if assignment.operation == "mul":
        return any(Tail.EXPONENTIAL in _tail(program.assignments[a]) for a in assignment.arguments)
    if Tail.BELOW_A_BAR in _tail(assignment):
        return active[assignment.arguments[1]]
    if assignment.operation == "power":
        return isinstance(assignment.attribute, int) and not 0 <= assignment.attribute <= 2
    return bool(_tail(assignment) & _STEEP)


def _tail(step: Assignment) -> Tail:
    """Return the tail of its operation; a leaf has none."""
    return TABLE[step.operation].tail if step.operation in TABLE else Tail.PLAIN


def _settled(builder: Builder, share: int, cotangent: int, again: bool) -> int:
    """A share that is zero where the cotangent is: in the flat tail of a function, however steep its argument.

    The zero has no derivative, but the cotangent has one where it passes through zero: a share that is to be
    differentiated is zero by itself there, and put to zero only where it is NaN, by a slope that is infinite.
    """
    zero = builder.constant(0.0)
    flat = builder.emit("eq", cotangent, zero)
    if again:
        flat = builder.emit("and", flat, builder.emit("not", builder.emit("eq", share, zero)))
    return builder.emit("select", flat, zero, share)


def _unmoved(builder: Builder, share: int, cotangent: int) -> int:
    """A share that is zero where a factor of it beside an infinite cotangent is: what does not move has no slope."""
    if builder.assignments[share].operation == "matmul":
        return _unmoved_product(Value(builder, share), Value(builder, cotangent))
    factors = _factors_beside(builder, share, cotangent)
    if not factors:
        return share
    zero, c = builder.constant(0.0), Value(builder, cotangent)
    nothing = reduce(lambda a, b: builder.emit("or", a, b), (builder.emit("eq", factor, zero) for factor in factors))
    return builder.emit("select", builder.emit("and", nothing, abs(c).equals(math.inf).variable), zero, share)


def _unmoved_product(share: Value, cotangent: Value) -> int:
    """A product of matrices, with zeros for the infinite elements of the cotangent that meet nothing but zeros.

    The product stays one. Of a factor that varies it is asked whether all of it is zero, as data are that are missing.
    """
    left, right = share.arguments
    if cotangent.variable not in (left.variable, right.variable) or left.variable == right.variable:
        return share.variable
    other = right if left.variable == cotangent.variable else left
    ones = share.number(1.0)
    ones = Value(share.builder, share.builder.filled(ones.variable, share.shape))
    if other.varies:
        beside = abs(other).call("total")
    else:
        beside = ones @ abs(other).T if other.variable == right.variable else abs(other).T @ ones
    lost = abs(cotangent).equals(math.inf).call("and", beside.equals(0.0))
    kept = Value(
        share.builder, share.builder.emit("select", lost.variable, share.number(0.0).variable, cotangent.variable)
    )
    return (kept @ other if other.variable == right.variable else other @ kept).variable


def _factors_beside(builder: Builder, product: int, cotangent: int) -> list[int] | None:
    """What a product multiplies the cotangent with; None where that is no factor of it."""
    if product <= cotangent:  # what is older has nothing of it
        return [] if product == cotangent else None
    step = builder.assignments[product]
    if step.operation in ("neg", "div"):
        return _factors_beside(builder, step.arguments[0], cotangent)
    if step.operation == "mul":
        for one, other in (step.arguments, step.arguments[::-1]):
            factors = _factors_beside(builder, one, cotangent)
            if factors is not None:
                return [*factors, other]
    return None


def _guarded(builder: Builder, share: int, cotangent: int, condition: int) -> int:
    """A share that is zero unless the condition holds: where it does not, whatever the share is made of."""
    zero, product = builder.constant(0.0), builder.assignments[share]
    if product.operation != "matmul" or not all(builder.varies[a] for a in product.arguments):
        return builder.emit("select", condition, share, zero)
    # a product of two that vary may be summed over samples as a whole, and stays one
    factors = (a if a == cotangent else builder.emit("select", condition, a, zero) for a in product.arguments)
    return builder.emit("matmul", *factors)


def _parameters(program: Program) -> list[int]:
    """The parameters' variables in the order of the flat theta."""
    places = {v: a.attribute for v, a in enumerate(program.assignments) if a.operation == "parameter"}
    return sorted(places, key=lambda v: int(places[v]))  # type: ignore[arg-type]


def _fitted(builder: Builder, share: int, shape: Shape) -> int:
    """A cotangent in its variable's shape: one number stands for all elements, and all elements add up for one."""
    return builder.filled(share, shape) if shape else builder.emit("total", share)


def _kept(guard: Guard, builder: Builder, shape: Shape) -> Guard:
    """What a guard says of a whole variable, or of each of its elements; what it says of other matrices is dropped."""
    return either(
        [
            frozenset({frozenset(literal for literal in term if builder.assignments[literal[0]].shape in ((), shape))})
            for term in guard
        ]
    )


def _pull_back(builder: Builder, program: Program, variable: int, cotangent: int) -> tuple[int, ...]:
    """The cotangents that an operation hands to its arguments."""
    assignment = program.assignments[variable]
    row = TABLE[assignment.operation]
    operands = [Value(builder, v) for v in (cotangent, variable, *assignment.arguments)]
    if row.pullback is None:
        return tuple(rule(operands) for rule in _symbolic_pullback(row.name))
    attribute = () if assignment.attribute is None else (assignment.attribute,)
    shares = row.pullback(*operands, *attribute)
    return tuple(s.variable if isinstance(s, Value) else builder.constant(s) for s in shares)


def _guards(builder: Builder, program: Program, variable: int) -> tuple[Guard, ...]:
    """For each argument the condition under which its share of the cotangent can differ from zero."""
    assignment = program.assignments[variable]
    row = TABLE[assignment.operation]
    if row.guards is None:
        return (ALWAYS,) * len(assignment.arguments)
    attribute = () if assignment.attribute is None else (assignment.attribute,)
    conditions = row.guards(*(Value(builder, v) for v in assignment.arguments), *attribute)
    return tuple(literal(condition.variable, builder) for condition in conditions)


@cache
def _symbolic_pullback(operation: str) -> tuple[Callable[[list[Value]], int], ...]:
    """For each argument ``c * diff(meaning, argument)``, traced to a program that can be replayed."""
    meaning = TABLE[operation].meaning
    assert meaning is not None, operation
    places = [place for place in (X, Y) if place in meaning.free_symbols]
    return tuple(_replayed(_COTANGENT * sp.diff(meaning, place), places) for place in places)


def _replayed(expression: sp.Expr, places: list[sp.Symbol]) -> Callable[[list[Value]], int]:
    """A function that appends the expression's operations, on values ``[cotangent, result, *arguments]``."""
    template = Builder()
    known: dict[sp.Basic, int] = {_COTANGENT: template.emit("input", attribute=0, shape=())}
    known |= {place: template.emit("input", attribute=i, shape=()) for i, place in enumerate(places, 2)}
    root = Tracer(template, known, SCALAR_RULES).trace(expression)

    def replay(values: list[Value]) -> int:
        builder, numbers = values[0].builder, dict[int, int]()
        for number, step in enumerate(template.assignments):
            if step.operation == "input":
                assert isinstance(step.attribute, int)
                numbers[number] = values[step.attribute].variable
            else:
                arguments = (numbers[a] for a in step.arguments)
                numbers[number] = builder.emit(step.operation, *arguments, attribute=step.attribute)
        return numbers[root]

    return replay
