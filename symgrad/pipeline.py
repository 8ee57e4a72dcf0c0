"""The way of a risk: declare -> trace -> differentiate -> lower -> schedule -> render -> build -> load."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from .build import Built, Cache, CompiledRisk, Toolchain, build, cache_key, load_or_build
from .declare import EmpiricalRisk, n_leaves
from .errors import DeclarationError
from .passes import as_declared, derive, lower, stabilise, turn
from .program import Program
from .render import render
from .schedule import Kernel, schedule
from .trace import trace

DTYPES = ("float64", "float32")


@dataclass(frozen=True, slots=True)
class Generated:
    """Every stage of a risk, from the traced program to the Cython text."""

    traced: Program
    differentiated: Program
    lowered: Program
    kernel: Kernel
    source: str
    rewrites: tuple[str, ...]  # the stable forms that were put in
    timings: dict[str, float]  # seconds for each stage


def compile(risk: EmpiricalRisk, *, dtype: str = "float64", cache: bool = True, stable: bool = True) -> CompiledRisk:
    """Generate, build (or find in the cache) and load the module of a risk, and return it.

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
    """Return the Cython text of a risk's module and every stage on the way to it; nothing is built.

    ``dtype`` and ``stable`` are those of `compile`. Raises `DeclarationError` for what is no risk or dtype.
    """
    _check(risk, dtype)
    clock = _Clock()
    improve = stabilise if stable else as_declared
    with clock("trace"):
        traced, before = improve(trace(risk))
    with clock("differentiate"):
        differentiated, after = improve(derive(traced))
    with clock("lower"):
        lowered = turn(lower(differentiated))
    with clock("schedule"):
        kernel = schedule(lowered, n_leaves(risk.inputs))
    rewrites = tuple(dict.fromkeys((*before, *after)))
    with clock("render"):
        source = render(risk, kernel, dtype, rewrites)
    return Generated(traced, differentiated, lowered, kernel, source, rewrites, clock.seconds)


def _check(risk: object, dtype: object) -> None:
    if not isinstance(risk, EmpiricalRisk):
        raise DeclarationError(
            f"risk: expected an EmpiricalRisk, got {type(risk).__name__}; make one with EmpiricalRisk(model, loss) "
            "or EmpiricalRisk.from_expression(...)"
        )
    if not isinstance(dtype, str) or dtype not in DTYPES:
        known = ", ".join(map(repr, DTYPES))
        raise DeclarationError(f"dtype: expected one of {known}, got {dtype!r}; choose one of them")


class _Clock:
    """Seconds by the names of stages: ``with clock("trace"): ...``."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - start
