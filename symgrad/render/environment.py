"""The templates, and the text that depends on the dtype alone: the sweep."""

from functools import cache

import jinja2

SWEEPS = {"float64": "_sweep", "float32": "_sweep_float32"}  # the module that a model of each dtype runs on


def render_sweep(dtype: str) -> str:
    """Return the Cython text of the sweep, the same for every risk in a dtype."""
    single = dtype == "float32"
    return (
        environment()
        .get_template("sweep/sweep.pyx.jinja")
        .render(
            dtype=dtype,
            real="float" if single else "double",
            shrink_exponent=64 if single else 512,
            least_exponent=126 if single else 1022,
        )
    )


def render_curvature(name: str, quantities: tuple[str, ...], parameters: int) -> str:
    """Return the Python text of a module that offers second derivatives, from modules of quantities beside it."""
    modules = [f"{name}_{quantity}" for quantity in quantities]
    template = environment().get_template("beside/curvature.py.jinja")
    return template.render(name=name, quantities=quantities, modules=modules, parameters=parameters)


@cache
def environment() -> jinja2.Environment:
    """Return the templates' environment; an undefined name is an error."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("symgrad.templates", ""),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # the output is Cython, not HTML; no text of a user's reaches it unescaped
    )
