"""Operations -> Cython text. Names are positional (``p0``, ``u1``, ``sum_3``): nothing a user wrote gets in."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isinf, isnan

from symgrad.program import Assignment, Form, Place, Program, Row, row_of

WIDEST = 88  # characters of an expression that is written inside another one

_SUM, _PRODUCT, _SIGN, _ATOM = 1, 2, 3, 4  # how tightly an expression binds
_INFIX = {Form.SUM: _SUM, Form.PRODUCT: _PRODUCT}
_INLINED = frozenset({*_INFIX, Form.COMPARISON, Form.NEGATION, Form.NOT, Form.ARGUMENT})
# The functions of the C library.
_LIBRARY = frozenset({Form.VECTOR_FUNCTION, Form.C_FUNCTION})
_LEAF_NAMES = {
    "parameter": "p",
    "input": "u",
    "target": "y",
    "weight": "w",
    "linear": "linear",
    "cotangent": "cotangent",
}


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


def c_functions(
    program: Program, variables: Iterable[int], forms: Collection[Form] = _LIBRARY
) -> tuple[tuple[str, int], ...]:
    """``(name, number of arguments)`` of the functions of these forms (C library) that variables call, sorted."""
    assignments = [program.assignments[v] for v in variables]
    rows = [row_of(assignment.operation) for assignment in assignments]
    called = {(row.text, len(a.arguments)) for row, a in zip(rows, assignments, strict=True) if row.form in forms}
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
            noun = _LEAF_NAMES.get(assignment.operation) or row_of(assignment.operation).noun
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
        row = row_of(self._program.assignments[variable].operation)
        return row.form in _INLINED and row.place is Place.LINE

    def _arguments(self, variable: int) -> tuple[int, ...]:
        return tuple(self._homes[a] for a in self._program.assignments[variable].arguments)

    def _branches(self, variable: int) -> tuple[int, ...]:
        """What has to have a name: the sides of a choice."""
        operation = self._program.assignments[variable].operation
        return self._arguments(variable)[1:] if operation == "select" else ()

    def _expression(self, variable: int, texts: Mapping[int, Text]) -> Text:
        assignment = self._program.assignments[variable]
        operands = [texts.get(a) or self.operand(a) for a in self._arguments(variable)]
        row = row_of(assignment.operation)
        if row.form in _INFIX:
            binds = _INFIX[row.form]
            left, right = operands
            return Text(f"{left.inside(binds)} {row.text} {right.inside(binds + 1)}", binds)
        return _FORMS[row.form](row, assignment, operands)


def _comparison(row: Row, assignment: Assignment, operands: list[Text]) -> Text:
    left, right = operands
    return Text(f"({left.inside(_SUM)} {row.text} {right.inside(_SUM)})")


def _call(row: Row, assignment: Assignment, operands: list[Text]) -> Text:
    arguments = [operand.text for operand in operands]
    if assignment.attribute is not None:
        arguments.insert(0, str(assignment.attribute))
    return Text(f"{row.text}({', '.join(arguments)})")


def _neg(row: Row, assignment: Assignment, operands: list[Text]) -> Text:
    return Text(f"-{operands[0].inside(_ATOM)}", _SIGN)


def _not(row: Row, assignment: Assignment, operands: list[Text]) -> Text:
    return Text(f"(not {operands[0].inside(_ATOM)})")


def _select(row: Row, assignment: Assignment, operands: list[Text]) -> Text:
    condition, yes, no = operands
    return Text(f"{yes.text} if {condition.text} else {no.text}", 0)


def _itself(row: Row, assignment: Assignment, operands: list[Text]) -> Text:
    return operands[0]


def _row(row: Row, assignment: Assignment, operands: list[Text]) -> Text:
    return Text("<real>row")


def _unwritten(row: Row, assignment: Assignment, operands: list[Text]) -> Text:
    raise ValueError(f"the operation {row.name} is not written in a line: it is lowered before, or a step of its own")


_FORMS: dict[Form, Callable[[Row, Assignment, list[Text]], Text]] = {
    Form.COMPARISON: _comparison,
    Form.NEGATION: _neg,
    Form.NOT: _not,
    Form.CHOICE: _select,
    Form.ARGUMENT: _itself,  # of a sum, what is added; of a greatest element, what is compared: in each turn
    Form.PLACE: _row,
    Form.UNWRITTEN: _unwritten,
    **dict.fromkeys((*_LIBRARY, Form.OWN_FUNCTION), _call),
}
