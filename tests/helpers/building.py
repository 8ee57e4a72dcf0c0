"""Models built without the cache's help, on a sweep that the whole test run shares."""

from collections.abc import Callable
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from symgrad.build import Built, Cache, Toolchain, build, build_sweep, sweep_key
from symgrad.render import SWEEPS, render_sweep


def sweep_of(toolchain: Toolchain, dtype: str = "float64") -> Callable[[], Path]:
    """What `build` asks for the compiled sweep: built once for a toolchain, and kept in the run's cache."""

    def make(folder: Path) -> Built:
        return build_sweep(render_sweep(dtype), SWEEPS[dtype], toolchain, folder=folder)

    return lambda: Cache.open().publish(*sweep_key(dtype, toolchain), make).library


def build_model(source: str, name: str, toolchain: Toolchain, folder: Path, dtype: str = "float64") -> Built:
    """Build a model's text with the sweep of its dtype."""
    return build(source, name, toolchain, folder=folder, sweep=sweep_of(toolchain, dtype))


def load_part(library: Path, name: str) -> Any:
    """A module of a library by its name: the model, what is linked in, or a version of a portable one."""
    spec = spec_from_file_location(name, library, loader=ExtensionFileLoader(name, str(library)))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fake_cython(folder: Path, statements: str) -> Path:
    """Return a folder for PYTHONPATH, in which a package Cython does what the statements say.

    They know ``path``, the file to translate, and ``output``, the name of the C file.
    """
    package = folder / "Cython" / "Compiler"
    package.mkdir(parents=True, exist_ok=True)
    for file in (package.parent / "__init__.py", package / "__init__.py", package / "Lexicon.py"):
        file.touch()
    (package / "Main.py").write_text(
        "import os, time\nfrom types import SimpleNamespace\ndefault_options = None\n"
        "def CompilationOptions(_, **options): return options['output_file']\n"
        "def compile_single(path, output, full_module_name):\n"
        "    if not path.endswith('nothing.pyx'):  # the server's own, which it starts with\n"
        f"        {statements}\n"
        "    return SimpleNamespace(num_errors=0)\n",
        encoding="utf-8",
    )
    return folder
