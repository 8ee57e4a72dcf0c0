"""`symgrad demo`: one problem of the gallery, from its formula to its certified parameters, or to a trained network."""

import textwrap
import time
from argparse import Namespace
from collections.abc import Sequence

from symgrad import gallery
from symgrad.build import CompiledRisk
from symgrad.declare import EmpiricalRisk, leaves
from symgrad.errors import SymgradError
from symgrad.explain import formulae
from symgrad.fitting import ExampleFit, agreeing_digits, fit_example, residual_risk, scipy_optimize
from symgrad.gallery import Example
from symgrad.pipeline import compile as compile_risk
from symgrad.progress import progress

from .inspect import verified
from .train import TRAINED, train

SAMPLES = 100  # of the verification
SAMPLES_OF_NETWORKS = 10  # exact arithmetic on thousands of weights takes its time
ENOUGH = 8  # digits, where so many are certified
MOST_SHOWN = 10  # parameters
_STAGES = {"cython": "Cython", "compiler": "C compiler"}


class DemoError(SymgradError):
    """There is no such example or start."""


def demo(arguments: Namespace) -> int:
    """Fit or train, compare and verify: 0 if what was wanted was found and the gradient is right, else 1."""
    if arguments.list:
        return _list()
    if arguments.name not in gallery.names():
        raise DemoError(f"there is no example {arguments.name!r}, only {', '.join(gallery.names())}")
    plan = TRAINED.get(arguments.name)
    if plan is None:
        scipy_optimize()
    example = gallery.load(arguments.name)
    start = _start(example, arguments.start)
    _introduce(example)
    compiled = _compile(example.risk)
    good = _fit(example, start) if plan is None else train(example, start, compiled, plan)
    samples = SAMPLES if plan is None else SAMPLES_OF_NETWORKS
    print(f"\nIs the gradient right? {samples} samples against its exact value:\n", flush=True)
    report = verified(example.risk, samples)
    print(textwrap.indent(report.table(), "  "))
    _point_to_source(compiled)
    return 0 if good and report.passed else 1


def _list() -> int:
    width = max(map(len, gallery.names()))
    for name in gallery.names():
        example = gallery.load(name)
        print(f"{name:{width}}  {example.title} ({len(example.inputs)} samples)")
        print(f"{'':{width}}  starts: {', '.join(map(repr, example.starts))}")
    return 0


def _start(example: Example, wanted: str | None) -> str:
    """The first start of a source is its far one."""
    name = next(iter(example.starts)) if wanted is None else wanted
    if name not in example.starts:
        raise DemoError(f"{example.risk.name} has no start {name!r}, only {', '.join(map(repr, example.starts))}")
    return name


def _introduce(example: Example) -> None:
    print(example.title)
    print(textwrap.fill(f"Data: {example.source}", 100))
    print(textwrap.fill(f"{len(example.inputs)} samples, each {example.what}", 100))
    print()
    for line in formulae(example.risk):
        print(f"  {line}")


def _compile(risk: EmpiricalRisk) -> CompiledRisk:
    """Compile the risk, and say what each stage took."""
    start = time.perf_counter()
    with progress() as line:
        line.say(f"compiling {risk.name}")
        compiled = compile_risk(risk)
    seconds = time.perf_counter() - start
    stages = ", ".join(f"{_STAGES.get(stage, stage)} {took:.2f}" for stage, took in compiled.timings.items())
    if seconds < sum(compiled.timings.values()):
        print(f"\nFound in the cache in {seconds:.2f} s. When it was compiled, it took, in seconds: {stages}")
    else:
        print(f"\nCompiled in {seconds:.1f} s: {stages}")
        print("The next time it is found in the cache.")
    return compiled


def _fit(example: Example, start: str) -> bool:
    """Fit and compare; whether every parameter agrees with what is certified."""
    begin = time.perf_counter()
    with progress() as line:
        if residual_risk(example.risk) is not None:
            line.say("compiling the residual, whose per-sample gradient is the Jacobian")
        found = fit_example(example, start)
    theta = ", ".join([f"{value:g}" for value in example.starts[start][:MOST_SHOWN]])
    more = ", ..." if len(example.starts[start]) > MOST_SHOWN else ""
    print()
    print(textwrap.fill(f"Fit from {start!r}, theta = ({theta}{more}), in {time.perf_counter() - begin:.2f} s:", 100))
    print(f"  {found.method}")
    if not found.converged:
        print("  It has not settled: the parameters below are where it stopped.")
    print()
    return _compare(example, found) and found.converged


def _compare(example: Example, found: ExampleFit) -> bool:
    """Certified and found numbers side by side."""
    names = [str(parameter) for parameter in leaves(*example.risk.parameters)]
    texts = example.certified_text
    if texts is None:
        shown = [(name, f"{v:.10E}") for name, v in zip(names, found.parameters, strict=True)][:MOST_SHOWN]
        _table([("", "found"), *shown])
        if len(names) > len(shown):
            print(f"  and {len(names) - len(shown)} more")
        print(f"  sum of losses {found.rss:.10E}. Nobody has certified parameters of this example.")
        return True
    rows = [("", "certified", "found", "digits that agree")]
    agreed = []
    for name, text, value in zip(names, texts, found.parameters, strict=True):
        agreed.append(agreeing_digits(float(value), text))
        rows.append((name, text, _like(text, float(value)), str(agreed[-1])))
    if example.certified_sum_text is not None:
        text = example.certified_sum_text
        rows.append(("sum of losses", text, _like(text, found.rss), str(agreeing_digits(found.rss, text))))
    _table(rows)
    limit = example.certified_digits or 0
    print(f"  {limit} digits are certified; the least that agree are {min(agreed)}.")
    return min(agreed) >= min(limit, ENOUGH)


def _like(text: str, value: float) -> str:
    """A number with as many digits as ``text`` has, in the same form."""
    mantissa, exponent, _ = text.partition("E")
    decimals = len(mantissa.partition(".")[2])
    return f"{value:.{decimals}{'E' if exponent else 'f'}}"


def _table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        print("  " + "  ".join(cells).rstrip())


def _point_to_source(compiled: CompiledRisk) -> None:
    print("\nThe code that computed all this is meant to be read:")
    print(f"  {compiled.path.with_name(f'{compiled.name}.pyx')}")
    print("To have it as a module of your own, which needs NumPy alone:")
    print(f"  symgrad generate symgrad.gallery:{compiled.name} -o generated")
