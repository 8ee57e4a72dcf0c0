"""The operations of a program: what each means in SymPy, how its cotangent is pulled back, how it is lowered.

A row's pullback is SymPy's own ``diff`` of its meaning, unless the row brings one that keeps more digits or shares more
work; tests hold each of those against SymPy's. Operations that the C library lacks are lowered, after
differentiation, to operations that it has. What a pullback or a lowering emits are operations of this table again.
"""

from __future__ import annotations

from symgrad.program import enter

from . import arithmetic, circular, exponentials, gamma, matrices, powers, special, stable
from .operation import Operation

_KINDS = (arithmetic, exponentials, circular, special, powers, stable, gamma, matrices)
TABLE: dict[str, Operation] = {row.name: row for kind in _KINDS for row in kind.ROWS}
enter(row for kind in _KINDS for row in kind.ROWS)
