"""What symgrad raises. Every message names the argument, what was expected, what came, and the next step.

A standalone generated module has no symgrad to import: it raises the plain ``ValueError`` and ``TypeError`` that
``ArrayError`` and ``ArrayTypeError`` specialise, with the same texts.
"""


def visible(text: str, *, keep: str = "") -> str:
    r"""Return ``text`` with all that is not printable written as in Python: ``\x1b``, ``\u202e``; but for ``keep``.

    So what somebody else has named moves no cursor of a terminal, sets no title and turns no line around. What is
    printable is what Python says: no control, format or private character, no half of a surrogate pair, no separator
    but the space. Printable letters of all scripts stay.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def visible_lines(text: str) -> str:
    """Return the same of a text that has lines and tabs of its own."""
    return visible(text, keep="\n\t")


class SymgradError(Exception):
    """The root of every error that symgrad raises on purpose. What its message quotes reaches no terminal raw."""

    def __str__(self) -> str:
        return visible_lines(super().__str__())


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


class MissingExtraError(SymgradError):
    """A package that only some functions need is not installed."""


class CacheWarning(UserWarning):
    """The folder of compiled modules was not usable as it was; the work goes on another way."""

    def __str__(self) -> str:
        return visible_lines(super().__str__())
