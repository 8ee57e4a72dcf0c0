"""Linear predictors -> what the templates need to compute them from a sample's row, and their gradients with it."""

from __future__ import annotations

from symgrad.schedule import Kernel

from .loops import StageWriter

Context = dict[str, object]


def turned_inputs(kernel: Kernel) -> tuple[dict[str, int], ...]:
    """The columns of the inputs that lane functions read one by one: what predictors have not taken."""
    parts, at = [], 0
    for first, size in sorted({(p.first, p.size) for p in kernel.predictors}):
        parts.append({"first": at, "size": first - at})
        at = first + size
    parts.append({"first": at, "size": kernel.inputs - at})
    return tuple(part for part in parts if part["size"])


def predictor_context(kernel: Kernel, writer: StageWriter) -> Context:
    """Predictors, gradients that are multiples of inputs, and where these are summed."""
    scaled: list[Context] = []
    place = 0
    for part in kernel.scaled:
        array, row = writer.rows_of(part.factor)
        array = "values" if array == "out" else array
        scaled.append(
            {"at": part.at, "first": part.first, "size": part.size, "array": array, "row": row, "place": place}
        )
        place += 2 * part.size
    return {
        "predictors": tuple(
            {"row": p.row, "first": p.first, "size": p.size, "weights": kernel.slots[p.weights]}
            for p in kernel.predictors
        ),
        "scaled": tuple(scaled),
        "multiples": place,
        "turned_inputs": turned_inputs(kernel) if kernel.predictors else (),
    }
