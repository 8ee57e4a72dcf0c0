"""What a module's text says of its risk beside the kernel: plain strings and numbers, nothing of SymPy."""

from dataclasses import dataclass

Names = tuple[tuple[str, tuple[int, ...]], ...]  # (name, shape) of each array


@dataclass(frozen=True, slots=True)
class Interface:
    """The names that a caller of the module meets, and the mathematics in its header.

    ``labels`` names the parameter that begins at each of the kernel's ``starts``; ``scalar`` is true where the model's
    output is one number. Names are a user's text: they get into generated source as escaped literals and comments only.
    """

    name: str
    parameters: Names
    inputs: Names
    targets: Names
    scalar: bool
    header: tuple[str, ...]
    labels: tuple[str, ...]
