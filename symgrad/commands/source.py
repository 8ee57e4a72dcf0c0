"""From SOURCE[:NAME] on the command line to the risks that are meant."""

import importlib
import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import symgrad.pipeline  # read now: while a user's folder is on the path, its files could stand for others
from symgrad.declare import EmpiricalRisk, Loss, Model
from symgrad.errors import SymgradError

_WHAT_IT_IS = "SOURCE is a Python file, or an importable module by its dotted name"
_NOT_THE_USERS = ("<", str(Path(symgrad.pipeline.__file__).parent), *sysconfig.get_paths().values())


class SourceError(SymgradError):
    """SOURCE[:NAME] does not lead to a risk."""


@dataclass(frozen=True)
class Named:
    """A risk and the variable that holds it, as in ``decay.py:decay`` or ``decay.py:risks[1]``."""

    risk: EmpiricalRisk
    source: str
    attribute: str

    def __str__(self) -> str:
        return f"{self.source}:{self.attribute}"


def read_risks(arguments: Sequence[str]) -> tuple[EmpiricalRisk, ...]:
    """The risks that are meant by one or several ``SOURCE[:NAME]``, each once, in order.

    Raises `SourceError` where there is no such file, module or risk, where it cannot be imported, and where two risks
    share a name.
    """
    found: dict[int, Named] = {}
    modules: dict[str, ModuleType] = {}
    for source, name in map(_split, arguments):
        if source not in modules:
            modules[source] = _import(source)
        for named in _choose(modules[source], source, name):
            found.setdefault(id(named.risk), named)
    first: dict[str, Named] = {}
    for named in found.values():
        other = first.setdefault(named.risk.name, named)
        if other is not named:
            raise SourceError(
                f"two risks are called {named.risk.name!r}, {other} and {named}; "
                "give each its own name: EmpiricalRisk(..., name=...)"
            )
    return tuple(named.risk for named in found.values())


def _choose(module: ModuleType, source: str, name: str | None) -> tuple[Named, ...]:
    everything = tuple(_risks_of(module, source))
    if name is None:
        if not everything:
            raise SourceError(f"{source} keeps no EmpiricalRisk in a variable{_nearly(module)}")
        return everything
    chosen = tuple(n for n in everything if n.attribute.partition("[")[0] == name)
    chosen = chosen or tuple(n for n in everything if n.risk.name == name)
    if not chosen:
        raise SourceError(_unknown(source, name, module, everything))
    return chosen


def _split(argument: str) -> tuple[str, str | None]:
    source, colon, name = argument.rpartition(":")
    if not colon or Path(argument).is_file():
        return argument, None
    if not source or not name:
        raise SourceError(f"expected SOURCE or SOURCE:NAME, got {argument!r}; write e.g. decay.py:decay")
    return source, name


def _risks_of(module: ModuleType, source: str) -> Iterator[Named]:
    for attribute, value in vars(module).items():
        if isinstance(value, EmpiricalRisk):
            yield Named(value, source, attribute)
        elif isinstance(value, (tuple, list)):
            for place, item in enumerate(value):
                if isinstance(item, EmpiricalRisk):
                    yield Named(item, source, f"{attribute}[{place}]")


def _nearly(module: ModuleType) -> str:
    """What else was declared, if somebody stopped half-way."""
    for attribute, value in vars(module).items():
        if isinstance(value, (Model, Loss)):
            kind = type(value).__name__
            return f", but the {kind} {attribute!r}; put model and loss together: risk = EmpiricalRisk(model, loss)"
    return "; declare one: risk = EmpiricalRisk(model, loss, name=...), at the top level of the file"


def _unknown(source: str, name: str, module: ModuleType, everything: Sequence[Named]) -> str:
    if isinstance(getattr(module, name, None), (Model, Loss)):
        kind = type(getattr(module, name)).__name__
        return f"{source}:{name} is a {kind}, expected an EmpiricalRisk; make one: EmpiricalRisk(model, loss, name=...)"
    known = list(dict.fromkeys(named.risk.name for named in everything))
    there = f"there are {', '.join(known)}" if known else "there is none"
    return f"{source} has no risk {name!r} ({there}); take one of these, or leave out :{name} to take all"


# --- importing what the user wrote ---------------------------------------------------------------------------------


def _import(source: str) -> ModuleType:
    path = Path(source)
    if path.is_dir():
        raise SourceError(f"{source} is a folder; name a Python file in it, or a module by its dotted name")
    if path.suffix == ".py" or path.is_file() or len(path.parts) > 1:
        return _import_file(path)
    return _import_module(source)


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise SourceError(f"there is no file {path}; {_WHAT_IT_IS}")
    if path.suffix != ".py":
        raise SourceError(f"{path} is no Python file: its name has to end with .py (export a notebook as a script)")
    path = path.resolve()
    # Known under its own name only if nothing else is: declaring dataclasses needs an entry in sys.modules.
    name = path.stem if path.stem not in sys.modules else f"_symgrad_source_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # it is None only for a suffix that Python does not know
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _on_path(path.parent), _errors_in(str(path)):
            spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _import_module(name: str) -> ModuleType:
    with _on_path(Path.cwd()), _errors_in(name):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
            hint = f"; did you mean the file {name}.py?" if Path(f"{name}.py").is_file() else ""
            raise SourceError(
                f"there is no module {name!r} here or among what is installed, and no such file{hint}; {_WHAT_IT_IS}"
            ) from error


@contextmanager
def _on_path(folder: Path) -> Iterator[None]:
    """As when Python runs a file: what lies beside it can be imported."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))


@contextmanager
def _errors_in(place: str) -> Iterator[None]:
    """What the user's own code raises is shown with its line; the traceback is for ``--debug``."""
    try:
        yield
    except SourceError:
        raise
    except SystemExit as error:
        raise SourceError(f"{place} ended Python (SystemExit: {error.code}) before its risks could be read") from error
    except Exception as error:
        raise SourceError(f"{_line_of(place, error)}: {_kind(error)}{error}") from error


def _kind(error: Exception) -> str:
    return "" if isinstance(error, SymgradError) else f"{type(error).__name__}: "


def _line_of(place: str, error: Exception) -> str:
    """The innermost line that is neither symgrad's, nor Python's, nor an installed library's."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_NOT_THE_USERS)]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else place
