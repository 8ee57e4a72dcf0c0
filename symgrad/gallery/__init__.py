"""Example risks with small real data: for the demo, the tests, the documentation, and to read.

    from symgrad import gallery
    gallery.names()                     # ('misra1a', 'eckerle4', ...)
    example = gallery.load("misra1a")   # the risk, its data, starting values and certified parameters
    gallery.misra1a                     # the risk alone

Each module declares a few risks of one kind, in about as many lines as the formulae take on paper.
"""

from .catalogue import RISKS, load, names
from .classification import breast_cancer_logistic, iris_softmax
from .counts import ships_negbin, ships_poisson
from .example import Example
from .networks import diabetes_layers, diabetes_network, digits
from .nist import boxbod, eckerle4, enso, gauss1, kirby2, mgh09, mgh10, misra1a, nelson, rat42
from .recurrent import sunspots_recurrent
from .robust import marietta_student_t, stackloss_huber
from .tables import eyes_and_hair

__all__ = [
    "RISKS", "Example", "boxbod", "breast_cancer_logistic", "diabetes_layers", "diabetes_network", "digits",
    "eckerle4", "enso", "eyes_and_hair", "gauss1", "iris_softmax", "kirby2", "load", "marietta_student_t", "mgh09",
    "mgh10", "misra1a", "names", "nelson", "rat42", "ships_negbin", "ships_poisson", "stackloss_huber",
    "sunspots_recurrent",
]  # fmt: skip
