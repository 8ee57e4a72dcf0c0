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


def matplotlib_figure() -> ModuleType:
    """Return ``matplotlib.figure``: figures without a window. Raises `MissingExtraError`, which says how to get it."""
    try:
        import matplotlib.figure
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f'plots need matplotlib, which is not installed ({error}): python -m pip install "symgrad[plot]"'
        ) from error
    figure: ModuleType = matplotlib.figure
    return figure


class Bar:
    """A progress bar of tqdm, as a function of (evaluations, value)."""

    def __init__(self, name: str) -> None:
        try:
            import tqdm
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"progress='tqdm' needs tqdm, which is not installed ({error}): python -m pip install tqdm"
            ) from error
        self._bar = tqdm.tqdm(desc=f"fitting {name}", unit=" evaluations")

    def __call__(self, evaluations: int, value: float) -> None:
        self._bar.set_postfix_str(f"value {value:.8g}", refresh=False)
        self._bar.update()

    def close(self) -> None:
        """End the line."""
        self._bar.close()


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
