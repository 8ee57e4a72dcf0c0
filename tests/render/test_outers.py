"""Gradients of matrices as products over lanes: what is turned, and that the parts give the product.

The sweep's own plan is looked at (`plan_outer`, compiled alone), and its loops over rows are written here once more, in
NumPy, from what the plan says alone.
"""

from itertools import pairwise
from math import prod
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import sympy as sp

from symgrad.declare import EmpiricalRisk
from symgrad.render.loops import PieceWriter
from symgrad.schedule import Kernel
from tests.helpers.kernels import Kernels
from tests.helpers.planned import plan_of, planner, table_of
from tests.schedule.test_plan import RISKS

LANES = 5


def layer(rows: int, columns: int, width: int) -> EmpiricalRisk:
    """A gradient that is a sum of (rows, width) times (width, columns), and one of it turned."""
    W, U = sp.MatrixSymbol("W", rows, columns), sp.MatrixSymbol("U", columns, rows)
    X, Y = sp.MatrixSymbol("X", columns, width), sp.MatrixSymbol("Y", rows, width)
    name = f"layer_{rows}x{columns}_{width}"
    loss = sp.Trace((W * X - Y).T * (W * X - Y)) + sp.Trace((U * Y - X).applyfunc(sp.tanh) * X.T)
    return EmpiricalRisk.from_expression(loss, inputs=[X, Y], targets=[], parameters=[W, U], name=name)


def repeated() -> EmpiricalRisk:
    """One operand in products with two others of its shape, and both of those in a product with a third."""
    W, U, V = (sp.MatrixSymbol(name, 3, 4) for name in "WUV")
    X, Z = sp.MatrixSymbol("X", 4, 1), sp.MatrixSymbol("Z", 4, 1)
    parts = (W * X, U * X, V * Z)
    loss = sum(((sp.Trace(part.applyfunc(sp.tanh).T * part)) for part in parts), sp.Integer(0))
    return EmpiricalRisk.from_expression(loss, inputs=[X, Z], targets=[], parameters=[W, U, V], name="repeated")


SIZES = [(40, 3, 1), (3, 40, 1), (8, 8, 1), (7, 9, 2), (1, 5, 3), (5, 1, 3), (17, 33, 1)]
LAYERS = [layer(m, k, p) for m, k, p in SIZES]
WITH_PRODUCTS = {"digits", "diabetes_layers", "iris_softmax", "sunspots_recurrent", "net", "products", "sums"}
KERNELS = Kernels([*LAYERS, *(risk for risk in RISKS if risk.name in WITH_PRODUCTS), repeated()])

each_kernel = pytest.mark.parametrize("kernel", KERNELS, indirect=True)


@pytest.fixture
def kernel(request: pytest.FixtureRequest) -> Kernel:
    return KERNELS[request.param]


@pytest.fixture(scope="module", params=["float64", "float32"])
def sweep(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return planner(request.param, tmp_path_factory.mktemp("plan"))


def rows_of_arrays(kernel: Kernel) -> dict[str, Any]:
    """Random rows of lanes: what a call of the lane function reads, and what it leaves."""
    (gradients,) = (f for f in kernel.functions if f.name == "gradients")
    draw = np.random.default_rng(4)
    leaves = [step for step in kernel.program.assignments if step.operation in ("input", "target")]
    columns = 1 + max(int(step.attribute or 0) + prod(step.shape) for step in leaves)
    data = draw.normal(size=(kernel.inputs + columns + 1, LANES))
    return {"values": draw.normal(size=(gradients.rows + gradients.scratch, LANES)), "data": data}


def rows_from(arrays: dict[str, Any], row: int) -> Any:
    """All rows from one on, as a table counts them: ~r is row r of the data."""
    return arrays["values"][row:] if row >= 0 else arrays["data"][~row:]


@each_kernel
def test_the_parts_give_the_sum_of_products(kernel: Kernel, sweep: ModuleType) -> None:
    plan, (_, writer) = plan_of(sweep, kernel), table_of(kernel)
    arrays = rows_of_arrays(kernel)
    turned = {}
    for part in plan["turns"]:
        places = np.add.outer(np.arange(part["p"]) * part["down"], np.arange(part["k"]) * part["right"])
        turned[part["place"]] = rows_from(arrays, part["row"])[places].transpose(0, 2, 1)  # (p, lanes, k)
    found, true = np.zeros(kernel.starts[-1]), np.zeros(kernel.starts[-1])
    for outer, text in zip(kernel.outers, plan["outers"], strict=True):
        for i in range(text["rows"]):
            rows = rows_from(arrays, text["row"])[i * text["down"] + np.arange(text["p"]) * text["step"]]
            for j in range(text["columns"]):
                at = text["at"] + i * text["node_down"] + j * text["node_right"]
                found[at] += (rows * turned[text["turned"]][:, :, j]).sum()
        ours, theirs = (matrix(kernel, writer, arrays, v) for v in (outer.left, outer.right))
        left, right = ours.reshape(outer.m, outer.p, -1), theirs.reshape(outer.p, outer.k, -1)
        true[outer.at : outer.at + outer.m * outer.k] += np.einsum("ipl,pkl->ik", left, right).ravel()
        for side, array in (("left", ours), ("right", theirs)):  # as they are, for the samples' own gradients
            assert (rows_from(arrays, text[side])[: len(array)] == array).all()
    np.testing.assert_allclose(found, true, rtol=1e-13, atol=1e-13)


def matrix(kernel: Kernel, writer: PieceWriter, arrays: dict[str, Any], variable: int) -> Any:
    array, row = writer.rows_of(variable)
    assert isinstance(row, int)
    rows = arrays["data" if array == "data" else "values"]
    return rows[row : row + prod(kernel.shape(variable))]


@each_kernel
def test_turned_operands_and_products_have_room_of_their_own(kernel: Kernel, sweep: ModuleType) -> None:
    """Padded to whole lines; and an operand of several products is turned once."""
    plan = plan_of(sweep, kernel)
    assert plan["line"] == (16 if sweep.__name__.endswith("32") else 8)

    def padded(columns: int) -> int:
        return -(-columns // plan["line"]) * plan["line"]

    turned = [(part["place"], part["p"] * padded(part["k"])) for part in plan["turns"]]
    products = [(text["place"], text["rows"] * padded(text["columns"])) for text in plan["outers"]]
    for spans, total in ((turned, plan["turned"]), (products, plan["products"])):
        assert spans[0][0] == 0
        assert all(start + size == following for (start, size), (following, _) in pairwise(spans))
        assert sum(size for _, size in spans) == total
    sources = [(part["row"], part["p"], part["k"], part["down"]) for part in plan["turns"]]
    assert len(set(sources)) == len(sources)
    assert {text["turned"] for text in plan["outers"]} == {place for place, _ in turned}


@each_kernel
def test_the_first_to_fill_a_place_does_not_add(kernel: Kernel, sweep: ModuleType) -> None:
    """The others do; and unless every place is filled, all of them are cleared before."""
    plan = plan_of(sweep, kernel)
    filled = {s.at + k for s in kernel.segments for k in range(s.size)}
    filled |= {s.at + k for s in kernel.scaled for k in range(s.size)}
    for text in plan["outers"]:
        places = set(range(text["at"], text["at"] + text["m"] * text["k"]))
        assert bool(places & filled) == bool(text["more"])
        assert places <= filled or not places & filled
        filled |= places
    assert plan["covered"] == (len(filled) == kernel.starts[-1])


@pytest.mark.parametrize("sweep", ["float64"], indirect=True)  # in lines of 16, 40 columns may cost less than 3
def test_what_is_turned_is_the_smaller_operand(sweep: ModuleType) -> None:
    """Turning is dear: of an (m, 1) and a (1, k) operand with as many multiplications either way, the shorter."""
    for (m, k, p), risk in zip(SIZES, LAYERS, strict=True):
        if max(m, k) < 5 * min(m, k):
            continue
        assert all(part["k"] == min(m, k) for part in plan_of(sweep, KERNELS[risk.name])["turns"]), (m, k, p)


def test_a_kernel_without_products_has_none(sweep: ModuleType) -> None:
    kernels = Kernels(risk for risk in RISKS if risk.name not in WITH_PRODUCTS)
    assert not any(kernel.outers for kernel in kernels.values())
    kernel = kernels["gauss1"]
    plan = plan_of(sweep, kernel)
    assert "outers" not in table_of(kernel)[0]
    assert (plan["outers"], plan["turns"], plan["turned"], plan["products"]) == ([], [], 0, 0)
    assert plan["covered"]
