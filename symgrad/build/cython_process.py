"""Cython files to C, all in one process: its start takes as long as six models. Run by its path, never imported.

    python -P cython_process.py MODULE=PATH.pyx ...     writes PATH.c beside each; exit status 1 if one has errors

Collections of garbage, a tenth of Cython's time, are few. Each process makes Cython's scanner anew, a third of its
time, most of it for letters beyond ASCII, which no name in a module's text has (but the module's own, perhaps).
"""

import gc
import sys

from Cython.Compiler import Lexicon
from Cython.Compiler.Main import CompilationOptions, compile_single, default_options


def main(arguments: list[str]) -> int:
    """Translate each file; return how many of them have errors."""
    gc.set_threshold(3_000_000, 50, 50)
    if all(argument.isascii() for argument in arguments):
        for name in [name for name in dir(Lexicon) if name.startswith("unicode_")]:
            setattr(Lexicon, name, "".join(filter(str.isascii, getattr(Lexicon, name))))
    failed = 0
    for argument in arguments:
        module, _, path = argument.partition("=")
        options = CompilationOptions(
            default_options,
            language_level=3,
            output_file=path.removesuffix(".pyx") + ".c",
            compiler_directives={"emit_code_comments": False},
        )
        failed += compile_single(path, options, full_module_name=module).num_errors > 0
    return failed


if __name__ == "__main__":
    sys.exit(min(1, main(sys.argv[1:])))
