"""The mathematics of a risk and of its gradient as text, for people."""

from .derivation import formulae, latex, text
from .header import header_lines, parameter_names

__all__ = ["formulae", "header_lines", "latex", "parameter_names", "text"]
