"""What a user declares: symbols, a model, a loss and their risk, checked; and the walks through expressions."""

from .grammar import name_of, postorder, show, walk
from .risk import EmpiricalRisk, Loss, Model, leaves
from .walks import symbols_in

__all__ = ["EmpiricalRisk", "Loss", "Model", "leaves", "name_of", "postorder", "show", "symbols_in", "walk"]
