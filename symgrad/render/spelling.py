"""Operations -> Cython text. Names are positional (``p0``, ``u1``, ``sum_3``): nothing a user wrote gets in."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isinf, isnan

from symgrad.program import CONDITIONS, LEAVES, STRUCTURAL, Assignment, Program

WIDEST = 88  # characters of an expression that is written inside another one

# Nouns for temporaries; an operation that is not here is its own noun.
_NOUNS = {
    "add": "sum",
    "sub": "difference",
    "mul": "product",
    "div": "quotient",
    "neg": "negative",
    "sqrt": "root",
    "abs": "size",
    "select": "choice",
    **dict.fromkeys(CONDITIONS, "condition"),
}
# Names in C, where they differ from the operation's.
_C_NAMES = {"abs": "fabs", "gamma": "tgamma"}
# Written in the module itself (templates/special.pyx.jinja), since the C library has none.
OWN_FUNCTIONS = frozenset({"digamma", "polygamma"})
# Functions of the C library of which glibc's libmvec (2.35) has vector versions for x86-64.
VECTOR_FUNCTIONS = frozenset(
    {
        *("exp", "exp2", "expm1", "log", "log10", "log1p", "log2", "pow", "hypot", "erf", "erfc"),
        *("sin", "cos", "tan", "asin", "acos", "atan", "atan2"),
        *("sinh", "cosh", "asinh", "acosh", "atanh"),
    }
)

_SUM, _PRODUCT, _SIGN, _ATOM = 1, 2, 3, 4  # how tightly an expression binds
_INFIX = {"add": (" + ", _SUM), "sub": (" - ", _SUM), "mul": (" * ", _PRODUCT), "div": (" / ", _PRODUCT)}
_COMPARISONS = {"lt": "<", "le": "<=", "eq": "==", "ne": "!=", "and": "&", "or": "|"}
_LEAF_NAMES = {"parameter": "p", "input": "u", "target": "y", "weight": "w", "linear": "linear"}


@dataclass(frozen=True, slots=True)
class Text:
    """An expression's text and how tightly it binds."""

    text: str
    binds: int = _ATOM

    def inside(self, binds: int) -> str:
        """Return the text as an operand of something that binds so tightly."""
        return self.text if self.binds >= binds else f"({self.text})"


def number(value: float, dtype: str) -> Text:
    """Return a literal that reads back to the same bits (in double; rounded once where the module works in float)."""
    if isnan(value):
        return Text("NAN")
    text = "INFINITY" if isinf(value) else repr(abs(value))
    text = f"<real>{text}" if dtype == "float32" and not isinf(value) else text
    return Text(f"-{text}", _SIGN) if value < 0 or repr(value).startswith("-") else Text(text)


def c_functions(program: Program, variables: Iterable[int]) -> tuple[tuple[str, int], ...]:
    """Return ``(name, number of arguments)`` of the C library's functions that these variables call, sorted."""
    called = set()
    for variable in variables:
        assignment = program.assignments[variable]
        if _is_call(assignment) and assignment.operation not in OWN_FUNCTIONS:
            called.add((_C_NAMES.get(assignment.operation, assignment.operation), len(assignment.arguments)))
    return tuple(sorted(called))


class Printer:
    """Writes straight-line code: one line for each variable that is not written inside another's line.

    ``homes`` says which variables are the same elements under two shapes (`steps.same_elements`).
    """

    def __init__(self, program: Program, dtype: str, homes: Sequence[int]) -> None:
        self._program = program
        self._dtype = dtype
        self._homes = homes
        self._names: dict[int, str] = {}
        self._seen: Counter[str] = Counter()

    def name(self, variable: int) -> str:
        """Return a variable's name: leaves are named by place, others by what they are and a running number."""
        variable = self._homes[variable]
        if variable not in self._names:
            assignment = self._program.assignments[variable]
            noun = _LEAF_NAMES.get(assignment.operation) or _NOUNS.get(assignment.operation, assignment.operation)
            if assignment.operation in _LEAF_NAMES:
                number = "" if assignment.operation == "weight" else assignment.attribute
                name = f"{noun}{number}"
                self._seen[name] += 1  # a column of parameters begins with one that may be used by itself
                self._names[variable] = name if self._seen[name] == 1 else f"{name}_{self._seen[name]}"
            else:
                self._seen[noun] += 1
                self._names[variable] = f"{noun}_{self._seen[noun]}"
        return self._names[variable]

    def operand(self, variable: int) -> Text:
        """Return a variable as it is used: a constant as its literal, a place as the loop's, others by name."""
        assignment = self._program.assignments[self._homes[variable]]
        if assignment.operation == "constant":
            assert isinstance(assignment.attribute, int | float)
            return number(assignment.attribute, self._dtype)
        return Text("<real>row") if assignment.operation == "place" else Text(self.name(variable))

    def lines(self, body: Iterable[int], kept: Iterable[int]) -> tuple[tuple[tuple[int, str], ...], Mapping[int, Text]]:
        """Return ``((variable, text), ...)`` of a body, in order, and the texts of kept variables that need no line.

        A variable that is used once is written where it is used, if the line stays short and no branch of a
        choice would get work to do: the compiler turns a choice between values into a select.
        """
        body = tuple(body)
        uses = Counter(a for v in body for a in self._arguments(v))
        uses.update(kept)
        picked = {a for v in body for a in self._branches(v)}
        texts: dict[int, Text] = {}
        lines = []
        for variable in body:
            text = self._expression(variable, texts)
            if uses[variable] == 1 and variable not in picked and len(text.text) <= WIDEST and self._inlined(variable):
                texts[variable] = text
            else:
                self.name(variable)
                lines.append((variable, text.text))
        return tuple(lines), {v: texts.get(v, self.operand(v)) for v in kept}

    def _inlined(self, variable: int) -> bool:
        """Arithmetic and tests are written inside other lines; calls and choices have a line of their own."""
        operation = self._program.assignments[variable].operation
        return operation in _INFIX or operation in CONDITIONS or operation in ("neg", "fill")

    def _arguments(self, variable: int) -> tuple[int, ...]:
        return tuple(self._homes[a] for a in self._program.assignments[variable].arguments)

    def _branches(self, variable: int) -> tuple[int, ...]:
        """What has to have a name: the sides of a choice."""
        operation = self._program.assignments[variable].operation
        return self._arguments(variable)[1:] if operation == "select" else ()

    def _expression(self, variable: int, texts: Mapping[int, Text]) -> Text:
        assignment = self._program.assignments[variable]
        operands = [texts.get(a) or self.operand(a) for a in self._arguments(variable)]
        operation = assignment.operation
        if operation in _INFIX:
            sign, binds = _INFIX[operation]
            left, right = operands
            return Text(f"{left.inside(binds)}{sign}{right.inside(binds + 1)}", binds)
        if operation in _COMPARISONS:
            left, right = operands
            return Text(f"({left.inside(_SUM)} {_COMPARISONS[operation]} {right.inside(_SUM)})")
        return _OTHERS.get(operation, _call)(assignment, operands)


def _call(assignment: Assignment, operands: list[Text]) -> Text:
    arguments = [operand.text for operand in operands]
    if assignment.attribute is not None:
        arguments.insert(0, str(assignment.attribute))
    return Text(f"{_C_NAMES.get(assignment.operation, assignment.operation)}({', '.join(arguments)})")


def _neg(assignment: Assignment, operands: list[Text]) -> Text:
    return Text(f"-{operands[0].inside(_ATOM)}", _SIGN)


def _not(assignment: Assignment, operands: list[Text]) -> Text:
    return Text(f"(not {operands[0].inside(_ATOM)})")


def _select(assignment: Assignment, operands: list[Text]) -> Text:
    condition, yes, no = operands
    return Text(f"{yes.text} if {condition.text} else {no.text}", 0)


def _itself(assignment: Assignment, operands: list[Text]) -> Text:
    return operands[0]


def _row(assignment: Assignment, operands: list[Text]) -> Text:
    return Text("<real>row")


_OTHERS: dict[str, Callable[[Assignment, list[Text]], Text]] = {
    "neg": _neg,
    "not": _not,
    "select": _select,
    "fill": _itself,
    "place": _row,
    "total": _itself,  # what is added to the sum, or compared with the greatest, in each turn
    "largest": _itself,
}


def _is_call(assignment: Assignment) -> bool:
    return assignment.operation not in (*LEAVES, *STRUCTURAL, *_INFIX, *_COMPARISONS, *_OTHERS)
