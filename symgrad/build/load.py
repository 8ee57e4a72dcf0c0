"""Extension module -> callable. Knows neither SymPy nor Cython: what is in the cache loads in a few milliseconds.

A module is loaded by its path: `sys.path` and `sys.modules` stay as they were, so a file `numpy.py` beside it means
nothing, and two risks of one name are two modules.
"""

import errno
import functools
import hashlib
import os
import pickle
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO
from warnings import warn

from symgrad.data import arrays_of
from symgrad.errors import ArrayError, ArrayTypeError, BuildError, CacheWarning, visible

from .cache import Cache
from .derivatives import BoundQuantities, Build, Derivatives, Quantities
from .entries import Entry
from .reducing import Reducing

if TYPE_CHECKING:
    from .library import Built

FUNCTIONS = (
    "risk", "gradient", "risk_and_gradient", "per_sample_loss", "per_sample_gradient", "predict", "reduce", "bind",
    "partial_sums", "merge_sums", "pack", "unpack",
)  # fmt: skip
CONSTANTS = ("PARAMETERS", "INPUTS", "TARGETS", "N_PARAMETERS", "TILE")

_loaded: dict[str, ModuleType] = {}  # by sha256 of the library: equal code is one module, whatever its paths
_opened: set[Path] = set()
_loading = threading.RLock()
# What the dynamic linker says where a library does not fit the machine, and the next step.
_REMEDIES = (
    ("version `GLIBC_", "It was built with a newer C library than this machine has: build it on the oldest system."),
    ("libmvec", "This machine lacks libmvec, a part of glibc: install glibc whole."),
    ("failed to map segment", "Its disk may be mounted noexec: set SYMGRAD_CACHE_DIR to a folder elsewhere."),
    ("_ZGV", "The compiler did not find libmvec, a part of glibc: install glibc and its headers whole."),
)
_ROUNDS = 3  # a library that was cleared away before it was loaded is built again, and at last where nobody clears


class _Replaced(OSError):
    """A library that is not the one that was verified, or not there any more."""


@dataclass(frozen=True)
class Recipe:
    """What travels of a compiled risk when it is pickled: how to find its module, and how to build it anew.

    The declaration becomes bytes, and stays so until something has to be built: whoever finds the module in the cache
    needs no SymPy.
    """

    name: str
    fingerprint: str
    dtype: str
    stable: bool
    cache: bool
    limit: int | None
    declaration: Any

    def packed(self) -> tuple[Any, ...]:
        """Return the fields as they travel: plain ones, so that any version of symgrad can read them and say no.

        Raises `pickle.PicklingError` for a declaration that is nested too deep for pickle.
        """
        declaration = self.declaration
        if not isinstance(declaration, bytes):
            try:
                declaration = pickle.dumps(declaration)
            except RecursionError:
                raise pickle.PicklingError(
                    f"{self.name}: expected a declaration that pickle can follow, got one that is nested too deep; "
                    "raise sys.setrecursionlimit, or declare and compile it in the other process"
                ) from None
        return self.name, self.fingerprint, self.dtype, self.stable, self.cache, self.limit, declaration

    def risk(self) -> Any:
        """Return the declared risk. This is part of reading the user's own pickle: nothing else is read here."""
        return pickle.loads(self.declaration) if isinstance(self.declaration, bytes) else self.declaration  # noqa: S301


# What brings a compiled risk back from its recipe's fields, the version of symgrad that packs them, and the recipe.
Travels = tuple[Callable[..., Any], str, Recipe]


def arithmetic(dtype: str, stable: bool, quantity: str | None) -> str:
    """Return how a module computes and what, as its key says it; no quantity is the gradient."""
    return " ".join([dtype, *([] if stable else ["as declared"]), *([] if quantity is None else [quantity])])


class CompiledRisk(Derivatives, Reducing):
    """A compiled risk: the functions of its module, and how it came about.

    The functions are the module's own, with nothing between: see their docstrings for arguments, shapes and errors.
    `.source` is the generated Cython text, `.timings` the seconds that each stage took when it was built, `.rewrites`
    the stable forms that were put in, `.path` the library.
    """

    risk: Callable[..., float]
    gradient: Callable[..., Any]
    risk_and_gradient: Callable[..., Any]
    per_sample_loss: Callable[..., Any]
    per_sample_gradient: Callable[..., Any]
    predict: Callable[..., Any]
    pack: Callable[..., Any]
    unpack: Callable[..., Any]
    PARAMETERS: tuple[tuple[str, tuple[int, ...]], ...]
    INPUTS: tuple[tuple[str, tuple[int, ...]], ...]
    TARGETS: tuple[tuple[str, tuple[int, ...]], ...]
    N_PARAMETERS: int
    TILE: int

    def __init__(
        self, module: ModuleType, *, name: str, path: Path, source: str,
        timings: Mapping[str, float], rewrites: tuple[str, ...],
    ) -> None:  # fmt: skip
        self.module = module
        self.name = name
        self.path = path
        self.source = source
        self.timings = dict(timings)
        self.rewrites = rewrites
        for attribute in (*FUNCTIONS, *CONSTANTS):
            if not hasattr(CompiledRisk, attribute):
                setattr(self, attribute, getattr(module, attribute))
        self.with_quantities(None, None)

    def with_quantities(self, build: Build | None, travels: Travels | None) -> "CompiledRisk":
        """Return this compiled risk, whose other quantities are built by ``build(name)``, each when first asked for.

        ``travels`` is what pickle is told: a function that brings it back, and the recipe; its functions go with it.
        """
        self.quantities, self._travels = Quantities(self, build), travels
        for name in FUNCTIONS if travels is not None else ():
            getattr(self.module, name).__reduce_ex__ = functools.partial(_reduced, self, name)
        return self

    def bind(self, inputs: Any, targets: Any = ..., weights: Any = None, *, threads: int | None = None) -> Any:
        """Return the arrays, checked once: ``f = bind(...)``, then ``f(theta)`` is `(risk, gradient)`.

        ``f.hessian(theta)`` and the like are what the functions of the same names give. Arguments as for `risk`; a
        table or a `Source` may stand for inputs and targets.
        """
        inputs, targets, weights = arrays_of((self.INPUTS, self.TARGETS), inputs, targets, weights)
        bound = self.module.bind(inputs, targets, weights, threads=threads)
        bound.quantities = BoundQuantities(self.quantities, inputs, targets, weights, threads)
        return bound

    @property
    def declared(self) -> Any:
        """The declared risk; None of a module that was not compiled from one. After unpickling it needs SymPy."""
        return None if self._travels is None else self._travels[2].risk()

    def __repr__(self) -> str:
        def names(columns: tuple[tuple[str, tuple[int, ...]], ...]) -> str:
            texts = [visible(name) + (f"[{'x'.join(map(str, shape))}]" if shape else "") for name, shape in columns]
            return ", ".join(texts if len(texts) <= 8 else [*texts[:6], f"... {len(texts)} in all"]) or "none"

        return (
            f"<CompiledRisk {self.name}: parameters {names(self.PARAMETERS)} ({self.N_PARAMETERS} in all); "
            f"inputs {names(self.INPUTS)}; targets {names(self.TARGETS)}>"
        )

    def __copy__(self) -> "CompiledRisk":
        return self  # code, like a module and its functions

    def __deepcopy__(self, memo: object) -> "CompiledRisk":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        if self._travels is None:
            raise TypeError(
                f"the compiled risk {self.name!r} cannot be pickled: it was loaded without its declaration; pass the "
                "declared risk and call symgrad.compile there, which finds it in the cache"
            )
        revive, version, recipe = self._travels
        return revive, (version, *recipe.packed())


def _reduced(compiled: CompiledRisk, name: str, protocol: int) -> tuple[Any, ...]:
    """What pickle asks a function of a compiled risk."""
    return getattr, (compiled, name)


def load_module(path: Path, name: str, digest: str | None = None) -> ModuleType:
    """Load the extension module `name` from `path`; the same library is loaded once in a process.

    `sys.modules` is left as it was. The module raises symgrad's own array errors from then on. Raises `ImportError`
    where the library does not fit this Python or machine, `OSError` where there is no such file or where its sha256 is
    not `digest`.
    """
    path = path.absolute()
    with _loading, path.open("rb") as file:
        found = hashlib.sha256(file.read()).hexdigest()
        if digest not in (None, found):
            raise _Replaced(errno.ESTALE, "changed after it was verified", str(path))
        if found not in _loaded:
            _loaded[found] = _open_afresh(file, path, name) if path in _opened else _open(file, path, name)
            _opened.add(path)
        return _loaded[found]


def load_or_build(store: Cache, key: str, key_text: str, make: "Callable[[Path], Built]") -> CompiledRisk:
    """The compiled risk of a key: from the cache, else made by `make(folder)` (see `Cache.publish`) and put there.

    A library that is whole but does not load (another machine's, say) is built anew once. Raises `BuildError` where
    that does not help, and what `make` raises.
    """
    for _ in range(_ROUNDS):
        entry = store.find(key, key_text)
        if entry is not None:
            try:
                return load_entry(entry)
            except (ImportError, OSError) as error:
                _explain_missing_package(entry, error)
                if not _is_gone(entry, error):
                    store.discard(key, f"{entry.library.name} does not load ({error})")
        compiled = _load_built(store.publish(key, key_text, make))
        if compiled is not None:
            return compiled
    entry = Cache.make_private().publish(key, key_text, make)
    compiled = _load_built(entry)
    if compiled is None:
        raise BuildError(f"{entry.library} was built, but removed before it was loaded; try again")
    return compiled


def load_alike(store: Cache, wanted: Mapping[str, object]) -> CompiledRisk | None:
    """Return the newest compiled risk in the cache whose key has all that is wanted and that loads; else None.

    What does not load is told: there is no compiler to build it anew.
    """
    for entry in store.alike(wanted):
        try:
            return load_entry(entry)
        except (ImportError, OSError) as error:
            if not _is_gone(entry, error):
                warn(f"{entry.library} does not load ({error}). {_remedy(str(error))}", CacheWarning, stacklevel=2)
    return None


def _load_built(entry: Entry) -> CompiledRisk | None:
    """Load what was just built; None where it was cleared away meanwhile."""
    try:
        return load_entry(entry)
    except (ImportError, OSError) as error:
        _explain_missing_package(entry, error)
        if _is_gone(entry, error):
            return None
        raise BuildError(
            f"{entry.library} was built, but does not load into Python {sys.version.split()[0]}: {error}. "
            f"{_remedy(str(error))}"
        ) from error


def _remedy(said: str) -> str:
    """Return the next step after what the dynamic linker said."""
    for sign, remedy in _REMEDIES:
        if sign in said:
            return remedy
    return "Compiler, Cython and NumPy must belong to this Python: symgrad doctor shows them."


def _is_gone(entry: Entry, error: Exception) -> bool:
    return isinstance(error, (_Replaced, FileNotFoundError)) or not entry.library.exists()


def load_entry(entry: Entry) -> CompiledRisk:
    """Load an entry of the cache."""
    return CompiledRisk(
        load_module(entry.library, entry.name, entry.digest),
        name=entry.name, path=entry.library, source=entry.source, timings=entry.timings, rewrites=entry.rewrites,
    )  # fmt: skip


def _open(file: BinaryIO, path: Path, name: str) -> ModuleType:
    """Load a library by its path, which leads to the file that was read: no other took its place meanwhile."""
    if not os.path.samestat(os.stat(path), os.fstat(file.fileno())):
        raise _Replaced(errno.ESTALE, "another file has taken its place", str(path))
    return _initialise(path, name)


def _open_afresh(file: BinaryIO, path: Path, name: str) -> ModuleType:
    """Load what took the place of a loaded library: for a path that it knows, dlopen would answer with the old one."""
    with tempfile.TemporaryDirectory(prefix="symgrad-") as folder:
        copy = Path(folder, path.name)
        file.seek(0)
        with copy.open("wb") as written:
            shutil.copyfileobj(file, written)
        module = _initialise(copy, name)
    module.__file__ = str(path)
    return module


def _initialise(path: Path, name: str) -> ModuleType:
    before = set(sys.modules)
    loader = ExtensionFileLoader(name, str(path))
    spec = spec_from_file_location(name, path, loader=loader)
    assert spec is not None  # it is None only where no loader is given and none fits
    try:
        module = module_from_spec(spec)
        loader.exec_module(module)
    except SystemError as error:  # its structs have another layout: -fpack-struct
        raise ImportError(f"{path.name} was built for another binary interface: {error}") from error
    finally:
        _forget_registration(before, path)
    sweep = getattr(module, "_sweep", None)  # a module without one is a test's
    if sweep is not None:
        sweep.ArrayError, sweep.ArrayTypeError, sweep.arrays_of = ArrayError, ArrayTypeError, arrays_of
    return module


def _forget_registration(before: set[str], path: Path) -> None:
    """Cython's start-up code enters the module into `sys.modules`, where it could stand for another of that name."""
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) == str(path):
            del sys.modules[name]


def _explain_missing_package(entry: Entry, error: Exception) -> None:
    missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if missing == "scipy":
        raise BuildError(
            f"{entry.name} needs functions of SciPy, which is not installed ({error}): "
            'python -m pip install "symgrad[scipy]"'
        ) from error
    if missing:
        raise BuildError(f"{entry.name} needs the package {missing!r}, which is not installed: {error}") from error


def _after_fork_in_child() -> None:
    """The lock may be held by a thread that a child does not have."""
    global _loading
    _loading = threading.RLock()


os.register_at_fork(after_in_child=_after_fork_in_child)
