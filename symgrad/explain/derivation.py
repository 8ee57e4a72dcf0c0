"""How the gradient of an empirical risk follows from the gradient of one sample's loss: as text, and as LaTeX.

Four steps that hold for every risk, then the formulae of this one where they are short enough to be read.
"""

import re
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sympy.printing.latex import LatexPrinter
from sympy.printing.str import StrPrinter

from symgrad.declare import EmpiricalRisk, leaf_of, n_leaves
from symgrad.schedule import Kernel

from .equations import MODEL, PENALTY, Account, Line, account_of
from .notation import NOTE, LatexOfMatrices, TextOfMatrices

_MOST_SHOWN = 8  # parameters in a vector, outputs of a model
_MOST_ALIGNED = 20  # letters of a left side that others are aligned with
_MOST_FORMULAE = 60  # of a risk that is made of matrices
_WIDTH = 100
# Python's identifiers, unicode ones too, with primes; and LaTeX's own names for letters.
_READABLE = re.compile(r"[^\W\d]\w{0,40}'{0,3}|\\[A-Za-z]{1,20}")
_LATEX_SAFE = re.compile(r"[A-Za-z][A-Za-z0-9]{0,40}(_[A-Za-z0-9]{1,40})*", re.ASCII)
_LATEX_LETTER = re.compile(
    r"\\((var)?(alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|pi|rho|sigma|tau|upsilon|phi|chi|psi"
    r"|omega)|Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Upsilon|Phi|Psi|Omega|ell)"
)
_LATEX_ESCAPES = {
    **{character: f"\\{character}" for character in "{}$&#%_"},
    **{"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''"},
}
_STEPS = (
    "The empirical risk is the mean loss over N samples (u_i, y_i):",
    "Its gradient is the vector of its partial derivatives, one for each parameter:",
    "Put the risk in:",
    "A derivative is linear: the sum and the factor 1/N come out, and the loss of one sample is all that is\n"
    "   differentiated:",
)
_PENALISED = "The penalty stands outside the mean, and its gradient is added once."
_TOO_LONG = "The partial derivatives are too long to be read here; --source shows the code that computes them."
_LATEX_NOTE = r"Functions of matrices, $\circ$ and its powers are elementwise; $[i = j]$ is 1 where it holds, else 0."


def text(risk: EmpiricalRisk, kernel: Kernel) -> str:
    """Return the derivation for a terminal, with the operations that the risk's kernel takes."""
    printer, account = _OnATerminal(), account_of(risk)
    sample = "L(N_theta(u_i), y_i)" if risk.outputs else "L(theta; u_i, y_i)"
    more, more_gradient = ("", "") if risk.penalty is None else (" + penalty(theta)", " + grad penalty(theta)")
    mean = f"1/N * sum_{{i=1..N}} {sample}"
    names = _leaf_names(risk.parameters, printer, account.whole)
    partials = ", ".join(f"dR/d{name}" if name != printer.dots else name for name in names)
    shown = (
        f"R(theta) = {mean}{more}",
        f"grad R(theta) = ({partials})",
        f"grad R(theta) = grad [{mean}{more}]",
        f"grad R(theta) = 1/N * sum_{{i=1..N}} grad {sample}{more_gradient}",
    )
    lines = [*_headline(risk, printer), ""]
    for number, (step, formula) in enumerate(zip(_STEPS, shown, strict=True), start=1):
        lines += [f"{number}. {step}", *_wrapped("     ", formula, deeper=len("grad R(theta) = (")), ""]
    lines += [_PENALISED, ""] if risk.penalty is not None else []
    lines += ["For this risk:", "", *(f"     {line}" for line in _aligned_text(risk, account, printer))]
    lines += ["", NOTE] if account.whole else []
    lines += [] if account.complete else ["", _TOO_LONG]
    return "\n".join([*lines, "", *_counted(kernel)])


def formulae(risk: EmpiricalRisk) -> list[str]:
    """Return this risk's model, loss, penalty and derivatives as lines of text; without those that are too long."""
    return _aligned_text(risk, account_of(risk), _OnATerminal())


def latex(risk: EmpiricalRisk, kernel: Kernel) -> str:
    """Return the derivation as LaTeX that can stand in any document with the package amsmath."""
    printer, account = _InLatex(), account_of(risk)
    sample = r"L\bigl(N_\theta(u_i),\, y_i\bigr)" if risk.outputs else r"L(\theta;\, u_i, y_i)"
    more, more_gradient = ("", "") if risk.penalty is None else (r" + P(\theta)", r" + \nabla P(\theta)")
    mean = rf"\frac{{1}}{{N}} \sum_{{i=1}}^{{N}} {sample}"
    names = [
        name if name == printer.dots else rf"\frac{{\partial R}}{{\partial {name}}}"
        for name in _leaf_names(risk.parameters, printer, account.whole)
    ]
    one_sample = rf"\frac{{1}}{{N}} \sum_{{i=1}}^{{N}} \nabla {sample}{more_gradient}"
    steps = (
        rf"R(\theta) &= {mean}{more} && \text{{the empirical risk}}",
        rf"\nabla R(\theta) &= \left( {', '.join(names)} \right) && \text{{its partial derivatives}}",
        rf"&= \nabla \left[ {mean}{more} \right] && \text{{the risk put in}}",
        rf"&= {one_sample} && \text{{the sum taken out: linearity}}",
    )
    own = [f"{name.latex} &= {printer.doprint(value)}" for name, value in _shown(risk, account, printer)]
    return "\n".join(
        [
            rf"% {risk.name}: needs \usepackage{{amsmath}}",
            *_aligned(steps),
            *_aligned(own),
            *([_LATEX_NOTE, ""] if account.whole else []),
            *([] if account.complete else [_TOO_LONG.replace("--source", r"\texttt{symgrad show -{}-source}"), ""]),
            *_counted(kernel),
        ]
    )


# --- what both show ------------------------------------------------------------------------------------------------


class _Name:
    """The left side of an equation, in both forms."""

    def __init__(self, text: str, latex: str) -> None:
        self.text = text
        self.latex = latex


def _shown(risk: EmpiricalRisk, account: Account, printer: "_OnATerminal | _InLatex") -> Iterator[tuple[_Name, Any]]:
    """The equations of an account, not too many: what is on the left, as text, and what it is equal to."""
    lines: Iterable[Line] = account.lines[:_MOST_FORMULAE] if account.whole else _first_outputs(account.lines)
    for line in lines:
        if line.says is None:
            left = " = ".join(printer.doprint(side) for side in line.left)
            yield _Name(left, left), line.right
        else:
            yield _defined(risk, account, line, printer), line.right


def _first_outputs(lines: Iterable[Line]) -> Iterator[Line]:
    """Without the model's outputs beyond the first few."""
    outputs = 0
    for line in lines:
        outputs += line.says == MODEL
        if line.says != MODEL or outputs <= _MOST_SHOWN:
            yield line


def _defined(risk: EmpiricalRisk, account: Account, line: Line, printer: "_OnATerminal | _InLatex") -> _Name:
    """The model, the loss or the penalty, with what it is a function of."""
    if line.says == PENALTY:
        return _Name("penalty(theta)", r"P(\theta)")
    if line.says == MODEL:
        place = "" if account.whole else line.left[0].name.removeprefix(MODEL.name)  # "[2]" for one of several
        return _Name(f"N_theta(u){place}", rf"N_\theta(u){place.replace('[', '_{').replace(']', '}')}")
    if not risk.outputs:
        return _Name("L(theta; u, y)", r"L(\theta;\, u, y)")
    ends = (_leaf_names(symbols, printer, account.whole) for symbols in (risk.predictions, risk.targets))
    loss = f"L({', '.join(name for part in ends for name in part)})"
    return _Name(loss, loss)


def _leaf_names(symbols: Sequence[Any], printer: "_OnATerminal | _InLatex", whole: bool) -> list[str]:
    """All of a few, matrices as one or as their scalars; the first and the last of many."""
    count = len(symbols) if whole else n_leaves(symbols)
    few = range(count) if count <= _MOST_SHOWN else (*range(_MOST_SHOWN - 2), count - 1)
    names = [printer.doprint(symbols[place] if whole else leaf_of(symbols, place)) for place in few]
    return names if count <= _MOST_SHOWN else [*names[:-1], printer.dots, names[-1]]


def _counted(kernel: Kernel) -> list[str]:
    loss, gradient, once = (kernel.counts[what] for what in ("loss", "gradient", "once"))
    once_too = f"; {once} more {'is' if once == 1 else 'are'} done once for a theta" if once else ""
    alone, both = (kernel.counts[f"{what} in all"] for what in ("loss", "gradient"))
    sentence = (
        f"For each sample the generated code takes {_number(loss, 'operation')} for the loss, and {gradient} for the "
        f"loss with its whole gradient{once_too}. In all, the loss with its gradient takes {both / max(alone, 1):.1f} "
        f"times the operations of the loss."
    )
    return textwrap.wrap(sentence, _WIDTH)


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


# --- text ----------------------------------------------------------------------------------------------------------


class _OnATerminal(TextOfMatrices, StrPrinter):  # type: ignore[misc]  # SymPy has no types
    """SymPy's text; a name that could be taken for something else is quoted."""

    dots = "..."

    def _print_Symbol(self, symbol: Any) -> str:
        name = str(symbol.name)
        return name if name == "..." or _READABLE.fullmatch(name) else ascii(name)

    _print_Dummy = _print_MatrixSymbol = _print_Symbol

    _comma = ","  # without a space, where a line could break


def _aligned_text(risk: EmpiricalRisk, account: Account, printer: _OnATerminal) -> list[str]:
    shown = [(name.text, printer.doprint(value)) for name, value in _shown(risk, account, printer)]
    width = max(len(name) for name, _ in shown if len(name) <= _MOST_ALIGNED or name == shown[0][0])
    return [line for name, value in shown for line in _wrapped(f"{name.ljust(width)} = ", value)]


def _headline(risk: EmpiricalRisk, printer: _OnATerminal) -> list[str]:
    roles = (("parameters", "theta", risk.parameters), ("inputs", "u", risk.inputs), ("targets", "y", risk.targets))
    lines = [risk.name, "=" * len(risk.name)]
    for role, letter, symbols in roles:
        names = [printer.doprint(s) + _shape(s) for s in symbols]
        lines += _wrapped(f"{role.ljust(10)} {letter.rjust(5)} = ", f"({', '.join(names)})")
    return lines


def _shape(symbol: Any) -> str:
    return "".join(f"[{'x'.join(str(size) for size in symbol.shape)}]" for _ in (0,) if getattr(symbol, "shape", ()))


def _wrapped(start: str, rest: str, deeper: int = 0) -> list[str]:
    indent = " " * (len(start) + deeper)
    return textwrap.wrap(start + rest, _WIDTH, subsequent_indent=indent, break_long_words=False)


# --- LaTeX ---------------------------------------------------------------------------------------------------------


class _InLatex(LatexOfMatrices, LatexPrinter):  # type: ignore[misc]  # SymPy has no types
    """SymPy's LaTeX, with names that LaTeX would not take as such spelled out as text."""

    dots = r"\dots"

    def _print_Symbol(self, symbol: Any, style: str = "plain") -> str:
        name = str(symbol.name)
        if name == "...":
            return r"\dots"
        base = name.rstrip("'")
        if len(name) - len(base) in (1, 2, 3) and base:
            return f"{{{self._letter(base)}}}" + "'" * (len(name) - len(base))
        return self._letter(name)

    _print_Dummy = _print_MatrixSymbol = _print_Symbol

    def _letter(self, name: str) -> str:
        if _LATEX_SAFE.fullmatch(name):
            told = str(self._deal_with_super_sub(name))
            return rf"\mathrm{{{told}}}" if told.isalpha() and len(told) > 1 else told
        if _LATEX_LETTER.fullmatch(name):
            return name
        return _greek(name) or rf"\text{{{''.join(map(_escaped, name))}}}"


def _greek(name: str) -> str:
    """LaTeX's own name of a Greek letter that was typed as such."""
    words = unicodedata.name(name, "").split() if len(name) == 1 else []
    if len(words) == 4 and words[0] == "GREEK" and words[2] == "LETTER":
        latin = words[3].lower().replace("lamda", "lambda")
        command = f"\\{latin.capitalize() if words[1] == 'CAPITAL' else latin}"
        return command if _LATEX_LETTER.fullmatch(command) else ""
    return ""


def _escaped(character: str) -> str:
    """A character as every LaTeX engine takes it, in text."""
    if character in _LATEX_ESCAPES:
        return _LATEX_ESCAPES[character]
    if character.isascii() and character.isprintable():
        return character
    return f"U+{ord(character):04X}"


def _aligned(lines: Sequence[str]) -> list[str]:
    return [r"\begin{align*}", *(f"  {line} \\\\" for line in lines[:-1]), f"  {lines[-1]}", r"\end{align*}"]
