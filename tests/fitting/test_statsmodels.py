"""What statsmodels says of the same models and data: estimates, standard errors and log-likelihoods, to 1e-7."""

import warnings
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg

api = pytest.importorskip("statsmodels.api")
discrete = pytest.importorskip("statsmodels.discrete.count_model")
numdiff = pytest.importorskip("statsmodels.tools.numdiff")

X = sp.MatrixSymbol("x", 3, 1)
B = sp.MatrixSymbol("b", 1, 3)
ETA = (B * X)[0, 0]
ALPHA, SHAPE, SIGMA = (
    sp.Symbol("alpha", positive=True),
    sp.Symbol("shape", positive=True),
    sp.Symbol("sigma", positive=True),
)
RANDOM = np.random.default_rng(11)
ROWS = np.c_[np.ones(500), RANDOM.normal(size=(500, 2))]
MEANS = np.exp(ROWS @ [0.3, 0.5, -0.4])
LABELS = (RANDOM.random(500) < 1 / (1 + np.exp(-ROWS @ [0.3, 1, -2]))).astype(float)
COUNTS = RANDOM.poisson(MEANS).astype(float)
SPREAD = RANDOM.negative_binomial(2, 2 / (2 + MEANS)).astype(float)
ZEROS = np.where(RANDOM.random(500) < 0.3, 0.0, COUNTS)
TIMES = RANDOM.gamma(2.0, MEANS / 2)
NUMBERS = ROWS @ [0.3, 1, -2] + RANDOM.normal(size=500)


def fitted(loss: sg.Loss, targets: Any, output: Any = ETA, parameters: Any = (B,), **more: Any) -> sg.Fit:
    risk = sg.EmpiricalRisk(sg.Model(output, inputs=[X], parameters=parameters), loss, name="of_statsmodels")
    return sg.fit(risk, (ROWS, targets), **more)


def exact(model: Any, **more: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        near = model.fit(method="bfgs", maxiter=5000, disp=0, gtol=1e-8, **more)
        return model.fit(start_params=near.params, method="newton", maxiter=100, disp=0, tol=1e-14, **more)


def near(found: Any, expected: Any) -> None:
    assert np.asarray(found) == pytest.approx(np.asarray(expected), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize(
    ("model", "loss", "targets"),
    [
        (api.Logit, sg.losses.logistic(), LABELS),
        (api.Poisson, sg.losses.poisson(), COUNTS),
        (api.NegativeBinomial, sg.losses.negative_binomial(ALPHA), SPREAD),
    ],
    ids=["logit", "poisson", "negative binomial"],
)
def test_discrete_models(model: Any, loss: sg.Loss, targets: Any) -> None:
    fit, other = fitted(loss, targets), exact(model(targets, ROWS))
    assert fit.kind == "likelihood"
    near(fit.theta, other.params)
    near(fit.loglikelihood, other.llf)
    near(fit.standard_errors(), np.sqrt(np.diag(np.linalg.inv(-other.model.hessian(other.params)))))
    near(fit.aic, -2 * other.llf + 2 * len(fit.theta))
    assert fit.predict(ROWS).shape == (500,)


def test_least_squares() -> None:
    fit, other = fitted(sg.losses.squared(), NUMBERS), api.OLS(NUMBERS, ROWS).fit()
    near(fit.theta, other.params)
    near(fit.standard_errors(), other.bse)
    near(fit.standard_errors("HC0"), other.HC0_se)
    near(fit.standard_errors("HC1"), other.HC1_se)
    near(fit.loglikelihood, other.llf)
    near(fit.aic, other.aic + 2)  # ours counts the deviation
    near(fit.confidence_intervals(), other.conf_int())
    normal = fitted(sg.losses.gaussian(SIGMA), NUMBERS)
    near(normal.loglikelihood, other.llf)
    near(normal.theta[:3], other.params)
    near(normal.values["sigma"], np.sqrt(other.ssr / 500))
    near(normal.aic, other.aic + 2)


def test_a_gamma_model_at_a_fixed_scale() -> None:
    fit = fitted(sg.losses.gamma(), TIMES)
    family = api.families.Gamma(api.families.links.Log())
    other = api.GLM(TIMES, ROWS, family=family).fit(tol=1e-15, scale=1.0, cov_type="HC0")
    near(fit.theta, other.params)
    near(fit.standard_errors("HC0"), other.bse)
    near(fit.loglikelihood, other.llf)
    free = fitted(sg.losses.gamma(SHAPE), TIMES)
    near(free.theta[:3], other.params)
    near(free.loglikelihood, family.loglike(TIMES, np.exp(ROWS @ other.params), scale=1 / free.values["shape"]))


def test_zero_inflation() -> None:
    z = sp.Symbol("z", real=True)
    fit = fitted(sg.losses.zero_inflated_poisson(), ZEROS, sp.Matrix([ETA, z]), [B, z])
    model = discrete.ZeroInflatedPoisson(ZEROS, ROWS, exog_infl=np.ones((500, 1)))
    other = exact(model)
    order = [1, 2, 3, 0]
    near(fit.theta, other.params[order])
    near(fit.loglikelihood, other.llf)
    # Its own Hessian leaves the mixed derivatives of the two predictors at zero: those of its score by differences
    hessian = numdiff.approx_fprime(other.params, model.score, centered=True)
    near(fit.standard_errors(), np.sqrt(np.diag(np.linalg.inv(-(hessian + hessian.T) / 2)))[order])
    assert fit.predict(ROWS).shape == (500, 2)
    exactly = np.array([model.score_obs(other.params)[:, k] for k in order]).T
    scores = -fit.compiled.per_sample_gradient(fit.theta, ROWS, ZEROS)
    assert scores == pytest.approx(exactly, rel=1e-6, abs=1e-8)
    near(fit.standard_errors("opg"), np.sqrt(np.diag(np.linalg.inv(exactly.T @ exactly))))


def test_predictors_of_mean_and_deviation() -> None:
    """Both are known in closed form where each of two groups has its own."""
    g, m0, m1, s0, s1 = sp.symbols("g m0 m1 s0 s1", real=True)
    output = sp.Matrix([m0 + m1 * g, s0 + s1 * g])
    risk = sg.EmpiricalRisk(sg.Model(output, [g], [m0, m1, s0, s1]), sg.losses.location_scale(), name="two_groups")
    groups = (np.arange(500) % 2).astype(float)
    fit = sg.fit(risk, (groups, NUMBERS))
    one, other = NUMBERS[groups == 0], NUMBERS[groups == 1]
    logs = np.log([one.std(), other.std()])
    near(fit.theta, [one.mean(), other.mean() - one.mean(), logs[0], logs[1] - logs[0]])
    assert fit.kind == "likelihood"


def test_curvature_of_a_loss_with_parameters_of_its_own() -> None:
    """Gauss-Newton takes the second derivative by the prediction, at the loss's own parameters."""
    fit = fitted(sg.losses.negative_binomial(ALPHA), SPREAD)
    mean, alpha = np.exp(fit.predict(ROWS)), fit.values["alpha"]
    weights = mean * (1 + alpha * SPREAD) / (1 + alpha * mean) ** 2
    expected = np.zeros((4, 4))
    expected[:3, :3] = (ROWS * weights[:, None]).T @ ROWS / 500
    assert fit.compiled.gauss_newton(fit.theta, ROWS, SPREAD) == pytest.approx(expected, rel=1e-11, abs=1e-14)
    assert fit.compiled.jacobian(fit.theta, ROWS)[:, 3] == pytest.approx(0)


def test_counts_that_are_no_counts_are_no_likelihood() -> None:
    assert fitted(sg.losses.poisson(), COUNTS + 0.5).kind == "loss"
