"""Regressions: columns by name, formulas, offsets and exposures, as statsmodels has them."""

import pickle
from typing import Any

import numpy as np
import pandas
import polars
import pytest
import sympy as sp

import symgrad as sg
from symgrad.errors import ArrayError, DeclarationError

api = pytest.importorskip("statsmodels.formula.api")
RANDOM = np.random.default_rng(8)
N = 300
FRAME = pandas.DataFrame(
    {
        "age": RANDOM.uniform(-1, 1, N), "dose": RANDOM.normal(size=N), "site": RANDOM.choice(list("abc"), N),
        "years": RANDOM.uniform(1, 5, N), "shift": RANDOM.normal(size=N) / 10,
    }
)  # fmt: skip
FRAME["deaths"] = RANDOM.poisson(FRAME["years"] * np.exp(0.3 + 0.5 * FRAME["age"] + 0.4 * (FRAME["site"] == "b")))
FORMULA = "deaths ~ age + C(site)"


def near(found: Any, expected: Any) -> None:
    assert np.asarray(found) == pytest.approx(np.asarray(expected), rel=1e-7, abs=1e-9)


def test_a_linear_predictor_is_three_things() -> None:
    x, b, eta = sg.linear("x", 3)
    assert (x.shape, b.shape) == ((3, 1), (1, 3))
    assert sp.expand(eta.doit() - sum(b[0, k] * x[k, 0] for k in range(3))) == 0
    assert sg.linear("w", 2, "c")[1].name == "c"
    with pytest.raises(DeclarationError, match="size: expected a whole number >= 1, got 0"):
        sg.linear("x", 0)


def test_columns_by_name() -> None:
    risk = sg.regression(
        sg.losses.poisson(), columns=["age", "dose"], target="deaths", exposure="years", offset="shift"
    )
    assert [str(p.name) for p in risk.parameters] == ["b[Intercept]", "b[age]", "b[dose]"]
    fit = sg.fit(risk, FRAME[["deaths", "shift", "years", "dose", "site", "age"]])
    more = {"offset": FRAME["shift"], "exposure": FRAME["years"]}
    other = api.poisson("deaths ~ age + dose", FRAME, **more).fit(disp=0, method="newton", tol=1e-14)
    near(fit.theta, other.params)
    near(fit.standard_errors(), other.bse)
    near(fit.loglikelihood, other.llf)
    assert fit.guessed == ()
    assert "b[age]" in fit.report()
    near(fit.predict(FRAME), np.log(other.predict(FRAME, **more)))
    near(fit.predict(polars.from_pandas(FRAME)), fit.predict(FRAME))
    p = sg.Parameters(risk)
    p["b[dose]"].fixed = 0.0
    near(fit.likelihood_ratio(sg.fit(risk, FRAME, p))[1], 1)


@pytest.mark.parametrize("late", [True, False], ids=["without data", "with data"])
def test_formulas(late: bool) -> None:
    declared = sg.regression(sg.losses.poisson(), formula=FORMULA, exposure="years", data=None if late else FRAME)
    fit = sg.fit(declared, FRAME)
    other = api.poisson(FORMULA, FRAME, exposure=FRAME["years"]).fit(disp=0, method="newton", tol=1e-14)
    assert {f"b[{name}]" for name in other.params.index} == set(fit.names)
    columns = [name[2:-1] for name in fit.names]
    near(fit.theta, other.params[columns])
    near(fit.standard_errors(), other.bse[columns])
    some = FRAME[FRAME["site"] != "c"].drop(columns="deaths").reset_index(drop=True)
    near(fit.predict(some), np.log(other.predict(some, exposure=some["years"])))
    clustered = sg.fit(declared, sg.Source(FRAME, groups="site"))
    assert (clustered.covariance("cluster") == fit.covariance("cluster", groups=FRAME["site"])).all()


def test_a_formulas_functions_and_a_loss_with_its_own_parameter() -> None:
    alpha = sp.Symbol("alpha", positive=True)
    loss = sg.losses.negative_binomial(alpha)
    fit = sg.fit(sg.regression(loss, formula="deaths ~ dose + I(dose**2) - 1"), polars.from_pandas(FRAME))
    assert fit.names == ("b[dose]", "b[I(dose ** 2)]", "alpha") or fit.names[-1] == "alpha"
    assert fit.converged
    logs = sg.fit(sg.regression(sg.losses.squared(), formula="np.log(years) ~ age"), FRAME)
    near(logs.theta, api.ols("np.log(years) ~ age", FRAME).fit().params)


def test_missing_rows_keep_their_places() -> None:
    frame = FRAME.copy()
    frame.loc[[3, 7], "age"] = np.nan
    risk = sg.regression(sg.losses.poisson(), formula=FORMULA, data=frame)
    with pytest.raises(ArrayError, match=r"missing value in row 3 of column 'age' \(and in 1 more rows\)"):
        sg.fit(risk, frame)
    fit = sg.fit(risk, frame, missing="omit")
    assert fit.data.omitted == 2
    near(fit.theta, sg.fit(risk, frame.drop([3, 7])).theta)


def test_a_regression_is_pickled_and_compiled_as_any_risk() -> None:
    risk = sg.regression(sg.losses.poisson(), formula=FORMULA, data=FRAME)
    same = pickle.loads(pickle.dumps(risk))  # noqa: S301
    assert same.fingerprint == risk.fingerprint
    theta = np.zeros(4)
    assert sg.compile(risk).risk(theta, risk.table(FRAME)) == sg.compile(same).risk(theta, same.table(FRAME))


def test_a_file_by_a_formula(tmp_path: Any) -> None:
    FRAME.to_csv(tmp_path / "deaths.csv", index=False)
    fit = sg.fit(sg.regression(sg.losses.poisson(), formula=FORMULA), str(tmp_path / "deaths.csv"))
    near(fit.theta, sg.fit(sg.regression(sg.losses.poisson(), formula=FORMULA), FRAME).theta)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sg.regression(sg.losses.poisson()), DeclarationError, "columns, formula: expected one of both"),
        (lambda: sg.regression(sg.losses.poisson(), "age"), DeclarationError, "columns: expected a list of names"),
        (lambda: sg.regression(sg.losses.poisson(), ["a", "a"]), DeclarationError, "expected names, each once"),
        (
            lambda: sg.regression(sg.losses.zero_inflated_poisson(), ["a"]),
            DeclarationError,
            "loss: expected a Loss of one prediction and one target, got prediction; of several predictors make",
        ),
        (
            lambda: sg.regression(sg.losses.poisson(), formula="deaths ~ nothing", data=FRAME),
            DeclarationError,
            "formula: 'deaths ~ nothing' cannot be read",
        ),
        (
            lambda: sg.regression(sg.losses.poisson(), formula="~ age", data=FRAME),
            DeclarationError,
            "expected 'y ~ ...'",
        ),
        (
            lambda: sg.fit(sg.regression(sg.losses.poisson(), formula=FORMULA, data=FRAME), FRAME[["deaths", "age"]]),
            ArrayError,
            "data: expected the columns of the formula",
        ),
        (
            lambda: sg.fit(sg.regression(sg.losses.poisson(), formula=FORMULA), (1, 2)),
            ArrayError,
            "expected a table beside a formula",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
