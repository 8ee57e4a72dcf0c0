"""Loading alone: `import symgrad.load` brings neither SymPy nor Cython in."""

from .build import CompiledRisk, load_module, load_or_build

__all__ = ["CompiledRisk", "load_module", "load_or_build"]
