"""symgrad: exact, compiled gradients of a model and a loss that are declared in SymPy.

Importing this package imports nothing heavy: each public name is fetched from its room when it is first used, so that a
module in the cache can be loaded without SymPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import errors, functions, losses
    from .boosting import objective
    from .build import CompiledRisk
    from .data import Source
    from .declare import EmpiricalRisk, Loss, Model
    from .designs import linear, regression
    from .fitting import Fit, Parameters, covariance, fit
    from .pipeline import compile, generate
    from .verification import Report, verify

__version__ = "0.1.0"

__all__ = [
    "CompiledRisk",
    "EmpiricalRisk",
    "Fit",
    "Loss",
    "Model",
    "Parameters",
    "Report",
    "Source",
    "compile",
    "covariance",
    "errors",
    "fit",
    "functions",
    "generate",
    "linear",
    "losses",
    "objective",
    "regression",
    "verify",
]

_ROOMS = {
    "CompiledRisk": "build",
    "EmpiricalRisk": "declare",
    "Fit": "fitting",
    "Loss": "declare",
    "Model": "declare",
    "Parameters": "fitting",
    "Report": "verification",
    "Source": "data",
    "compile": "pipeline",
    "covariance": "fitting",
    "fit": "fitting",
    "generate": "pipeline",
    "linear": "designs",
    "objective": "boosting",
    "regression": "designs",
    "verify": "verification",
}


def __getattr__(name: str) -> Any:
    if name in ("errors", "functions", "losses", "gallery", "data"):
        return import_module(f"{__name__}.{name}")
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
