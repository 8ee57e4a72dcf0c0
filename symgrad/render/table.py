"""Kernel -> the table of whole numbers that a model gives to the sweep (`Risk` in templates/sweep/arrays.pyx.jinja)."""

from collections.abc import Iterable

from symgrad.schedule import Kernel, Predictor

from .loops import PieceWriter

Row = tuple[int, ...]
_WIDTH = 110


def table(kernel: Kernel, writer: PieceWriter, scalar: bool, weight_row: int, parameters: int) -> tuple[str, ...]:
    """Return the lines of keywords; ``writer`` is that of the gradients. What is as by default is left out.

    ``weight_row`` is the number of columns of inputs and targets, ``parameters`` that of numbers in a theta.
    """

    def row(variable: int, offset: int = 0) -> int:
        """Return the row in which a variable lies: of the values, or ~r for row r of the data."""
        array, place = writer.rows_of(variable)
        number = offset + (weight_row if isinstance(place, str) else place)
        return ~number if array == "data" else number

    functions = {function.name: function for function in kernel.functions}
    gradients, predictions = functions["gradients"], functions.get("predictions")
    numbers = [
        f"invariants={kernel.n_invariants}",
        *(["penalty=1"] if kernel.n_penalty else []),
        f"rows={kernel.rows}",
        f"summed={gradients.rows}",
        *([f"outputs={predictions.rows}", f"scalar={scalar}"] if predictions else []),
        f"lanes={kernel.lanes}",
        f"depth={kernel.depth}",
        f"batch={kernel.batch}",
        f"cost={kernel.cost}",
        *([f"results={kernel.starts[-1]}"] if kernel.starts[-1] != parameters else []),
        *([f"pulled={kernel.pull.rows + kernel.pull.scratch}"] if kernel.pull is not None else []),
    ]

    def weights(predictor: Predictor) -> int:
        """Return the row of c in which a predictor's weights begin."""
        return int(writer.rows_of(predictor.weights)[1]) + predictor.offset

    segments = tuple((s.row, s.at, s.size) for s in kernel.segments)
    whole = segments == ((1, 0, kernel.starts[-1]),)
    rows = {
        "segments": () if whole else segments,
        "outers": tuple((o.at, row(o.left), row(o.right), o.m, o.p, o.k) for o in kernel.outers),
        "predictors": tuple((p.row, p.first, p.size, weights(p)) for p in kernel.predictors),
        "scaled": tuple((s.at, row(s.factor, s.offset), s.first, s.size, s.step) for s in kernel.scaled),
    }
    given = {name: text for name, text in rows.items() if text or (name == "segments" and not whole)}
    return (", ".join(numbers) + ",", *(line for name, each in given.items() for line in _listed(name, each)))


def _listed(name: str, rows: Iterable[Row]) -> list[str]:
    """Return a table as a line, or as one line for each row where it is long."""
    texts = [repr(row) for row in rows]
    line = f"{name}=({', '.join(texts)}{',' if len(texts) == 1 else ''}),"
    return [line] if len(line) <= _WIDTH else [f"{name}=(", *(f"    {text}," for text in texts), "),"]


def outer_error(kernel: Kernel, dtype: str) -> str:
    """Return the error of a gradient that is summed as a product: of a tile's additions, none compensated."""
    additions = kernel.lanes + kernel.depth * max((outer.p for outer in kernel.outers), default=0)
    return f"{additions * {'float64': 2.0**-53, 'float32': 2.0**-24}[dtype]:.0e}"
