"""Loading alone: `import symgrad.load` brings neither SymPy nor Cython in."""

from importlib import import_module
from typing import Any

from . import build
from .build import CompiledRisk, Recipe, load_module, load_or_build
from .errors import BuildError, CompilerNotFoundError

__all__ = ["CompiledRisk", "load_module", "load_or_build", "revived"]


def revived(recipe: Recipe) -> CompiledRisk:
    """Return the compiled risk of a pickle: from this machine's cache, without SymPy, else built from what travelled.

    Raises `BuildError` for a pickle of another version of symgrad, and what `symgrad.compile` raises.
    """
    if recipe.version != build.installed_version("symgrad"):
        raise BuildError(
            f"a compiled risk that symgrad {recipe.version} has pickled: expected one of this version, "
            f"{build.installed_version('symgrad')}; compile the declared risk here, or install that version"
        )
    return _found(recipe, None).with_quantities(lambda name: _found(recipe, name), (revived, (recipe,)))


def _found(recipe: Recipe, quantity: str | None) -> CompiledRisk:
    """A module from the cache; where it is not there, from the compiler."""
    store, what = build.Cache.open(), build.arithmetic(recipe.dtype, recipe.stable, quantity)
    try:
        toolchain = build.Toolchain.detect()
    except CompilerNotFoundError:
        found = build.load_alike(store, build.likeness(recipe.fingerprint, what))
    else:
        entry = store.find(*build.cache_key(recipe.fingerprint, what, toolchain))
        found = None if entry is None else _loaded(entry)
    return _compiled(recipe, quantity) if found is None else found


def _loaded(entry: Any) -> CompiledRisk | None:
    try:
        return build.load_entry(entry)
    except (ImportError, OSError):
        return None


def _compiled(recipe: Recipe, quantity: str | None) -> CompiledRisk:
    """Build it here: `symgrad.pipeline` brings SymPy in, which only this needs."""
    compile_of = import_module("symgrad.pipeline").compile_of
    compiled: CompiledRisk = compile_of(quantity, recipe.risk(), recipe.dtype, stable=recipe.stable, limit=recipe.limit)
    return compiled
