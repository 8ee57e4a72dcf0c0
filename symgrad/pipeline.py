"""The way of a risk: declare -> trace -> differentiate -> optimise -> schedule -> render -> build -> load."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from .build import Built, Cache, CompiledRisk, Toolchain, build, cache_key, load_or_build
from .declare import EmpiricalRisk, n_leaves
from .errors import DeclarationError
from .passes import as_declared, derive, lower, stabilise, turn
from .program import Program
from .render import render
from .schedule import Kernel, schedule
from .trace import trace

DTYPES = ("float64", "float32")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Generated:
    """Every stage of a risk, from the traced program to the Cython text."""

    traced: Program
    differentiated: Program
    optimised: Program
    kernel: Kernel
    source: str
    rewrites: tuple[str, ...]  # the stable forms that were put in
    timings: dict[str, float]  # seconds for each stage


def compile(risk: EmpiricalRisk, *, dtype: str = "float64", cache: bool = True, stable: bool = True) -> CompiledRisk:
    """Generate, build (or find in the cache) and load the module of a risk.

    ``dtype`` is the arithmetic of a sample, "float64" or "float32"; sums over samples are kept in double either way.
    ``cache=False`` builds in a folder of this process. ``stable=False`` computes the formulas as they are declared: no
    stable form is put in (`rewrites` stays empty). Raises `DeclarationError` for what is no risk or dtype,
    `CompilerNotFoundError` and `BuildError` where it cannot be built, `CacheError` where the cache is not safe to use.
    """
    _check(risk, dtype)
    toolchain = Toolchain.detect()
    key, key_text = cache_key(risk.fingerprint, dtype if stable else f"{dtype} as declared", toolchain)

    def make(folder: Path) -> Built:
        generated = generate(risk, dtype=dtype, stable=stable)
        built = build(generated.source, risk.name, toolchain, folder=folder)
        return replace(built, timings={**generated.timings, **built.timings}, rewrites=generated.rewrites)

    return load_or_build(Cache.open() if cache else Cache.make_private(), key, key_text, make)


def generate(risk: EmpiricalRisk, *, dtype: str = "float64", stable: bool = True) -> Generated:
    """The Cython text of a risk's module and every stage on the way to it; nothing is built."""
    _check(risk, dtype)
    clock = _Clock()
    improve = stabilise if stable else as_declared
    traced, before = clock.time("trace", lambda: improve(trace(risk)))
    differentiated, after = clock.time("differentiate", lambda: improve(derive(traced)))
    rewrites = tuple(dict.fromkeys((*before, *after)))
    optimised = clock.time("optimise", lambda: turn(lower(differentiated)))
    columns = n_leaves(risk.inputs)
    kernel = clock.time("schedule", lambda: schedule(optimised, columns))
    source = clock.time("render", lambda: render(risk, kernel, dtype, rewrites))
    return Generated(traced, differentiated, optimised, kernel, source, rewrites, clock.seconds)


def _check(risk: object, dtype: object) -> None:
    if not isinstance(risk, EmpiricalRisk):
        raise DeclarationError(
            f"risk: expected an EmpiricalRisk, got {type(risk).__name__}; make one with EmpiricalRisk(model, loss) "
            "or EmpiricalRisk.from_expression(...)"
        )
    if not isinstance(dtype, str) or dtype not in DTYPES:
        known = ", ".join(map(repr, DTYPES))
        raise DeclarationError(f"dtype: expected one of {known}, got {dtype!r}; choose one of them")


@dataclass(slots=True)
class _Clock:
    seconds: dict[str, float] = field(default_factory=dict)

    def time(self, stage: str, run: Callable[[], _Result]) -> _Result:
        start = time.perf_counter()
        result = run()
        self.seconds[stage] = time.perf_counter() - start
        return result
