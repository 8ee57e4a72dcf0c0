"""What a user declares: symbols, a model, a loss and their risk, checked; and the walks through expressions."""

from .quantities import check_quantity
from .risk import EmpiricalRisk, Loss, Model, leaf_of, leaves, n_leaves
from .walks import postorder, symbols_in, walk
from .words import name_of, show

__all__ = [
    "EmpiricalRisk", "Loss", "Model", "check_quantity", "leaf_of", "leaves", "n_leaves", "name_of", "postorder", "show",
    "symbols_in", "walk",
]  # fmt: skip
