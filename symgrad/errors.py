"""What symgrad raises. Every message names the argument, what was expected, what came, and the next step.

A standalone generated module has no symgrad to import: it raises the plain ``ValueError`` and ``TypeError`` that
``ArrayError`` and ``ArrayTypeError`` specialise, with the same texts.
"""


class SymgradError(Exception):
    """The root of every error that symgrad raises on purpose."""


class DeclarationError(SymgradError, ValueError):
    """A model, a loss or a risk that cannot be what the user meant."""


class UnsupportedExpressionError(DeclarationError):
    """A SymPy expression that symgrad cannot turn into code."""


class ArrayError(SymgradError, ValueError):
    """An array with a wrong shape, length or layout."""


class ArrayTypeError(SymgradError, TypeError):
    """An array of a wrong kind: complex, object, masked, ``None``."""


class BuildError(SymgradError, RuntimeError):
    """Cython or the C compiler failed."""


class CompilerNotFoundError(BuildError):
    """No C compiler was found."""


class CacheError(SymgradError, OSError):
    """The folder of compiled modules cannot be used safely."""


class CacheWarning(UserWarning):
    """The folder of compiled modules was not usable as it was; the work goes on another way."""
