"""Loading alone: `import symgrad.load` brings neither SymPy nor Cython in."""

from importlib import import_module
from typing import Any

from . import build
from .build import CompiledRisk, Recipe, load_module, load_or_build
from .errors import BuildError, CompilerNotFoundError

__all__ = ["CompiledRisk", "load_module", "load_or_build", "revived"]


def revived(version: str, *fields: Any) -> CompiledRisk:
    """Return the compiled risk of a pickle: from this machine's cache, without SymPy, else built from what travelled.

    Raises `BuildError` for a pickle of another version of symgrad, or one whose declaration reads otherwise here, and
    what `symgrad.compile` raises.
    """
    own = build.installed_version("symgrad")
    if version != own:
        raise BuildError(
            f"a compiled risk that symgrad {version} has pickled: expected one of this version, {own}; compile the "
            f"declared risk here and pickle that, or install symgrad {version}"
        )
    recipe = Recipe(*fields)
    return _found(recipe, None).with_quantities(lambda name: _found(recipe, name), (revived, version, recipe))


def _found(recipe: Recipe, quantity: str | None) -> CompiledRisk:
    """A module from the cache; where it is not there, from the compiler."""
    if not recipe.cache:
        return _compiled(recipe, quantity)
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
        return None  # whoever builds it says why


def _compiled(recipe: Recipe, quantity: str | None) -> CompiledRisk:
    """Build it here: `symgrad.pipeline` brings SymPy in, which only this needs."""
    what = recipe.name if quantity is None else f"{quantity} of {recipe.name}"
    try:
        pipeline, risk = import_module("symgrad.pipeline"), recipe.risk()
    except ImportError as error:
        raise BuildError(
            f"{what}: expected its module in the cache, or what builds it, got neither ({error}); set "
            'SYMGRAD_CACHE_DIR to a cache that has it, or install what is missing: python -m pip install "symgrad"'
        ) from error
    if risk.fingerprint != recipe.fingerprint:
        raise BuildError(
            f"{what}: expected a declaration with the fingerprint {recipe.fingerprint}, got {risk.fingerprint}: it "
            "reads otherwise here, as it may with another SymPy; declare and compile it here, or install the same SymPy"
        )
    options = {"stable": recipe.stable, "cache": recipe.cache, "limit": recipe.limit}
    compiled: CompiledRisk = pipeline.compile_of(quantity, risk, recipe.dtype, **options)
    return compiled
