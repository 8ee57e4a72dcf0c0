"""The system's limits for a process (`ulimit`): which one a failure speaks of, how large it is, how to raise it."""

import errno
import os
import re
import resource

_USUAL_STACK = 8 << 20  # bytes; a compiler that crashes with as much has another reason
_KINDS = (  # what is limited, its letter and unit, what a failure says that comes from it
    (resource.RLIMIT_FSIZE, "the size of a file", "f", "kB", rf"{os.strerror(errno.EFBIG)}|File size limit|SIGXFSZ"),
    (resource.RLIMIT_NOFILE, "the number of open files", "n", "", os.strerror(errno.EMFILE)),
    (resource.RLIMIT_NPROC, "the number of processes", "u", "", os.strerror(errno.EAGAIN)),
    (resource.RLIMIT_CPU, "the time of a process", "t", "s", r"CPU time limit|SIGXCPU"),
    (resource.RLIMIT_AS, "the memory of a process", "v", "kB", rf"(?i:{os.strerror(errno.ENOMEM)}|out of memory)"),
    (resource.RLIMIT_STACK, "the stack of a process", "s", "kB", r"internal compiler error|[Ss]egmentation|SIGSEGV"),
)


def limit_behind(failure: str) -> str | None:
    """Return which limit of this process a failure may come from, and the next step; None where it is none of them."""
    for kind, what, letter, unit, sign in _KINDS:
        limit = resource.getrlimit(kind)[0]
        if limit == resource.RLIM_INFINITY or (kind == resource.RLIMIT_STACK and limit >= _USUAL_STACK):
            continue
        if re.search(sign, failure):
            size = f"{limit // 1024} kB" if unit == "kB" else f"{limit} {unit}".rstrip()
            return f"{what} is limited to {size} here: raise it (ulimit -{letter}), or build where it is not"
    return None
