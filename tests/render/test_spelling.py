"""Operations -> text: literals, brackets, what stands on a line of its own, and names."""

import ast
import math
import random
import struct
from typing import Any

import numpy as np
import pytest
import sympy as sp

from symgrad.declare import EmpiricalRisk
from symgrad.pipeline import generate
from symgrad.program import LEAVES, Assignment, Builder, Program, fold
from symgrad.render.spelling import WIDEST, Printer, c_functions, number
from symgrad.schedule.steps import same_elements
from tests.helpers.evaluate import DOUBLES, run
from tests.helpers.rows import CONDITIONS

SCOPE: dict[str, Any] = {"double": np.float64, "fabs": abs}
SCOPE |= {"INFINITY": np.float64(math.inf), "NAN": np.float64(math.nan)}
SCOPE |= {name: DOUBLES.operations[name] for name in ("exp", "sin", "tanh", "fmod", "hypot", "sqrt", "log", "floor")}


def doubles(count: int) -> list[float]:
    """Doubles drawn over their bits (so half of them are huge or tiny), subnormals, and the edges."""
    draw = random.Random(11)
    found = [struct.unpack("<d", draw.randbytes(8))[0] for _ in range(count)]
    found += [math.ldexp(draw.randrange(1, 2**52), -1074) for _ in range(count // 10)]
    found += [0.0, -0.0, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1.0, -1.0, 0.1, 1e22, 1e23, 1e16]
    return [x for x in found if not math.isnan(x)]


def printer_of(program: Program) -> Printer:
    return Printer(program, "float64", same_elements(program))


def names(program: Program) -> list[str]:
    printer = printer_of(program)
    return [printer.name(variable) for variable in range(len(program.assignments))]


class _Doubles(ast.NodeTransformer):
    """Every literal becomes a double of NumPy's, which divides by zero as C does."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.copy_location(ast.Call(ast.Name("double", ast.Load()), [node], []), node)


def evaluated(text: str, **variables: Any) -> Any:
    """What the text computes, read as Python."""
    tree = ast.fix_missing_locations(_Doubles().visit(ast.parse(text, mode="eval")))
    code = compile(tree, "printed", "eval")
    return eval(code, {"__builtins__": {}}, {**SCOPE, **variables})  # noqa: S307 - our own printer's text


def test_a_literal_reads_back_to_the_same_bits() -> None:
    for x in doubles(10_000):
        read = evaluated(number(x, "float64").text)
        assert struct.pack("<d", read) == struct.pack("<d", x), x
    assert number(math.nan, "float64").text == "NAN"
    assert [number(x, "float64").text for x in (math.inf, -math.inf)] == ["INFINITY", "-INFINITY"]


def test_a_literal_of_a_float_module_is_cast_once() -> None:
    assert number(0.1, "float32").text == "<real>0.1"
    assert number(-0.1, "float32").text == "-<real>0.1"
    assert number(math.inf, "float32").text == "INFINITY"
    for x in doubles(2000):
        text = number(x, "float32").text.replace("<real>", "")
        with np.errstate(over="ignore"):
            assert struct.pack("<f", np.float32(evaluated(text))) == struct.pack("<f", np.float32(x))


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("add", "u0 + -2.0"),
        ("sub", "u0 - -2.0"),
        ("mul", "u0 * -2.0"),
        ("div", "u0 / -2.0"),
        ("lt", "(u0 < -2.0)"),
        ("hypot", "hypot(u0, -2.0)"),
    ],
)
def test_a_negative_literal_needs_no_brackets_on_the_right(operation: str, expected: str) -> None:
    program = Program((Assignment("input", (), 0), Assignment("constant", (), -2.0), Assignment(operation, (0, 1))), {})
    lines, kept = printer_of(program).lines([2], [2])
    assert expected == (lines[0][1] if lines else kept[2].text)


KINDS = ("add", "sub", "mul", "div", "neg", "abs", "exp", "sin", "hypot", "select", "lt", "le", "eq")


def grown(seed: int) -> tuple[Program, list[int]]:
    """A random lowered program, most of whose variables are used once, so that expressions nest; and its results."""
    draw = random.Random(seed)
    builder = Builder(fold=fold if seed % 2 else None)
    numbers = [builder.emit("input", attribute=i) for i in range(3)] + [builder.emit("parameter", attribute=0)]
    numbers += [builder.constant(draw.choice((-2.5, 3.0, 0.1, -0.0, 1e300, math.inf, -1e-310)))]
    truths = [builder.emit("lt", numbers[0], numbers[1])]
    for _ in range(30):
        kind = draw.choice(KINDS)
        kind = draw.choice(("and", "or", "not", "ne", kind, kind, kind, kind))
        x, y = numbers[-draw.randint(1, 3)], draw.choice(numbers)
        p, q = truths[-1], draw.choice(truths)
        if kind in ("and", "or", "not", "ne"):
            truths.append(builder.emit(kind, p) if kind == "not" else builder.emit(kind, p, q))
        elif kind in ("lt", "le", "eq"):
            truths.append(builder.emit(kind, x, y))
        elif kind == "select":
            numbers.append(builder.emit(kind, p, x, y))
        else:
            numbers.append(builder.emit(kind, x) if kind in ("neg", "abs", "exp", "sin") else builder.emit(kind, x, y))
    results = [*numbers[-3:], truths[-1]]
    return builder.program({"results": tuple(results)}), results


@pytest.mark.parametrize("seed", range(120))
def test_the_text_computes_the_program_bit_for_bit(seed: int) -> None:
    program, results = grown(seed)
    body = [v for v in sorted(program.needed()) if program.assignments[v].operation not in LEAVES]
    printer = printer_of(program)
    lines, kept = printer.lines(body, results)
    draw = random.Random(seed)
    for _ in range(4):
        leaves = {"input": [np.float64(draw.uniform(-2, 2)) for _ in range(3)]}
        leaves["parameter"] = [np.float64(draw.gauss(0, 9))]
        values = run(program, DOUBLES, leaves)
        scope = {"p0": leaves["parameter"][0], **{f"u{i}": x for i, x in enumerate(leaves["input"])}}
        with np.errstate(all="ignore"):
            for variable, text in lines:
                scope[printer.name(variable)] = evaluated(text, **scope)
            for variable in results:
                got, true = float(evaluated(kept[variable].text, **scope)), float(values[variable])
                assert struct.pack("<d", got) == struct.pack("<d", true) or (got != got and true != true)


def test_brackets_only_where_they_change_the_value() -> None:
    builder = Builder()
    u = [builder.emit("input", attribute=i) for i in range(4)]
    right = builder.emit("sub", u[0], builder.emit("sub", u[1], builder.emit("add", u[2], u[3])))
    left = builder.emit("div", builder.emit("mul", builder.emit("neg", builder.emit("add", u[0], u[1])), u[2]), u[3])
    program = builder.program({})
    body = [v for v in range(len(program.assignments)) if v not in u]
    _, kept = printer_of(program).lines(body, [right, left])
    assert kept[right].text == "u0 - (u1 - (u2 + u3))"
    assert kept[left].text == "-(u0 + u1) * u2 / u3"


def test_calls_choices_and_what_is_used_twice_have_lines_of_their_own() -> None:
    builder = Builder()
    u, v = (builder.emit("input", attribute=i) for i in range(2))
    twice = builder.emit("mul", u, v)
    branch = builder.emit("add", u, v)
    chosen = builder.emit("select", builder.emit("lt", u, v), branch, builder.emit("exp", twice))
    root = builder.emit("mul", twice, chosen)
    program = builder.program({})
    lines, kept = printer_of(program).lines(range(2, root + 1), [root])
    assert [program.assignments[v].operation for v, _ in lines] == ["mul", "add", "exp", "select"]
    assert kept[root].text == "product_1 * choice_1"


def test_lines_stay_short() -> None:
    builder = Builder()
    total = builder.emit("input", attribute=0)
    for k in range(1, 200):
        total = builder.emit("add", total, builder.emit("input", attribute=k))
    program = builder.program({})
    body = [v for v, step in enumerate(program.assignments) if step.operation == "add"]
    lines, _ = printer_of(program).lines(body, [total])
    assert len(lines) > 5
    assert max(len(text) for _, text in lines) <= 2 * WIDEST


# ------------------------------------------------------------------------------------------------------------ matrices


def test_a_line_of_a_matrix_is_written_for_one_of_its_elements() -> None:
    """As that of a number; its own place among the elements is the loop's, and what fills it is that number."""
    builder = Builder()
    u = builder.emit("input", attribute=0, shape=(2, 3))
    number_, place = builder.emit("input", attribute=6, shape=()), builder.emit("place", attribute=(2, 3))
    total = builder.emit("add", builder.emit("mul", u, number_), place)
    filled = builder.emit("fill", builder.emit("neg", number_), attribute=(2, 3))
    program = builder.program({})
    _, kept = printer_of(program).lines(range(3, filled + 1), [total, filled])
    assert kept[total].text == "u0 * u6 + <real>row"
    assert kept[filled].text == "-u6"
    assert printer_of(program).operand(place).text == "<real>row"


def test_the_same_elements_under_two_shapes_have_one_name() -> None:
    builder = Builder()
    column = builder.emit("input", attribute=3, shape=(3, 1))
    row = builder.emit("transpose", column)
    one = builder.emit("exp", builder.emit("input", attribute=0, shape=()))
    boxed = builder.emit("fill", one, attribute=(1, 1))
    square = builder.emit("transpose", builder.emit("input", attribute=9, shape=(2, 2)))
    printer = printer_of(builder.program({}))
    assert printer.name(row) == printer.name(column) == "u3"
    assert printer.name(boxed) == printer.name(one) == "exp_1"
    assert printer.name(square) == "transpose_1"


def test_what_moves_elements_calls_nothing_of_the_c_library() -> None:
    builder = Builder()
    u = builder.emit("input", attribute=0, shape=(2, 2))
    made = [builder.emit(name, u) for name in ("transpose", "total", "largest")]
    made += [builder.emit("matmul", u, u), builder.emit("slice", u, attribute=(0, 0, 1, 1)), builder.emit("sin", u)]
    assert c_functions(builder.program({}), made) == (("sin", 1),)


INJECTIONS = ["lambda", "double", "beta", r"\alpha", "x'", "ü", 'x; system("id") //', '"""', "\n", "{{7*7}}", "*/"]


def test_no_name_of_a_users_gets_into_code() -> None:
    symbols = [sp.Symbol(name) for name in INJECTIONS]
    loss = sum(sp.exp(s * (k + 1)) for k, s in enumerate(symbols))
    plain = sum(sp.exp(s * (k + 1)) for k, s in enumerate(sp.symbols(f"q:{len(symbols)}")))
    sources = []
    for expression, parameters in ((loss, symbols), (plain, sp.symbols(f"q:{len(symbols)}"))):
        stages = generate(EmpiricalRisk.from_expression(expression, inputs=[], targets=[], parameters=parameters))
        assert all(name.isascii() and name.isidentifier() for name in names(stages.lowered) if "_" in name)
        sources.append(sorted(names(stages.lowered)))
    assert sources[0] == sources[1]


def test_variables_have_distinct_names() -> None:
    program, _ = grown(5)
    found = [n for n, step in zip(names(program), program.assignments, strict=True) if step.operation != "constant"]
    assert len(set(found)) == len(found)
    assert {"u0", "p0"} <= set(found)


def test_the_functions_that_are_called() -> None:
    builder = Builder()
    u = builder.emit("input", attribute=0)
    made = [builder.emit(f, u) for f in ("exp", "abs", "gamma", "digamma", "neg", "exp")]
    made += [builder.emit("hypot", u, u), builder.emit("lt", u, u), builder.emit("polygamma", u, attribute=2)]
    found = c_functions(builder.program({}), made)
    assert found == (("exp", 1), ("fabs", 1), ("hypot", 2), ("tgamma", 1))
    assert printer_of(builder.program({})).lines([made[-1]], [made[-1]])[0][0][1] == "polygamma(2, u0)"
    assert {"lt", "and", "not"} <= CONDITIONS
