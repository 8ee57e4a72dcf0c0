"""What is asked of a reduction, checked: every name, bound and code, before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import ArrayError, ArrayTypeError

from .parts import Arrays, rows_in

WANTS = (
    "risk", "mean", "clipped_mean", "clipped_sum", "clipped_fraction", "squared_norms", "second_moment", "variance",
    "outer", "outer_squared_weights", "group_sums", "noise", "top", "along", "hessian",
)  # fmt: skip
FOR_EACH_ROW = ("squared_norms", "along")
MOST_BYTES = 2**31  # of a matrix of products, in pairs
NONFINITE = ("propagate", "zero", "raise")
Parameters = Sequence[tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class Request:
    """What is wanted, checked."""

    want: tuple[str, ...]
    clip: tuple[tuple[tuple[int, ...], float], ...]  # places of parameters, and their bound
    n_groups: int
    along: Any
    top: int
    nonfinite: str

    @property
    def sums(self) -> tuple[str, ...]:
        """The wants that are sums over rows."""
        return tuple(name for name in self.want if name not in FOR_EACH_ROW)


def checked(
    parameters: Parameters, arrays: Arrays, want: Any, clip: Any, n_groups: Any, along: Any, top: Any, nonfinite: Any
) -> tuple[Request, Arrays]:
    """Return the request, and the arrays with the codes of groups as whole numbers. Raises for what cannot be meant."""
    wanted = (want,) if isinstance(want, str) else want
    if not isinstance(wanted, (tuple, list)) or not all(isinstance(name, str) for name in wanted):
        raise ArrayTypeError(
            f"want: expected one or several of {list(WANTS)}, got {want!r}; a name, or a list of names"
        )
    unknown = [name for name in wanted if name not in WANTS]
    if unknown:
        raise ArrayError(
            f"want: expected one or several of {list(WANTS)}, got {unknown[0]!r}; choose among these names"
        )
    if nonfinite not in NONFINITE:
        raise ArrayError(f"nonfinite: expected one of {list(NONFINITE)}, got {nonfinite!r}; choose one")
    size = sum(int(np.prod(shape)) for _, shape in parameters)
    if {"outer", "outer_squared_weights"} & set(wanted) and 16 * size**2 > MOST_BYTES:
        raise ArrayError(
            f"want: expected less than 2 GiB for 'outer', got {size} parameters, which take "
            f"{16 * size**2 / 2**30:.1f}; 'along' gives products of gradients with vectors"
        )
    is_clipped = any(name.startswith("clipped") for name in wanted)
    bounds = _bounds(parameters, clip) if is_clipped else (((), 0.0),)
    if "along" in wanted and along is None:
        raise ArrayError("along: expected a vector (P,) or vectors (P, K) for want='along', got None; pass along=")
    codes, count = _codes(arrays, n_groups) if "group_sums" in wanted else (None, 0)
    request = Request(
        tuple(dict.fromkeys(wanted)), bounds, count, along, _count(top) if "top" in wanted else 0, nonfinite
    )
    return request, (*arrays[:3], codes)


def _bounds(parameters: Parameters, clip: Any) -> tuple[tuple[tuple[int, ...], float], ...]:
    """The bounds, each with which parameters it is for."""
    names = [name for name, _ in parameters]
    if not isinstance(clip, Mapping):
        return ((tuple(range(len(parameters))), _bound("clip", clip)),)
    found: list[tuple[tuple[int, ...], float]] = []
    for block, bound in clip.items():
        block = (block,) if isinstance(block, str) else tuple(block)
        others = [name for name in block if name not in names]
        if others:
            raise ArrayError(f"clip: expected names among {names}, got {others[0]!r}; correct the name")
        found.append((tuple(names.index(name) for name in block), _bound(f"clip[{block!r}]", bound)))
    places = sorted(place for block, _ in found for place in block)
    if places != list(range(len(names))):
        missing = [name for k, name in enumerate(names) if places.count(k) != 1]
        raise ArrayError(
            f"clip: expected each parameter in one block, got {missing[0]!r} in none or in several; list all once"
        )
    return tuple(found)


def _bound(what: str, bound: Any) -> float:
    is_number = isinstance(bound, (int, float, np.integer, np.floating)) and not isinstance(bound, bool)
    if not is_number or not float(bound) >= 0:
        raise ArrayError(
            f"{what}: expected a number that is not negative, infinity among them, got {bound!r}; pass clip="
        )
    return float(bound)


def _codes(arrays: Arrays, n_groups: Any) -> tuple[Any, int]:
    groups = arrays[3]
    if groups is None:
        raise ArrayError("groups: expected a code for each row for want='group_sums', got None; pass groups=")
    codes = np.asarray(groups)
    if codes.dtype.kind not in "iu" or codes.reshape(-1).shape != (rows_in(arrays[:3]),):
        raise ArrayError(
            f"groups: expected whole numbers, one for each of {rows_in(arrays[:3])} rows, got {codes.dtype} of shape "
            f"{codes.shape}; number the groups from 0 on"
        )
    least, greatest = (int(codes.min()), int(codes.max())) if codes.size else (0, -1)
    count = greatest + 1 if n_groups is None else n_groups
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 0:
        raise ArrayError(f"n_groups: expected a whole number from 0 on, got {n_groups!r}; the greatest code and 1 more")
    if codes.size and (least < -1 or greatest >= count):
        raise ArrayError(
            f"groups: expected codes from 0 to {count - 1}, or -1 for no group, got {least} to {greatest}; "
            "n_groups is the greatest code and 1 more"
        )
    return codes, int(count)


def _count(top: Any) -> int:
    if isinstance(top, bool) or not isinstance(top, (int, np.integer)) or top < 1:
        raise ArrayError(f"top: expected a whole number from 1 on for want='top', got {top!r}; pass top=")
    return int(top)
