"""All examples of the gallery, in their order, and how to get one by its name."""

from symgrad.declare import EmpiricalRisk

from .classification import breast_cancer_logistic, iris_softmax
from .counts import ships_negbin, ships_poisson
from .example import Example, read_example
from .networks import diabetes_layers, diabetes_network, digits
from .nist import boxbod, eckerle4, enso, gauss1, kirby2, mgh09, mgh10, misra1a, nelson, rat42
from .recurrent import sunspots_recurrent
from .robust import marietta_student_t, stackloss_huber
from .tables import eyes_and_hair

RISKS: tuple[EmpiricalRisk, ...] = (
    misra1a,
    eckerle4,
    gauss1,
    enso,
    mgh09,
    mgh10,
    rat42,
    kirby2,
    nelson,
    boxbod,
    breast_cancer_logistic,
    ships_poisson,
    ships_negbin,
    stackloss_huber,
    marietta_student_t,
    diabetes_network,
    digits,
    diabetes_layers,
    iris_softmax,
    eyes_and_hair,
    sunspots_recurrent,
)
"""Every risk of the gallery, declared only: no data is read until :func:`load`."""


def names() -> tuple[str, ...]:
    """Return the names that :func:`load` knows, in the gallery's order."""
    return tuple(risk.name for risk in RISKS)


def load(name: str) -> Example:
    """Return the example called ``name``: its risk, and its data read anew, so that the caller may change the arrays.

    Raises ``ValueError``, naming the examples there are, for any other name.
    """
    for risk in RISKS:
        if risk.name == name:
            return read_example(risk)
    raise ValueError(f"name: expected one of {', '.join(names())}; got {name!r}. symgrad.gallery.names() lists them.")
