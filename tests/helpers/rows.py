"""Sets of operations, by what their rows say."""

from symgrad.operations import TABLE, Operation
from symgrad.program import Form, Place


def _names(*, form: Form | None = None, place: Place | None = None) -> frozenset[str]:
    def fits(row: Operation) -> bool:
        return row.form is (form or row.form) and row.place is (place or row.place)

    return frozenset(name for name, row in TABLE.items() if fits(row))


CONDITIONS = frozenset(name for name, row in TABLE.items() if row.is_condition)
STRUCTURAL = frozenset(name for name, row in TABLE.items() if row.shape is not None)
REDUCTIONS = _names(place=Place.REDUCTION)
VECTOR_FUNCTIONS, OWN_FUNCTIONS = _names(form=Form.VECTOR_FUNCTION), _names(form=Form.OWN_FUNCTION)
