"""Libraries that do not fit the C library of the machine: what the dynamic linker says comes with a next step."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from symgrad.build import Built, Cache, Toolchain, build, load_or_build
from symgrad.build.load import load_alike
from symgrad.errors import BuildError, CacheWarning

SOURCE = "from libc.math cimport exp, lgamma\ndef risk(double x): return exp(x) + lgamma(x)\n"
WANTED = {"declaration": "strange"}
# Changes of bytes that leave every place in the library as it was, what the linker says then, and the next step.
STRANGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a newer C library": (
        lambda library: re.sub(rb"\0GLIBC_2\.", rb"\0GLIBC_9.", library),
        r"version `GLIBC_9\.\d+' not found.* build it on the oldest system",
    ),
    "no libmvec where it runs": (
        lambda library: library.replace(b"\0libm.so.6\0", b"\0libmvec.9\0"),
        r"libmvec\.9: cannot open.* lacks libmvec, a part of glibc: install",
    ),
    "no libmvec where it was built": (
        lambda library: library.replace(b"\0lgamma\0", b"\0_ZGVxx\0"),
        r"undefined symbol: _ZGVxx.* compiler did not find libmvec, .* headers whole",
    ),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    toolchain = Toolchain.detect()
    if not toolchain.libc.startswith("glibc"):
        pytest.skip("needs glibc")
    return build(SOURCE, "decay", toolchain, folder=tmp_path_factory.mktemp("built"))


@pytest.mark.parametrize("kind", STRANGE)
def test_a_library_of_another_c_library_is_told_with_the_next_step(kind: str, built: Built, tmp_path: Path) -> None:
    """Where it was just built, and where there is no compiler and it is all that the cache has."""
    change, said = STRANGE[kind]
    store = Cache(tmp_path)

    def make(folder: Path) -> Built:
        paths = {name: Path(shutil.copy(getattr(built, name), folder)) for name in ("library", "source", "log")}
        paths["library"].write_bytes(change(built.library.read_bytes()))
        assert paths["library"].read_bytes() != built.library.read_bytes()
        return replace(built, **paths)  # type: ignore[arg-type]

    with pytest.raises(BuildError, match=said):
        load_or_build(store, "ab" * 32, json.dumps(WANTED), make)
    with pytest.warns(CacheWarning, match=said):
        assert load_alike(store, WANTED) is None
