"""The way of a risk: declare -> trace -> differentiate -> lower -> schedule -> render -> build -> load."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from .build import (
    Built,
    Cache,
    CompiledRisk,
    Recipe,
    Toolchain,
    arithmetic,
    build,
    build_sweep,
    cache_key,
    installed_version,
    likeness,
    load_alike,
    load_or_build,
    start_translator,
    sweep_key,
)
from .declare import EmpiricalRisk, check_quantity, n_leaves
from .errors import CompilerNotFoundError, DeclarationError
from .explain import header_lines, parameter_names
from .limits import OPERATIONS
from .load import revived
from .passes import as_declared, curved_pairs, derive, following, is_derived, lower, quantity, stabilise, turn
from .program import Program
from .progress import telling
from .render import SWEEPS, Interface, render, render_sweep
from .schedule import Kernel, schedule
from .trace import trace, trace_loss

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


def compile(
    risk: EmpiricalRisk,
    *,
    dtype: str = "float64",
    cache: bool = True,
    stable: bool = True,
    limit: int | None = OPERATIONS,
) -> CompiledRisk:
    """Return the compiled module of a risk: from the cache, else generated, built and put there.

    ``dtype`` is the arithmetic of a sample, "float64" or "float32"; sums over samples are kept in double either way.
    ``cache=False`` builds in a folder of this process. ``stable=False`` computes the formulas as they are declared: no
    stable form is put in (`rewrites` stays empty). ``limit`` is how many operations the program of one sample may have
    (what is done to all elements of a matrix counts once); None sets no limit, and what is in the cache is under none.
    Where there is no compiler, a module in the cache that another compiler built does, if declaration, versions and
    processor are the same. Raises `DeclarationError` for what is no risk, dtype or limit and for a risk that is past
    its limit, `CompilerNotFoundError` and `BuildError` where it cannot be built, `CacheError` where the cache is not
    safe to use.
    """
    given = partial(compile_of, risk=risk, dtype=dtype, cache=cache, stable=stable, limit=limit)
    compiled = given(None)
    recipe = Recipe(risk.name, risk.fingerprint, dtype, stable, cache, limit, risk)
    return compiled.with_quantities(given, (revived, installed_version("symgrad"), recipe))


def compile_of(
    name: str | None,
    risk: EmpiricalRisk,
    dtype: str = "float64",
    cache: bool = True,
    stable: bool = True,
    limit: int | None = OPERATIONS,
) -> CompiledRisk:
    """Return the compiled module of a quantity of a risk (see `generate`), or of its gradient: as for `compile`."""
    _check(risk, dtype, limit)
    what = arithmetic(dtype, stable, name)
    try:
        toolchain = Toolchain.detect()
    except CompilerNotFoundError:
        found = load_alike(Cache.open(), likeness(risk.fingerprint, what)) if cache else None
        if found is None:
            raise
        return found
    store = Cache.open() if cache else Cache.make_private()
    key, key_text = cache_key(risk.fingerprint, what, toolchain)

    def make(folder: Path) -> Built:
        start_translator()
        with telling(f"compiling {risk.name}"), _sweep(store, dtype, toolchain) as sweep:
            generated = generate(risk, dtype=dtype, stable=stable, limit=limit, of=name)
            return _built(generated, build(generated.source, risk.name, toolchain, folder=folder, sweep=sweep))

    return load_or_build(store, key, key_text, make)


def build_all(
    risks: Sequence[EmpiricalRisk],
    generated: Mapping[str, Generated],
    dtype: str,
    toolchain: Toolchain,
    done: Callable[[int], None],
    more: Mapping[str, tuple[EmpiricalRisk, str]] | None = None,
) -> dict[str, Path]:
    """Return the library of each risk, by name: from the cache, else built and put there, one on each core.

    ``generated`` holds each risk's text by its name; ``done`` is told how many are ready. ``more`` names modules of
    other quantities: the risk and the quantity of each. Errors as for `compile`.
    """
    store = Cache.open()
    keys = {risk.name: cache_key(risk.fingerprint, dtype, toolchain) for risk in risks}
    for name, (risk, of) in (more or {}).items():
        # "named": `compile` calls its own after the risk, and a library can be loaded under its own name alone
        keys[name] = cache_key(risk.fingerprint, arithmetic(dtype, True, f"{of} named {name}"), toolchain)
    found = {name: entry.library for name, key in keys.items() if (entry := store.find(*key)) is not None}
    missing = [name for name in keys if name not in found]
    done(len(found))
    if not missing:
        return found
    with (
        _sweep(store, dtype, toolchain) as sweep,
        ThreadPoolExecutor(min(len(missing), os.cpu_count() or 1)) as pool,
    ):

        def publish(name: str) -> Path:
            def make(folder: Path) -> Built:
                built = build(generated[name].source, name, toolchain, folder=folder, sweep=sweep)
                return _built(generated[name], built)

            return store.publish(*keys[name], make).library

        try:
            libraries = pool.map(publish, missing)
        except RuntimeError:  # the system refuses threads
            libraries = map(publish, missing)
        try:
            for name, library in zip(missing, libraries, strict=True):
                found[name] = library
                done(len(found))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return found


def _built(generated: Generated, built: Built) -> Built:
    """Return what was built, with what its stages took and put in."""
    return replace(built, timings={**generated.timings, **built.timings}, rewrites=generated.rewrites)


@contextmanager
def _sweep(store: Cache, dtype: str, toolchain: Toolchain) -> Iterator[Callable[[], Path]]:
    """Give what returns the compiled sweep: from the cache or, where it has none, built in another thread meanwhile."""
    key = sweep_key(dtype, toolchain)

    def make(folder: Path) -> Built:
        return build_sweep(render_sweep(dtype), SWEEPS[dtype], toolchain, folder=folder)

    entry = store.find(*key)
    with ThreadPoolExecutor(1) as pool:
        future = None
        if entry is None:
            with suppress(RuntimeError):  # the system refuses a thread: it is built when it is asked for
                future = pool.submit(store.publish, *key, make)

        def library() -> Path:
            found = entry if future is None else future.result()
            if found is None or not found.library.exists():
                found = store.publish(*key, make)
            return found.library

        yield library


def generate(
    risk: EmpiricalRisk,
    *,
    dtype: str = "float64",
    stable: bool = True,
    limit: int | None = OPERATIONS,
    of: str | None = None,
) -> Generated:
    """Return the Cython text of a risk's module and every stage on the way to it; nothing is built.

    ``dtype``, ``stable`` and ``limit`` are those of `compile`. ``of`` names another quantity, "hessian" say (see
    `passes.curvature`), whose module is meant. Raises `DeclarationError` for what is no risk, dtype or
    limit, and for a risk that is past its limit, as soon as a stage shows it.
    """
    _check(risk, dtype, limit)
    if of is not None:
        check_quantity(of, risk)
    clock = _Clock()
    improve = stabilise if stable else as_declared

    def within(program: Program) -> Program:
        _check_size(risk.name, len(program.assignments), limit)
        return program

    with clock("trace"):
        traced, before = improve(within(trace(risk)))
    with clock("differentiate"):
        differentiated, after = improve(
            within(derive(traced, again=of is not None and is_derived(of), summed=of is None))
        )
        if of is not None:
            own = quantity(of, differentiated, _of_loss(of, risk, improve))
            differentiated, more = (improve if is_derived(of) else as_declared)(within(own))
            after = (*after, *more)
    with clock("lower"):
        lowered = turn(within(lower(differentiated)))
    with clock("schedule"):
        kernel = schedule(lowered, n_leaves(risk.inputs))
    rewrites = tuple(dict.fromkeys((*before, *after)))
    with clock("render"):
        interface = _interface(risk, kernel) if of is None else _interface_of(of, risk)
        source = render(interface, kernel, dtype, rewrites)
    return Generated(traced, differentiated, lowered, kernel, source, rewrites, clock.seconds)


def curved_together(risk: EmpiricalRisk) -> tuple[dict[int, int], set[frozenset[int]]]:
    """Return which parameters the prediction may have a second derivative by: see `passes.curved_pairs`."""
    return curved_pairs(trace(risk))


def _of_loss(name: str, risk: EmpiricalRisk, improve: Callable[[Program], tuple[Program, object]]) -> Program | None:
    """Return the program of the loss' Hessian by the prediction, for what is made of it."""
    if name != "gauss_newton":
        return None
    program, _ = improve(trace_loss(risk))
    program, _ = improve(derive(program, again=True))
    return improve(quantity("hessian", program))[0]


def _interface(risk: EmpiricalRisk, kernel: Kernel) -> Interface:
    """Return what the module's text says of its risk beside the kernel."""
    return Interface(
        name=risk.name,
        parameters=_names(risk.parameters),
        inputs=_names(risk.inputs),
        targets=_names(risk.targets),
        scalar=risk.output_shape == (),
        header=tuple(header_lines(risk)),
        labels=() if kernel.pull is not None else tuple(parameter_names(risk, kernel.starts[:-1])),
    )


def _interface_of(name: str, risk: EmpiricalRisk) -> Interface:
    """Return what the text of a quantity's module says; its vector follows the parameters."""
    more = following(name, n_leaves(risk.parameters))
    vector = (("vector", (more,)),) if more else ()
    header = (f"The sums of {name} over the samples: symmetric matrices as the rows of their lower triangle.",)
    targets = () if name == "jacobian" else _names(risk.targets)
    names = (_names(risk.parameters) + vector, _names(risk.inputs), targets)
    return Interface(risk.name, *names, scalar=True, header=header, labels=())


def _names(symbols: Sequence[Any]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((str(symbol.name), tuple(map(int, getattr(symbol, "shape", ())))) for symbol in symbols)


def _check(risk: object, dtype: object, limit: object) -> None:
    if not isinstance(risk, EmpiricalRisk):
        raise DeclarationError(
            f"risk: expected an EmpiricalRisk, got {type(risk).__name__}; make one with EmpiricalRisk(model, loss) "
            "or EmpiricalRisk.from_expression(...)"
        )
    if not isinstance(dtype, str) or dtype not in DTYPES:
        known = ", ".join(map(repr, DTYPES))
        raise DeclarationError(f"dtype: expected one of {known}, got {dtype!r}; choose one of them")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise DeclarationError(
            f"limit: expected a number of operations, at least 1, or None, got {limit!r}; the default is {OPERATIONS}"
        )


def _check_size(name: str, size: int, limit: int | None) -> None:
    if limit is not None and size > limit:
        raise DeclarationError(
            f"risk {name!r}: expected a program of at most {limit} operations (limit={limit}), got {size} or more, "
            "which may take minutes to compile; write what repeats as a Sum or with matrices (MatrixSymbol), or raise "
            f"the limit: limit={2 * size} for symgrad.compile or symgrad.generate, --limit {2 * size} for symgrad "
            "generate, or limit=None (--limit 0) for none"
        )


class _Clock:
    """Seconds by the names of stages: ``with clock("trace"): ...``."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - start
