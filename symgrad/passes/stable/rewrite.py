"""Stable forms: what people write, and what differentiation makes of it, is replaced by what keeps its digits.

Each rule says what it replaces, in the words that `compiled.rewrites` and `symgrad show` print.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgrad.program import LEAVES, Attribute, Builder, Program, Value, fold

from ..lowering import eliminate_dead
from .differences import RATIOS, ROOTS, SUMS
from .distributions import DISTRIBUTIONS
from .form import StableForm
from .gamma import GAMMAS
from .labels import LABELS
from .logarithms import LOGARITHMS
from .products import PRODUCTS
from .sums import QUOTIENTS, SHIFTS

# Of the rules of a round the first one whose pattern is there is the one. Shifts wait until logarithms have seen sums.
_FIRST = (*DISTRIBUTIONS, *GAMMAS, *LOGARITHMS, *RATIOS, *QUOTIENTS, *PRODUCTS, *LABELS, *SUMS, *ROOTS)
RULES: tuple[StableForm, ...] = (*_FIRST, *SHIFTS)


def stabilise(program: Program) -> tuple[Program, tuple[str, ...]]:
    """Return the program in its stable forms, and the names of the rules that were used, each once."""
    used = dict[str, None]()
    for rules in (_FIRST, RULES):
        rewriting = _Rewriting(rules, used)
        program = rewriting.apply(program)
    return program, tuple(used)


def as_declared(program: Program) -> tuple[Program, tuple[str, ...]]:
    """Return the program as it is, and no rules: what stands for `stabilise` where stable forms are turned off."""
    return program, ()


class _Rewriting:
    """One round of rules: every operation that is appended is looked at, those that rules bring too.

    An operation that its own replacement asks for again is left as it is. The rules for x + y see x - y as x + (-y).
    """

    def __init__(self, rules: Sequence[StableForm], used: dict[str, None]) -> None:
        self.rules: dict[str, list[StableForm]] = {}
        for rule in rules:
            self.rules.setdefault(rule.operation, []).append(rule)
        self.used = used
        self.known: dict[tuple[str, tuple[int, ...], Attribute], int | None] = {}

    def apply(self, program: Program) -> Program:
        builder, numbers, needed = Builder(fold=self.replacement), list[int](), program.needed()
        for variable, assignment in enumerate(program.assignments):
            is_leaf = assignment.operation in LEAVES
            arguments = tuple(numbers[a] for a in assignment.arguments)
            shape = assignment.shape if is_leaf else None
            wanted = is_leaf or variable in needed
            number = (
                builder.emit(assignment.operation, *arguments, attribute=assignment.attribute, shape=shape)
                if wanted
                else -1
            )
            numbers.append(number)
        outputs = {name: tuple(numbers[v] for v in variables) for name, variables in program.outputs.items()}
        return eliminate_dead(builder.program(outputs), [leaf for leaf in LEAVES if leaf != "constant"])

    def replacement(
        self, builder: Builder, operation: str, arguments: tuple[int, ...], attribute: Attribute
    ) -> int | None:
        """What stands for an operation: by an identity, or by a rule."""
        folded = fold(builder, operation, arguments, attribute)
        if folded is not None or ("add" if operation == "sub" else operation) not in self.rules:
            return folded
        key = (operation, arguments, attribute)
        if key not in self.known:
            self.known[key] = None
            self.known[key] = self._by_rule(builder, operation, arguments, attribute)
        return self.known[key]

    def _by_rule(
        self, builder: Builder, operation: str, arguments: tuple[int, ...], attribute: Attribute
    ) -> int | None:
        values = [Value(builder, a) for a in arguments]
        if operation == "sub":
            operation, values = "add", [values[0], -values[1]]
        for rule in self.rules[operation]:
            better = rule.replace(*values, *(() if attribute is None else (attribute,)))
            if better is not None:
                self.used[rule.name] = None
                return better.variable
        return None
