"""What every operation is: its values, its derivatives, its lowering, its cost and its name in C, a row for each."""

from .operation import Operation, Tail, X, Y
from .stable import defined
from .table import TABLE

__all__ = ["TABLE", "Operation", "Tail", "X", "Y", "defined"]
