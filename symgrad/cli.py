"""The command line: what can be asked for, and how an error is shown. What a command does is in `symgrad.commands`.

Nothing heavy is imported here: `symgrad --help` answers before SymPy would have been read.
"""

import argparse
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

from . import __version__
from .errors import CacheWarning, SymgradError, visible_lines
from .limits import OPERATIONS

FINE, DIFFERENT, FAILED, STOPPED = 0, 1, 2, 130

_DESCRIPTION = """\
Exact compiled gradients of a model and a loss that are declared in SymPy.

SOURCE is a Python file (decay.py) or an importable module (symgrad.gallery). It is imported, so it may do whatever
Python does, and every EmpiricalRisk that it keeps in a variable (or in a tuple or list) is taken. SOURCE:NAME takes
one of them, by its variable or by its name=."""

_EPILOG = """\
examples:
{examples}

exit status:
  0  all is well
  1  check found a difference, verify a derivative past its bound, fit or demo no minimum, doctor no compiler
  2  the command could not be carried out: wrong usage, a declaration that is refused, a module that does not build

The first minutes: symgrad doctor, then symgrad demo. `symgrad COMMAND --help` tells more about one command."""


@dataclass(frozen=True)
class Command:
    """A command: its function (``module:name``, from the parsed arguments to the exit status), and its help."""

    function: str
    summary: str
    example: str  # a whole command
    arguments: Callable[[argparse.ArgumentParser], None]
    more: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status. Errors go to stderr as their message, with ``--debug`` as their traceback."""
    top = parser()
    if not (sys.argv[1:] if arguments is None else arguments):
        top.print_help(sys.stderr)
        return FAILED
    parsed = top.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is no reason to fail
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            status = _function(parsed.function)(parsed)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    except KeyboardInterrupt:
        print("symgrad: stopped", file=sys.stderr)
        return STOPPED
    except (SymgradError, OSError) as error:
        if parsed.debug:
            traceback.print_exc()
        else:
            print(f"symgrad {parsed.command}: {visible_lines(str(error))}", file=sys.stderr)
        return FAILED


def _function(place: str) -> Callable[[argparse.Namespace], int]:
    module, _, name = place.partition(":")
    function: Callable[[argparse.Namespace], int] = getattr(import_module(f"{__package__}.{module}"), name)
    return function


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: str | None = None,
) -> None:
    place = "" if issubclass(category, CacheWarning) else f"{filename}:{lineno}: {category.__name__}: "
    print(f"symgrad: warning: {visible_lines(f'{place}{message}')}", file=sys.stderr)


# --- the parser ----------------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="symgrad",
        description=_DESCRIPTION,
        epilog=_EPILOG.format(examples="\n".join(f"  {command.example}" for command in COMMANDS.values())),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"symgrad {__version__}")
    commands = top.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        _add(commands.add_parser, name, command)
    return top


def _add(add_parser: Callable[..., argparse.ArgumentParser], name: str, command: Command) -> None:
    epilog = f"{command.more}\n\nexample:\n  {command.example}" if command.more else f"example:\n  {command.example}"
    sub = add_parser(
        name,
        help=command.summary,
        description=command.summary,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.arguments(sub)
    sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
    sub.set_defaults(function=command.function)


def _source(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("source", metavar="SOURCE[:NAME]", nargs="+", help="a Python file or module, and a risk in it")


def _limit(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--limit", metavar="N", type=_at_least(0), default=OPERATIONS,
        help=f"operations that the program of a risk may have (default: {OPERATIONS}; 0: any number)",
    )  # fmt: skip


def _generate(sub: argparse.ArgumentParser) -> None:
    _source(sub)
    _folder(sub, "the folder to write to (default: generated)")
    how = sub.add_mutually_exclusive_group()
    how.add_argument("--no-build", action="store_true", help="write the .pyx files, but do not compile them")
    how.add_argument("--portable", action="store_true", help="build for every processor of this architecture")


def _check(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "source", metavar="SOURCE[:NAME]", nargs="*", help="as for generate (default: symgrad.gallery)"
    )  # fmt: skip
    _folder(sub, "the folder to look at (default: generated)")


def _folder(sub: argparse.ArgumentParser, text: str) -> None:
    sub.add_argument("-o", "--output", metavar="DIR", default="generated", help=text)
    sub.add_argument(
        "--dtype", choices=("float64", "float32"), default="float64", help="arithmetic of a sample (default: float64)"
    )  # fmt: skip
    sub.add_argument(
        "--with", dest="more", choices=("curvature",), help="beside each model, modules of its second derivatives"
    )  # fmt: skip
    _limit(sub)


def _verify(sub: argparse.ArgumentParser) -> None:
    _source(sub)
    sub.add_argument("--samples", metavar="N", type=_at_least(1), default=200, help="how many points (default: 200)")
    sub.add_argument(
        "--digits", metavar="N", type=_at_least(20), default=50, help="digits of the exact values (default: 50)"
    )  # fmt: skip
    sub.add_argument("--seed", metavar="N", type=int, default=0, help="other points for another seed (default: 0)")


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {text!r}")
        return int(text)

    return number


def _show(sub: argparse.ArgumentParser) -> None:
    _source(sub)
    _limit(sub)
    what = sub.add_mutually_exclusive_group()
    what.add_argument("--latex", action="store_true", help="the derivation as LaTeX (needs the package amsmath)")
    what.add_argument("--program", action="store_true", help="the operations, as traced and as scheduled")
    what.add_argument("--source", dest="text", action="store_true", help="the generated Cython")


def _fit(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("source", metavar="SOURCE[:NAME]", help="a Python file or module, and a risk in it")
    sub.add_argument("data", metavar="DATA", help="a CSV, Parquet or Arrow file, or a pattern for several in quotes")
    sub.add_argument("--start", metavar="A=1,k=1", default="", help="where parameters start (default: what is found)")
    sub.add_argument(
        "--columns", metavar="x=dose,y=response", default="", help="columns that are not called as their symbols"
    )  # fmt: skip
    sub.add_argument("--weights", metavar="COLUMN", help="the column of the weights")
    sub.add_argument("--groups", metavar="COLUMN", help="the column of the groups, for --covariance cluster")
    sub.add_argument(
        "--covariance", metavar="KIND", choices=("observed", "gauss_newton", "opg", "HC0", "HC1", "cluster"),
        help="observed, gauss_newton, opg, HC0, HC1 or cluster (default: by the kind of the loss)",
    )  # fmt: skip
    sub.add_argument("--missing", choices=("raise", "omit"), default="raise", help="rows in which numbers are missing")
    sub.add_argument("-o", "--output", metavar="FILE", help="write the report, with its pictures, to FILE.html")


def _demo(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("name", metavar="NAME", nargs="?", default="misra1a", help="an example (default: misra1a)")
    sub.add_argument("--start", metavar="START", help="another of its starting points; --list tells their names")
    sub.add_argument("--list", action="store_true", help="list the examples of the gallery")


def _cache(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "action", choices=("list", "clear", "prune"), help="show the compiled modules, remove them all, or some"
    )  # fmt: skip
    sub.add_argument(
        "--limit", metavar="SIZE", help="prune: the bytes to keep, such as 500M (default: $SYMGRAD_CACHE_LIMIT, or 2G)"
    )  # fmt: skip


def _nothing(sub: argparse.ArgumentParser) -> None:
    """A command without arguments."""


COMMANDS = {
    "generate": Command(
        "commands.generate:generate",
        "Write each risk as a Cython module of its own, and build it.",
        "symgrad generate decay.py -o generated",
        _generate,
        "A module needs NumPy alone, not symgrad. It is written as DIR/<risk name>.pyx and built beside that, so that\n"
        "`from generated import decay` works in the folder above. If one does not build, nothing is written.\n\n"
        "The library is built for the processor of this machine. To give it to others, build it with --portable: on\n"
        "x86-64 it then has every function for AVX-512, for AVX2 with FMA and for SSE2, and takes what it can run.",
    ),
    "check": Command(
        "commands.generate:check",
        "Compare generated files with what would be written now.",
        "symgrad check decay.py -o generated",
        _check,
        "Shows the difference and ends with status 1 if there is one: for continuous integration. Builds nothing.\n"
        "Name all the sources of the folder: a file that none of them makes is a difference too.",
    ),
    "verify": Command(
        "commands.inspect:verify",
        "Compare the compiled gradient with the exact one.",
        "symgrad verify decay.py",
        _verify,
        "Errors are in ULP, units in the last place of a double: 0.5 is a perfectly rounded number. Status 1 if a\n"
        "derivative is further from the true one than its bound.",
    ),
    "show": Command(
        "commands.inspect:show",
        "Show a risk, its gradient, and how the one follows.",
        "symgrad show decay.py --latex",
        _show,
    ),
    "fit": Command(
        "commands.fit:fit",
        "Fit a risk to a table, and report estimates and errors.",
        "symgrad fit decay.py:decay data.csv --start A=1,k=1 -o report.html",
        _fit,
        "Columns are found by the names of the symbols. Status 1 if no minimum was found.\n"
        'Needs pip install "symgrad[fit]".',
    ),
    "demo": Command(
        "commands.demo:demo",
        "Fit a problem with known parameters, showing each step.",
        "symgrad demo misra1a",
        _demo,
        'Needs SciPy: pip install "symgrad[scipy]". Status 1 if the certified parameters are not found, or if the\n'
        "gradient fails its verification.",
    ),
    "doctor": Command(
        "commands.machine:doctor",
        "Tell whether modules can be built here, and what to do if not.",
        "symgrad doctor",
        _nothing,
    ),
    "cache": Command(
        "commands.machine:cache",
        "List or remove the modules that symgrad.compile keeps.",
        "symgrad cache list",
        _cache,
    ),
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
