"""What every operation is: its values, its derivatives and its lowering, a row of one table for each."""

from .operation import X, Y
from .stable import defined
from .table import TABLE

__all__ = ["TABLE", "X", "Y", "defined"]
