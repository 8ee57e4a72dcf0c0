"""Packages that only fits need: what says how to get them."""

from types import ModuleType

from symgrad.errors import MissingExtraError


def scipy_optimize() -> ModuleType:
    """Return ``scipy.optimize``. Raises `MissingExtraError`, which says how to get it."""
    try:
        import scipy.optimize
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f'fitting needs SciPy, which is not installed ({error}): python -m pip install "symgrad[scipy]"'
        ) from error
    optimize: ModuleType = scipy.optimize
    return optimize


def iminuit() -> ModuleType:
    """Return ``iminuit``. Raises `MissingExtraError`, which says how to get it."""
    try:
        import iminuit
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"solver='iminuit' needs iminuit, which is not installed ({error}): python -m pip install "
            '"symgrad[iminuit]"'
        ) from error
    found: ModuleType = iminuit
    return found


def scipy_stats() -> ModuleType:
    """Return ``scipy.stats``. Raises `MissingExtraError`, which says how to get it."""
    scipy_optimize()
    import scipy.stats

    stats: ModuleType = scipy.stats
    return stats
