"""For collections of cases that call ``build``: a formula's loss and gradient for each row of data, by symgrad."""

from collections.abc import Callable, Sequence
from typing import Any

import symgrad as sg


def _compiled(expr: Any, params: Sequence[Any], variables: Sequence[Any]) -> Any:
    risk = sg.EmpiricalRisk.from_expression(expr, inputs=variables, targets=[], parameters=params, name="case")
    return sg.compile(risk)


def build(expr: Any, params: Sequence[Any], variables: Sequence[Any]) -> Callable[[Any, Any], tuple[Any, Any]]:
    """``f(theta, data (N, V)) -> (loss (N,), gradient (N, P))``."""
    module = _compiled(expr, params, variables)
    return lambda theta, data: (
        module.per_sample_loss(theta, data, None),
        module.per_sample_gradient(theta, data, None),
    )


def build_mean(expr: Any, params: Sequence[Any], variables: Sequence[Any]) -> Callable[[Any, Any], tuple[float, Any]]:
    """``f(theta, data (N, V)) -> (mean loss, mean gradient (P,))``."""
    module = _compiled(expr, params, variables)
    return lambda theta, data: module.risk_and_gradient(theta, data, None)
