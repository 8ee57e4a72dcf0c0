"""Stages -> lines of text: run as Python, lane by lane, they compute what the kernel says.

The functions for whole matrices that the text calls are written here by what their own text says they do.
"""

import re
from collections.abc import Callable
from typing import Any

import mpmath
import pytest
import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixElement
from sympy.matrices.expressions.slice import MatrixSlice

from symgrad.declare import EmpiricalRisk, leaves
from symgrad.render.loops import PieceText, PieceWriter
from symgrad.render.spelling import Printer
from symgrad.schedule import WITHOUT_LANES, Kernel, LaneFunction, Loop
from symgrad.schedule import plan as schedule
from tests.helpers.evaluate import DIGITS
from tests.helpers.kernels import generated
from tests.helpers.run_kernel import run_function, run_once
from tests.schedule.test_plan import MATRICES, RISKS, SMALL, B, c, matrices_of, sample_of, x

LANES = 2
_NAMES = {**DIGITS.operations, "fabs": abs, "tgamma": DIGITS.operations["gamma"]}
_NAMES |= {"LANES": LANES, "INFINITY": mpmath.inf, "NAN": mpmath.nan, "real": 1, "sizeof": lambda size: size}


class At:
    """A pointer into a list."""

    def __init__(self, array: list[Any], start: int) -> None:
        self.array, self.start = array, start

    def __getitem__(self, place: int) -> Any:
        assert self.array[self.start + place] is not None, "it is read before it is written"
        return self.array[self.start + place]

    def __setitem__(self, place: int, value: Any) -> None:
        self.array[self.start + place] = value


def multiply(to: At, a: At, down: int, right: int, b: At, m: int, k: int, n: int) -> None:
    for i in range(m):
        for j in range(n * LANES):
            to[i * n * LANES + j] = mpmath.fdot((a[i * down + q * right], b[q * n * LANES + j]) for q in range(k))


def multiply_each(to: At, a: At, b: At, m: int, k: int, n: int) -> None:
    for i in range(m):
        for j in range(n):
            for lane in range(LANES):
                pairs = ((a[(i * k + q) * LANES + lane], b[(q * n + j) * LANES + lane]) for q in range(k))
                to[(i * n + j) * LANES + lane] = mpmath.fdot(pairs)


def multiply_once(
    to: At, a: At, down: int, right: int, b: At, b_down: int, b_right: int, m: int, k: int, n: int
) -> None:
    for i in range(m):
        for j in range(n):
            to[i * n + j] = mpmath.fdot((a[i * down + q * right], b[q * b_down + j * b_right]) for q in range(k))


def copy_rows(to: At, to_down: int, to_right: int, of: At, down: int, right: int, m: int, n: int, width: int) -> None:
    for i in range(m):
        for j in range(n):
            for w in range(width):
                to[(i * to_down + j * to_right) * width + w] = of[(i * down + j * right) * width + w]


def memset(to: At, value: int, size: int) -> None:
    for place in range(size):
        to[place] = mpmath.mpf(value)


_WHOLES: dict[str, Callable[..., None]] = {
    function.__name__: function for function in (multiply, multiply_each, multiply_once, copy_rows, memset)
}


class Interpreter:
    """Runs the text of one function."""

    def __init__(self, **arrays: list[Any]) -> None:
        self.scope = {**_NAMES, **_WHOLES, "At": At, "__builtins__": {"range": range}, **arrays}

    def line(self, text: str, **more: int) -> None:
        text = re.sub(r"&(\w+)\[([^\]]*)\]", r"At(\1, \2)", text.replace("<real>", ""))
        self.scope.update(more)
        exec(compile(text, "piece", "exec"), self.scope)

    def piece(self, piece: PieceText, lanes: int) -> None:
        """As the templates write it: what is called, what grows, rows with lanes inside, what follows."""
        if piece.call:
            self.line("\n".join(piece.call))
        for lane in range(lanes):
            for line in piece.starts:
                self.line(line, lane=lane)
        for row in range(piece.size):
            for line in piece.heads:
                self.line(line, row=row)
            for lane in range(lanes):
                for line in piece.lines:
                    self.line(line, row=row, lane=lane)
        for line in piece.ends:
            self.line(line)


def texts(kernel: Kernel, function: LaneFunction | None) -> tuple[tuple[PieceText, ...], list[str], PieceWriter]:
    """The pieces of a function, and the declarations of the numbers that it reads at the beginning."""
    writer = PieceWriter(kernel, Printer(kernel.program, "float64", kernel.homes), function)
    pieces = writer.write({})
    return pieces, [f"{writer._printer.name(v)} = {writer.element(v)}" for v in writer.scalars], writer


def run_text(kernel: Kernel, samples: list[dict[str, list[Any]]]) -> tuple[list[Any], dict[str, list[Any]]]:
    """What is left in c, and in the rows of each lane function."""
    pieces, numbers, _ = texts(kernel, None)
    c_rows: list[Any] = [None] * kernel.n_invariants
    once = Interpreter(c=c_rows, theta=samples[0]["parameter"])
    for line in numbers:
        once.line(line)
    for piece in pieces:
        once.piece(piece, 1)
    data = [row for role in ("input", "target", "weight") for row in zip(*(s[role] for s in samples), strict=True)]
    found = {}
    for function in kernel.functions:
        pieces, numbers, writer = texts(kernel, function)
        side_by_side = 1 if writer.without_lanes else LANES
        out: list[Any] = [None] * ((function.rows + function.scratch) * side_by_side)
        given = samples[0]["cotangent"] if writer.without_lanes else [n for row in data for n in row]
        lanes = Interpreter(c=c_rows, data=given, out=out)
        lanes.scope |= {"WEIGHT_ROW": len(data) - 1, **{array: [None] * LANES for array in writer.arrays}}
        for line in numbers:
            lanes.line(line)
        for piece in pieces:
            lanes.piece(piece, side_by_side)
        found[function.name] = out[: function.rows * side_by_side]
    return c_rows, found


def two_samples(risk: EmpiricalRisk) -> list[dict[str, list[Any]]]:
    first = {role: [mpmath.mpf(n) for n in row] for role, row in sample_of(risk).items()}
    first["cotangent"] = [mpmath.mpf(place % 7 - 3) / 5 for place in range(999)]
    second = {**first, "input": [n / 3 + mpmath.mpf(1) / 7 for n in first["input"]], "weight": [mpmath.mpf(2)]}
    assert len(first["input"]) == len(leaves(*risk.inputs))
    return [first, second]


def check(risk: EmpiricalRisk) -> None:
    kernel, samples = generated(risk).kernel, two_samples(risk)
    with mpmath.workdps(30):
        c_rows, found = run_text(kernel, samples)
        once = run_once(kernel, DIGITS, samples[0])
        assert all(near(x, y) for x, y in zip(c_rows[: kernel.n_penalty], once, strict=False))
        for function in kernel.functions:
            lanes = 1 if function.name in WITHOUT_LANES else LANES
            for lane, sample in enumerate(samples[:lanes]):
                true = rows_of(kernel, function, sample)
                got = found[function.name][lane::lanes]
                assert len(got) == len(true)
                assert all(near(x, y) for x, y in zip(got, true, strict=True)), (function.name, lane, got, true)


def rows_of(kernel: Kernel, function: LaneFunction, sample: dict[str, list[Any]]) -> list[Any]:
    """The rows that a function is to fill; of the gradient those that are summed row by row."""
    rows = run_function(kernel, function.name, DIGITS, sample, whole=False)
    return rows[: function.rows]


def near(x: Any, y: Any) -> bool:
    return bool(abs(x - y) <= 1e-13 * abs(y) + 1e-20)


_assembled = sp.ImmutableDenseMatrix([[c[0, 0] * c[1, 0], c[2, 0], c[1, 0] ** 2]])
_assembled_part = MatrixElement(MatrixSlice(_assembled, (0, 1), (1, 3)).T, 1, 0)
_h = sp.Symbol("h")
_choice = sp.Lambda(_h, sp.Piecewise((_h**2, _h > c[0, 0]), (c[1, 0], True)))
# reductions and conditions in the function that runs once, and numbers copied into matrices there
ONCE = [
    matrices_of(sp.Trace(B) * x[0, 0], "once_sums", sp.Trace(B.applyfunc(sp.sin)) ** 2 + (c.T * c)[0, 0] ** 3),
    matrices_of(sp.tanh(_assembled_part) * sp.Trace(B) * x[0, 0], "once_assembled"),
    matrices_of(sp.Trace(B) * x[0, 0], "once_parts", (c.T * B[:, 1])[0, 0] * B[2, 1] + sp.Trace(B * B * B) ** 2),
    matrices_of(sp.Trace(B) * x[0, 0], "once_choice", sp.Trace(B.applyfunc(_choice))),
]


@pytest.mark.parametrize("risk", [r for r in (*RISKS, *ONCE) if r.name != "digits"], ids=lambda risk: risk.name)
def test_the_text_computes_what_the_kernel_says(risk: EmpiricalRisk) -> None:
    check(risk)


@pytest.mark.parametrize("longest", [1, 3])
@pytest.mark.parametrize("risk", [*SMALL, *ONCE], ids=lambda risk: risk.name)
def test_split_stages_compute_the_same(risk: EmpiricalRisk, longest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "LONGEST_BODY", longest)
    check(risk)


@pytest.mark.parametrize("risk", [*RISKS, *ONCE], ids=lambda risk: risk.name)
def test_the_names_declared_are_the_names_used(risk: EmpiricalRisk) -> None:
    kernel = generated(risk).kernel
    for function in (None, *kernel.functions):
        pieces, numbers, writer = texts(kernel, function)
        lines = [line for s in pieces for part in (s.starts, s.heads, s.lines, s.ends) for line in part]
        assigned = {m[1] for line in lines if (m := re.match(r"(\w+) \+?= ", line))}
        assert assigned == {*writer.names, *writer.conditions}
        given = {line.split(" = ")[0] for line in numbers}
        known = {*assigned, *given, *_NAMES, "out", "c", "data", "theta", "row", "lane", "WEIGHT_ROW"}
        known |= {"if", "else", "not", *writer.arrays}
        text = "\n".join(line.partition("#")[0] for line in (*lines, *numbers))
        used = set(re.findall(r"[A-Za-z_]\w*", re.sub(r"\d+e[+-]?\d+|\d\.\d+e[+-]?\d+", "", text)))
        assert used <= known, used - known
        assert not given & assigned


def test_what_a_whole_is_stands_above_its_call() -> None:
    for risk in MATRICES:
        kernel = generated(risk).kernel
        for function in kernel.functions:
            pieces, _, writer = texts(kernel, function)
            for piece, text in zip(function.pieces, pieces, strict=True):
                if isinstance(piece, Loop):
                    assert not text.call
                    assert text.size == piece.size
                    continue
                step = kernel.program.assignments[piece.variable]
                sign = " @ " if step.operation == "matmul" else f" {step.operation} of "
                name = writer._printer.name(piece.variable)
                assert re.match(rf"# {name} = .*{sign}|# {name} = {step.operation} of ", text.call[0])
                assert text.call[0].endswith(f", {step.shape[0]} x {step.shape[1]}")


def test_a_comment_stands_beside_its_row() -> None:
    kernel = generated(RISKS[0]).kernel
    (gradients,) = (f for f in kernel.functions if f.name == "gradients")
    writer = PieceWriter(kernel, Printer(kernel.program, "float64", kernel.homes), gradients)
    lines = [line for piece in writer.write({0: "  # L", 2: "  # second"}) for line in piece.lines]
    assert [line.startswith("out[lane] = ") for line in lines if line.endswith("  # L")] == [True]
    assert [line.startswith("out[2 * LANES + lane] = ") for line in lines if line.endswith("  # second")] == [True]
