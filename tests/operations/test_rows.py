"""A row says all of an operation, or is an error; and an operation without a row is one."""

from dataclasses import fields

import pytest

from symgrad.operations import TABLE, Operation
from symgrad.program import Assignment, Builder, enter


@pytest.mark.parametrize("field", [field.name for field in fields(Operation)])
def test_a_row_without_a_field_is_an_error(field: str) -> None:
    whole = {field.name: getattr(TABLE["erfinv"], field.name) for field in fields(Operation)}
    assert Operation(**whole) == TABLE["erfinv"]
    del whole[field]
    with pytest.raises(TypeError, match=field):
        Operation(**whole)


def test_a_name_without_a_row_is_refused_where_a_program_is_built() -> None:
    builder = Builder()
    x = builder.emit("input", attribute=0)
    with pytest.raises(
        LookupError, match=r"what the operation 'bessel' is, .*; add one to the table in symgrad/operations"
    ):
        builder.emit("bessel", x)
    with pytest.raises(LookupError, match="'bessel'"):
        builder.emit("bessel", x, shape=())
    with pytest.raises(LookupError, match="'bessel'"):
        Builder([Assignment("bessel", ())])


def test_two_rows_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two rows are called 'exp'"):
        enter([TABLE["exp"]])
