"""The functions of a compiled module: what they return, how they agree, and what they say of themselves."""

import inspect
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp
from scipy import optimize

import symgrad as sg
from symgrad import gallery
from symgrad.build.load import FUNCTIONS
from symgrad.errors import ArrayError, ArrayTypeError

a, b, k, x, v, y, r, p, m, s = sp.symbols("a b k x v y r p m s")
THETA = np.array([1.25, 0.5, -2.0])


@pytest.fixture(scope="module")
def plane() -> Any:
    """Three parameters, two inputs, two targets, a penalty."""
    model = sg.Model(a * sp.exp(-b * x) + k * v, inputs=[x, v], parameters=[a, b, k])
    loss = sg.Loss((p - y) ** 2 / 2 * (1 + r**2), prediction=p, target=[y, r])
    return sg.compile(sg.EmpiricalRisk(model, loss, penalty=(a**2 + b**2 + k**2) / 100, name="plane"))


@pytest.fixture(scope="module")
def single() -> Any:
    model = sg.Model(a * sp.exp(-b * x) + k * v, inputs=[x, v], parameters=[a, b, k])
    loss = sg.Loss((p - y) ** 2 / 2 * (1 + r**2), prediction=p, target=[y, r])
    return sg.compile(sg.EmpiricalRisk(model, loss, penalty=(a**2 + b**2 + k**2) / 100, name="plane"), dtype="float32")


@pytest.fixture(scope="module")
def gauss() -> Any:
    loss = sp.log(s) + (y - m) ** 2 / (2 * s**2)
    return sg.compile(sg.EmpiricalRisk.from_expression(loss, inputs=[], targets=[y], parameters=[m, s], name="gauss"))


@pytest.fixture(scope="module")
def layer() -> Any:
    """Matrices: W (2, 3) and bias (2, 1) on u (3, 1), with a label."""
    W, c, u = sp.MatrixSymbol("W", 2, 3), sp.MatrixSymbol("c'", 2, 1), sp.MatrixSymbol("u", 3, 1)
    return sg.compile(
        sg.EmpiricalRisk(sg.Model(W * u + c, inputs=[u], parameters=[W, c]), sg.losses.squared(2), name="layer")
    )


@pytest.fixture(scope="module")
def data() -> tuple[Any, Any]:
    random = np.random.default_rng(5)
    return random.uniform(0, 3, (500, 2)), random.normal(0, 2, (500, 2))


# --- against NumPy -------------------------------------------------------------------------------------------------


def by_hand(theta: Any, inputs: Any, targets: Any) -> tuple[Any, Any, Any]:
    """The plane's prediction, loss and gradient for each sample."""
    decay, factor = np.exp(-theta[1] * inputs[:, 0]), 1 + targets[:, 1] ** 2
    prediction = theta[0] * decay + theta[2] * inputs[:, 1]
    residual = prediction - targets[:, 0]
    slopes = np.column_stack([decay, -theta[0] * inputs[:, 0] * decay, inputs[:, 1]])
    return prediction, residual**2 / 2 * factor, (residual * factor)[:, None] * slopes


def test_all_functions_give_what_numpy_gives(plane: Any, data: tuple[Any, Any]) -> None:
    prediction, loss, gradient = by_hand(THETA, *data)
    penalty = (THETA**2).sum() / 100
    np.testing.assert_allclose(plane.predict(THETA, data[0]), prediction, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(plane.per_sample_loss(THETA, *data), loss, rtol=1e-12)
    np.testing.assert_allclose(plane.per_sample_gradient(THETA, *data), gradient, rtol=1e-12, atol=1e-12)
    assert plane.risk(THETA, *data) == pytest.approx(math.fsum(loss) / 500 + penalty, rel=1e-14)
    np.testing.assert_allclose(plane.gradient(THETA, *data), gradient.mean(0) + THETA / 50, rtol=1e-12)


def test_float32_is_as_exact_as_float32_can_be(single: Any, data: tuple[Any, Any]) -> None:
    prediction, loss, gradient = by_hand(THETA, *data)
    assert single.predict(THETA, data[0]).dtype == np.float32
    np.testing.assert_allclose(single.predict(THETA, data[0]), prediction, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(single.per_sample_loss(THETA, *data), loss, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(single.per_sample_gradient(THETA, *data), gradient, rtol=1e-4, atol=1e-4)
    assert isinstance(single.risk(THETA, *data), float)
    exact = [np.asarray(array, np.float32).astype(np.float64) for array in data]
    assert single.gradient(THETA, *data).tobytes() == single.gradient(THETA.astype(np.float32), *exact).tobytes()


def test_results_have_their_shapes_and_types(plane: Any, layer: Any, data: tuple[Any, Any]) -> None:
    assert type(plane.risk(THETA, *data)) is float
    risk, gradient = plane.risk_and_gradient(THETA, *data)
    assert (type(risk), gradient.shape, gradient.dtype) == (float, (3,), np.float64)
    assert plane.per_sample_loss(THETA, *data).shape == plane.predict(THETA, data[0]).shape == (500,)
    assert plane.per_sample_gradient(THETA, *data).flags.c_contiguous
    assert layer.predict(np.zeros(8), np.ones((4, 3))).shape == (4, 2)
    assert layer.predict(np.zeros(8), np.ones((0, 3))).shape == (0, 2)


def test_each_result_is_an_array_of_its_own(plane: Any, data: tuple[Any, Any]) -> None:
    bound = plane.bind(*data)
    first, second = bound(THETA)[1], bound(THETA * 2)[1]
    assert not np.shares_memory(first, second)
    assert not np.array_equal(first, second)


def test_a_bound_array_may_change_between_calls_if_it_is_used_as_it_is(plane: Any, data: tuple[Any, Any]) -> None:
    inputs = data[0].copy()
    bound = plane.bind(inputs, data[1])
    inputs *= 0.5
    assert bound(THETA)[0] == plane.risk(THETA, inputs, data[1])
    with pytest.raises(ArrayError, match=r"theta: expected an array of shape \(3,\)"):
        bound([1.0])


# --- predict, pack, unpack, constants ------------------------------------------------------------------------------


def test_predict_without_a_model(gauss: Any) -> None:
    with pytest.raises(ArrayTypeError, match=r"predict: expected a risk with a model, got .*; per_sample_loss"):
        gauss.predict([0, 1], None)


def test_constants(plane: Any, gauss: Any, layer: Any) -> None:
    assert plane.PARAMETERS == (("a", ()), ("b", ()), ("k", ()))
    assert (plane.INPUTS, plane.TARGETS) == ((("x", ()), ("v", ())), (("y", ()), ("r", ())))
    assert (plane.N_PARAMETERS, gauss.N_PARAMETERS, layer.N_PARAMETERS) == (3, 2, 8)
    assert (gauss.INPUTS, gauss.TARGETS) == ((), (("y", ()),))
    assert layer.PARAMETERS == (("W", (2, 3)), ("c'", (2, 1)))
    assert layer.INPUTS == (("u", (3, 1)),)


def test_pack_and_unpack(layer: Any, plane: Any) -> None:
    values = {"c'": np.array([[7], [8]]), "W": np.arange(6).reshape(2, 3)}
    theta = layer.pack(values)
    assert theta.tolist() == [0, 1, 2, 3, 4, 5, 7, 8]
    assert theta.dtype == np.float64
    back = layer.unpack(theta)
    assert list(back) == ["W", "c'"]
    assert all(np.array_equal(back[name], values[name]) for name in values)
    back["W"][:] = -1
    assert theta[0] == 0
    np.testing.assert_array_equal(layer.predict(theta, [[1, 1, 1]]), [[0 + 1 + 2 + 7, 3 + 4 + 5 + 8]])
    assert plane.pack({"a": 1, "b": 2.5, "k": np.float32(3)}).tolist() == [1, 2.5, 3]
    assert plane.unpack([1, 2, 3]) == {"a": 1, "b": 2, "k": 3}


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ({"W": np.zeros((2, 3))}, ArrayError, "values: expected the names .*c'"),
        ({"W": np.zeros((2, 3)), "c'": np.zeros((2, 1)), "d": 1}, ArrayError, "values: expected the names .*'d'"),
        ({"W": np.zeros((3, 2)), "c'": np.zeros((2, 1))}, ArrayError, r"values\['W'\]: .*\(2, 3\), got \(3, 2\)"),
        ({"W": np.zeros((2, 3)), "c'": np.zeros(2)}, ArrayError, r"expected shape \(2, 1\), got \(2,\)"),
        ({"W": np.zeros((2, 3)), "c'": None}, ArrayTypeError, r"values\[.*\]: expected an array of shape \(2, 1\)"),
        ({"W": np.zeros((2, 3), complex), "c'": np.zeros((2, 1))}, ArrayTypeError, "real numbers, got complex"),
        (None, ArrayTypeError, "values: expected "),
        ({1: 2, "W": 3}, ArrayError, "values: expected the names"),
    ],
)
def test_pack_of_what_does_not_fit(values: Any, error: type[Exception], said: str, layer: Any) -> None:
    with pytest.raises(error, match=said):
        layer.pack(values)


def test_unpack_of_what_does_not_fit(layer: Any) -> None:
    with pytest.raises(ArrayError, match=r"theta: expected an array of shape \(8,\), got \(7,\)"):
        layer.unpack(np.zeros(7))


def test_every_function_says_what_it_takes(plane: Any) -> None:
    for name in FUNCTIONS:
        function = getattr(plane.module, name)
        assert (function.__name__, function.__qualname__, function.__module__) == (name, name, "plane")
        text = inspect.getdoc(function)
        assert text is not None
        assert text.startswith("Return ")
        assert len(text.splitlines()[-1]) > 10
        parameters = inspect.signature(function).parameters
        assert parameters
        assert set(parameters) <= {
            "theta", "inputs", "targets", "weights", "want", "out", "threads", "first", "parts", "values",
        }  # fmt: skip
        for argument in re.findall(r"^(theta|inputs|targets|weights|want|out|first)\b.*?:", text, re.MULTILINE):
            assert argument in parameters
    assert plane.module.__doc__.startswith("plane")
    for call in (lambda: plane.risk(THETA), lambda: plane.risk(THETA, 1, 2, 3, 4), lambda: plane.risk(theta=1, data=2)):
        with pytest.raises(TypeError, match=r"argument"):
            call()


# --- whole modules -------------------------------------------------------------------------------------------------


def test_scipy_minimises_with_risk_and_gradient() -> None:
    example = gallery.load("ships_poisson")
    module = sg.compile(example.risk)
    arguments = (example.inputs, example.targets)
    plain = optimize.minimize(module.risk_and_gradient, example.theta, args=arguments, jac=True, method="BFGS")
    bound = optimize.minimize(module.bind(*arguments), example.theta, jac=True, method="BFGS")
    assert plain.x.tobytes() == bound.x.tobytes()
    scale = np.abs(module.per_sample_gradient(plain.x, *arguments)).mean(0)
    assert np.all(np.abs(module.gradient(plain.x, *arguments)) <= 1e-4 * scale)


def test_a_module_stands_alone(plane: Any, tmp_path: Path) -> None:
    """On NumPy: neither symgrad nor SymPy can be imported; errors are plain ones with the same text."""
    shutil.copy(plane.path, tmp_path / plane.path.name)
    program = """
import sys
for name in ("symgrad", "sympy", "Cython", "jinja2", "scipy", "mpmath"):
    sys.modules[name] = None
import plane
print(plane.gradient([1, 2, 3], [[1, 2]], [[3, 4]]).tolist())
for call in (lambda: plane.risk([1], [[1, 2]], [[3, 4]]), lambda: plane.risk(None, [[1, 2]], [[3, 4]])):
    try:
        call()
    except Exception as error:
        print(type(error).__module__, type(error).__name__, error)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    lines = run.stdout.splitlines()
    assert lines[0] == str(plane.gradient([1, 2, 3], [[1, 2]], [[3, 4]]).tolist())
    assert lines[1].startswith("builtins ValueError theta: expected an array of shape (3,), got (1,); ")
    assert lines[2].startswith("builtins TypeError theta: expected an array of shape (3,), got NoneType; ")


def test_a_condition_far_from_where_it_is_used_again() -> None:
    """Long programs are cut into several loops: whatever one loop decides, the backward sweep in another needs."""
    z = sp.Piecewise((a * x, x < 1), (sp.sin(a * x), True))
    for i in range(1, 250):
        z = sp.sin(z * b + sp.Rational(i, 7))
    model = sg.Model(z + sp.Max(a * x, b), inputs=[x], parameters=[a, b])
    module = sg.compile(sg.EmpiricalRisk(model, sg.losses.squared(), name="long_way"))
    theta, rows, aims = np.array([0.7, 0.9]), np.array([0.2, 0.99, 1.0, 1.5, -3.0]), np.zeros(5)
    got = module.per_sample_gradient(theta, rows, aims)
    step = 1e-6
    for i in range(2):
        ahead, behind = (module.per_sample_loss(theta + sign * step * np.eye(2)[i], rows, aims) for sign in (1, -1))
        np.testing.assert_allclose(got[:, i], (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-8)
