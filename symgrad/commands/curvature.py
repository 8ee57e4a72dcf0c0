"""What `symgrad generate --with curvature` writes beside models: second derivatives, and a module that offers them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from symgrad.build import CompiledRisk
from symgrad.declare import EmpiricalRisk, check_quantity
from symgrad.errors import DeclarationError, SymgradError
from symgrad.pipeline import Generated
from symgrad.pipeline import generate as generate_text
from symgrad.progress import telling
from symgrad.render import render_curvature

_ALWAYS = ("hessian_vector", "hessian_diagonal")
_OF_MODELS = ("jacobian", "gauss_newton", "residuals", "normal_equations")


@dataclass(frozen=True)
class More:
    """Modules beside the models: their texts and what each is of, by name; and files of plain Python, by theirs."""

    generated: dict[str, Generated] = field(default_factory=dict)
    of: dict[str, tuple[EmpiricalRisk, str]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def curvature(risks: Sequence[EmpiricalRisk], dtype: str, limit: int | None) -> More:
    """Return what has the second derivatives of some risks, and the derivatives of their predictions.

    Raises `DeclarationError` for what is past the limit, `SymgradError` where a risk has the name of such a module.
    """
    more, names = More(), {risk.name for risk in risks}
    for risk in risks:
        shapes = [tuple(map(int, getattr(symbol, "shape", ()))) for symbol in risk.parameters]
        quantities = list(_quantities(risk, CompiledRisk.at_once(shapes)))
        modules = [f"{risk.name}_{quantity}" for quantity in quantities]
        for name, quantity in zip(modules, quantities, strict=True):
            if name in names:
                raise SymgradError(f"a risk is called {name!r}, and so would be a module of {risk.name!r}; rename it")
            with telling(f"generating {name}"):
                more.generated[name] = generate_text(risk, dtype=dtype, limit=limit, of=quantity)
            more.of[name] = risk, quantity
        size = sum(rows * columns for rows, columns in (shape or (1, 1) for shape in shapes))
        more.files[f"{risk.name}_curvature.py"] = render_curvature(risk.name, tuple(quantities), size)
    return more


def _quantities(risk: EmpiricalRisk, whole: bool) -> Iterator[str]:
    """What a risk has: a Hessian in one module where it is small, else by columns; the rest where it has a model."""
    yield from (("hessian", *_ALWAYS) if whole else _ALWAYS)
    for quantity in _OF_MODELS:
        try:
            check_quantity(quantity, risk)
        except DeclarationError:
            continue
        yield quantity
