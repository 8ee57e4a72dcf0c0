"""`symgrad show` and `symgrad verify`: what a risk is, and whether its compiled gradient is right."""

from argparse import Namespace
from collections.abc import Sequence

from symgrad.declare import EmpiricalRisk
from symgrad.explain import latex, text
from symgrad.pipeline import Generated, generate
from symgrad.progress import progress, telling
from symgrad.verification import Report
from symgrad.verification import verify as verify_risk

from .source import read_risks


def show(arguments: Namespace) -> int:
    """Print the derivation, the program or the source of each risk."""
    for place, risk in enumerate(read_risks(arguments.source)):
        with telling(f"deriving {risk.name}"):
            generated = generate(risk, limit=arguments.limit or None)
        print("\n" * (place > 0) + _shown(arguments, risk, generated).rstrip("\n"))
    return 0


def _shown(arguments: Namespace, risk: EmpiricalRisk, generated: Generated) -> str:
    if arguments.text:
        return generated.source
    if arguments.program:
        return _listing(risk, generated)
    write = latex if arguments.latex else text
    return write(risk, generated.kernel) + _rewritten(generated.rewrites, arguments.latex)


def _rewritten(rewrites: Sequence[str], latex: bool) -> str:
    """What was computed in another form than it is declared in."""
    if not rewrites:
        return ""
    forms = [f"     {form}" for form in rewrites]
    if latex:
        forms = [r"\begin{verbatim}", *forms, r"\end{verbatim}"]
    return "\n".join(["\n", "Computed in stable forms:", "", *forms])


def _listing(risk: EmpiricalRisk, generated: Generated) -> str:
    parts = (
        (f"{risk.name}: the program as traced (v0, v1, ... are its variables)", generated.traced),
        ("with its gradient, and lowered to what the C compiler knows", generated.lowered),
        ("what is computed once, and what for each lane of a tile", generated.kernel),
    )
    return "\n\n".join(f"--- {title}\n{part}" for title, part in parts)


def verify(arguments: Namespace) -> int:
    """Print the table of errors of each risk: 0 if all derivatives are within their bounds, else 1."""
    reports = []
    for place, risk in enumerate(read_risks(arguments.source)):
        report = verified(risk, arguments.samples, arguments.digits, arguments.seed)
        print("\n" * (place > 0) + report.table(), flush=True)
        reports.append(report)
    return 0 if all(report.passed for report in reports) else 1


def verified(risk: EmpiricalRisk, samples: int, digits: int = 50, seed: int = 0) -> Report:
    """The report on a risk, with a line on the terminal while it takes its time."""
    with progress() as line:
        line.say(f"compiling {risk.name}")

        def count(done: int, wanted: int) -> None:
            line.count(f"verifying {risk.name}, samples", done, wanted)

        return verify_risk(risk, samples, digits, seed=seed, progress=count)
