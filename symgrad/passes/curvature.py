"""Curvature: programs whose samples give second derivatives, or derivatives of the prediction, in place of a gradient.

Each keeps the form of a program with a gradient: the output ``gradient`` is what is summed over the samples (times the
weight), ``penalty_gradient`` the penalty's share of it. So schedule, text and sweep know nothing of them. Of symmetric
matrices the rows of the lower triangle are given, one after the other. A vector that a Hessian is multiplied by is a
parameter too: a second block, which follows the risk's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from itertools import accumulate
from operator import add

from symgrad.program import Builder, Program, Value, fold, size_of

from .differentiate import differentiate
from .lowering import contract

Rows = list[tuple[int, ...]]


def hessian(program: Program) -> Program:
    """Return the program of the Hessian of the loss, and of that of the penalty."""
    return _second(program, _lower_triangle)


def hessian_diagonal(program: Program) -> Program:
    """Return the program of the Hessian's diagonal."""
    return _second(program, _diagonal)


def hessian_vector(program: Program) -> Program:
    """Return the program of the Hessian times a vector."""
    work = Work(program)
    for name in work.gradients:
        vector = place_in_theta(work, name)
        products = zip(work.values(work.outputs[name]), work.values(vector), strict=True)
        along = reduce(add, (inner(gradient, part) for gradient, part in products))
        work.outputs[name] = work.derivatives(along.variable)[: len(vector)]
    return work.program()


def place_in_theta(work: Work, name: str) -> list[int]:
    """Return a vector in the shapes of a gradient: parameters that follow those of the risk."""
    shapes = work.shapes(name)
    places = accumulate(map(size_of, shapes), initial=sum(map(size_of, shapes)))
    return [work.builder.emit("parameter", attribute=at, shape=s) for at, s in zip(places, shapes, strict=False)]


def jacobian(program: Program) -> Program:
    """Return the program of the prediction's derivatives by the parameters: a row for each of its elements."""
    work = Work(program)
    rows = work.rows(work.elements(work.outputs["prediction"]))
    work.outputs = {"gradient": tuple(v for row in rows for v in row)}
    return work.program()


def residuals(program: Program) -> Program:
    """Return the program of prediction less target, element by element."""
    work = Work(program)
    work.outputs = {"gradient": tuple(r.variable for r in work.residuals())}
    return work.program()


def gauss_newton(program: Program, of_loss: Program) -> Program:
    """Return the program of ``J.T @ H @ J`` and of the penalty's Hessian.

    J is the prediction's Jacobian, and H the Hessian of the loss by the prediction: its program is ``of_loss``, in
    which the prediction's elements are the first parameters. The loss's own follow, at their places in theta.
    """
    work = Work(program)
    jacobian = work.rows(work.elements(work.outputs["prediction"]))
    penalty = work.rows(work.elements(work.outputs.get("penalty_gradient", ())))
    bound = dict(enumerate(work.elements(work.outputs["prediction"])))
    bound |= {len(jacobian) + place: variable for place, variable in work.parameters().items()}
    entries = work.values(_inlined(work.builder, of_loss, bound))
    curvature = [[entries[_place(m, n)] for n in range(len(jacobian))] for m in range(len(jacobian))]
    columns = [work.values(column) for column in zip(*jacobian, strict=True)]
    products = [[_dot(row, column) for row in curvature] for column in columns]
    sums = [_dot(columns[k], products[j]).variable for k in range(len(columns)) for j in range(k + 1)]
    work.outputs["gradient"] = tuple(sums)
    if penalty:
        work.outputs["penalty_gradient"] = _lower_triangle(penalty)
    return work.program()


def normal_equations(program: Program) -> Program:
    """Return the program of ``A.T @ A``, times the weight, in which A is the Jacobian with the residuals beside it."""
    work = Work(program)
    jacobian = work.rows(work.elements(work.outputs["prediction"]))
    columns = [*(work.values(column) for column in zip(*jacobian, strict=True)), work.residuals()]
    weight = Value(work.builder, work.builder.emit("weight", shape=()))
    weighted = [[weight * x for x in column] for column in columns]
    sums = [_dot(weighted[k], columns[j]).variable for k in range(len(columns)) for j in range(k + 1)]
    work.outputs = {"gradient": tuple(sums)}
    return work.program()


def objective(program: Program) -> Program:
    """Return the program of the gradient's elements, and after them of the Hessian's diagonal."""
    work = Work(program)
    gradient = work.elements(work.outputs["gradient"])
    work.outputs = {"gradient": (*gradient, *_diagonal(work.rows(gradient)))}
    return work.program()


def _second(program: Program, chosen: Callable[[Rows], tuple[int, ...]]) -> Program:
    work = Work(program)
    for name in work.gradients:
        work.outputs[name] = chosen(work.rows(work.elements(work.outputs[name])))
    return work.program()


def _lower_triangle(rows: Rows) -> tuple[int, ...]:
    return tuple(entry for k, row in enumerate(rows) for entry in row[: k + 1])


def _diagonal(rows: Rows) -> tuple[int, ...]:
    return tuple(row[k] for k, row in enumerate(rows))


def _place(m: int, n: int) -> int:
    """The place of an element among the rows of the lower triangle."""
    return max(m, n) * (max(m, n) + 1) // 2 + min(m, n)


def _dot(xs: Sequence[Value], ys: Sequence[Value]) -> Value:
    return reduce(add, (x * y for x, y in zip(xs, ys, strict=True)))


class Work:
    """A program that grows: variables keep their numbers."""

    def __init__(self, program: Program) -> None:
        program = contract(program)
        self.builder = Builder(program.assignments, fold)
        self.outputs = dict(program.outputs)

    @property
    def gradients(self) -> list[str]:
        """The names of the gradients that there are."""
        return [name for name in ("gradient", "penalty_gradient") if name in self.outputs]

    def shapes(self, name: str) -> list[tuple[int, ...]]:
        """Return the shapes of an output's variables."""
        return [self.builder.assignments[v].shape for v in self.outputs[name]]

    def values(self, variables: Sequence[int]) -> list[Value]:
        """Return variables that add and multiply, until the next derivative is taken."""
        return [Value(self.builder, v) for v in variables]

    def elements(self, variables: Sequence[int]) -> tuple[int, ...]:
        """Return the scalars of variables, one after the other: of matrices their elements in C order."""
        found: list[int] = []
        for variable in variables:
            shape = self.builder.assignments[variable].shape
            if not shape:
                found.append(variable)
            for place in range(size_of(shape) if shape else 0):
                part = self.builder.emit("slice", variable, attribute=(*divmod(place, shape[1]), 1, 1))
                found.append(self.builder.emit("total", part))
        return tuple(found)

    def parameters(self) -> dict[int, int]:
        """Return the scalars of the parameters that there are, by their places in theta."""
        leaves = [(v, a.attribute) for v, a in enumerate(self.builder.assignments) if a.operation == "parameter"]
        return {at + k: v for leaf, at in leaves if isinstance(at, int) for k, v in enumerate(self.elements((leaf,)))}

    def derivatives(self, root: int) -> tuple[int, ...]:
        """Return the derivatives of a scalar by the parameters, in their shapes."""
        program = differentiate(self.builder.program({"root": (root,)}), "root", "derivatives")
        self.builder = Builder(program.assignments, fold)
        return program.outputs["derivatives"]

    def rows(self, roots: Sequence[int]) -> Rows:
        """Return the derivatives of each scalar by all scalars of the parameters."""
        return [self.elements(self.derivatives(root)) for root in roots]

    def residuals(self) -> list[Value]:
        """Return prediction less target, element by element."""
        predictions = self.elements(self.outputs["prediction"])
        targets = [self.builder.emit("target", attribute=k, shape=()) for k in range(len(predictions))]
        return [p - t for p, t in zip(self.values(predictions), self.values(targets), strict=True)]

    def program(self) -> Program:
        """Return the program of the gradients that are set; in place of a loss it has the weight."""
        given = {name: self.outputs[name] for name in self.gradients}
        penalty = {"penalty": (self.builder.constant(0.0),)} if "penalty_gradient" in given else {}
        loss = (self.builder.emit("weight", shape=()),)
        return self.builder.program({"loss": loss, "prediction": (), **penalty, **given})


def _inlined(builder: Builder, program: Program, parameters: Mapping[int, int]) -> tuple[int, ...]:
    """The gradient of a program whose parameters, element by element, are variables of the builder."""
    numbers: list[int] = []
    for step in program.assignments:
        arguments = tuple(numbers[a] for a in step.arguments)
        attribute, shape = step.attribute, None if arguments else step.shape
        if step.operation == "parameter":
            assert isinstance(attribute, int)
            arguments = tuple(parameters[place] for place in range(attribute, attribute + size_of(step.shape)))
            number = builder.emit("assemble", *arguments, attribute=step.shape) if step.shape else arguments[0]
        else:
            number = builder.emit(step.operation, *arguments, attribute=attribute, shape=shape)
        numbers.append(number)
    return tuple(numbers[v] for v in program.outputs["gradient"])


def inner(gradient: Value, vector: Value) -> Value:
    """Return the sum of the products of their elements; of ``l @ r`` it is that of ``l`` with ``vector @ r.T``."""
    parts = gradient.arguments
    if not gradient.shape:
        return gradient * vector
    if gradient.operation in ("add", "sub"):
        one, other = (inner(part, vector) for part in parts)
        return one + other if gradient.operation == "add" else one - other
    if gradient.operation == "neg":
        return -inner(parts[0], vector)
    if gradient.operation == "transpose":
        return inner(parts[0], vector.T)
    if gradient.operation == "fill":
        return parts[0] * vector.call("total")
    if gradient.operation == "mul" and sum(not part.shape for part in parts) == 1:
        scalar, matrix = sorted(parts, key=lambda part: len(part.shape))
        return scalar * inner(matrix, vector)
    if gradient.operation == "matmul" and gradient.attribute is None:
        return (parts[0] * (vector @ parts[1].T)).call("total")
    return (gradient * vector).call("total")
