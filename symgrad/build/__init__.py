"""From Cython text to loaded functions. What builds is imported when it is first asked for: loading stays light."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .cache import Cache, Entry
from .load import CompiledRisk, Recipe, arithmetic, load_alike, load_entry, load_module, load_or_build

if TYPE_CHECKING:
    from .library import EXTENSION_SUFFIX, Built, build, build_sweep, cache_key, likeness, start_translator, sweep_key
    from .toolchain import Toolchain, installed_version, python_header

__all__ = [
    "EXTENSION_SUFFIX", "Built", "Cache", "CompiledRisk", "Entry", "Recipe", "Toolchain", "arithmetic",
    "build", "build_sweep", "cache_key", "installed_version", "likeness", "load_alike", "load_entry", "load_module",
    "load_or_build", "python_header", "start_translator", "sweep_key",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    file = "toolchain" if name in ("Toolchain", "installed_version", "python_header") else "library"
    return getattr(import_module(f"{__name__}.{file}"), name)
