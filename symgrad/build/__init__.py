"""From Cython text to loaded functions. What builds is imported when it is first asked for: loading stays light."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .cache import Cache, Entry
from .load import CompiledRisk, load_module, load_or_build

if TYPE_CHECKING:
    from .library import EXTENSION_SUFFIX, Built, Toolchain, build, build_beside, cache_key
    from .library import installed_version, python_header  # isort: skip

__all__ = [
    "EXTENSION_SUFFIX", "Built", "Cache", "CompiledRisk", "Entry", "Toolchain", "build", "build_beside", "cache_key",
    "installed_version", "load_module", "load_or_build", "python_header",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(f"{__name__}.library"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
