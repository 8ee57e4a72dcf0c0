"""The committed modules of the gallery: what is generated now, the same for every machine, small, and nothing else."""

import ast
import hashlib
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from symgrad import gallery
from symgrad.pipeline import generate
from symgrad.render import SWEEPS as SWEEP_NAMES
from symgrad.render import render_sweep
from symgrad.render.environment import environment

GENERATED = Path(__file__).resolve().parents[2] / "generated"


@pytest.mark.parametrize("name", gallery.names())
def test_the_committed_source_is_what_is_generated_now(name: str) -> None:
    """To mend it: symgrad generate symgrad.gallery -o generated"""
    committed = (GENERATED / f"{name}.pyx").read_bytes()
    assert committed == generate(gallery.load(name).risk).source.encode()
    assert committed.isascii()


@pytest.mark.parametrize(("dtype", "name"), SWEEP_NAMES.items())
def test_the_committed_sweep_is_what_is_rendered_now(dtype: str, name: str) -> None:
    committed = (GENERATED / f"{name}.pyx").read_bytes()
    assert committed == render_sweep(dtype).encode()
    assert committed.isascii()


def test_the_committed_folder_holds_nothing_else() -> None:
    assert {path.stem for path in GENERATED.glob("*.pyx")} == {*gallery.names(), *SWEEP_NAMES.values()}
    tree = ast.parse((GENERATED / "__init__.py").read_text("utf-8"))
    assert [type(statement) for statement in tree.body] == [ast.Expr]
    assert ast.get_docstring(tree)


def test_a_models_file_is_its_mathematics() -> None:
    for name, most in (("gauss1", 200), ("digits", 330)):
        assert (GENERATED / f"{name}.pyx").read_text("utf-8").count("\n") <= most


def test_what_stands_in_every_model_is_the_templates_frame() -> None:
    """No line of any length is repeated in all models, but those that say how a model meets the sweep."""
    stripped = [
        {line.strip() for line in (GENERATED / f"{name}.pyx").read_text("utf-8").splitlines()}
        for name in gallery.names()
    ]
    loader = environment().loader
    assert loader is not None
    frame = [
        re.compile(".*".join(re.escape(part) for part in re.split(r"\{\{.*?\}\}", line.strip())))
        for name in ("model.pyx.jinja", "lanes.pyx.jinja")
        for line in loader.get_source(environment(), name)[0].splitlines()
        if re.sub(r"\{\{.*?\}\}", "", line).strip()  # something but what is put in
    ]
    repeated = {line for line in set.intersection(*stripped) if len(line) > 30}
    assert len(repeated) > 20
    assert {line for line in repeated if not any(form.fullmatch(line) for form in frame)} == {
        "w = data[WEIGHT_ROW * LANES + lane]"  # a sample's weight
    }


def test_nothing_of_this_machine_is_in_the_committed_source() -> None:
    for path in GENERATED.glob("*.pyx"):
        text = path.read_text("utf-8")
        assert not re.search(r"/home/|/root/|/tmp/|/work/|\b20[2-9]\d-\d\d", text), path.name


# What a process with another hash seed generates, one of them twice: the digests by name. A third in float32 too, which
# differs where the text is rendered alone.
DIGESTS = """if True:
    import hashlib, json, sys
    from symgrad import gallery, generate
    from symgrad.gallery import RISKS
    def digests(risks):
        return {
            f"{risk.name} {dtype}": hashlib.sha256(generate(risk, dtype=dtype).source.encode()).hexdigest()
            for risk in risks for dtype in ("float64", "float32") if dtype == "float64" or risk in RISKS[::3]
        }
    first = digests(RISKS)
    assert sys.flags.hash_randomization or digests(RISKS[::-1]) == first
    print(json.dumps(first))
"""


def test_the_text_is_the_same_for_any_hash_seed_folder_day_and_locale(tmp_path: Path) -> None:
    def digests(seed: int) -> dict[str, str]:
        folder = tmp_path / ("one" if seed % 2 else "another folder/é")
        folder.mkdir(parents=True, exist_ok=True)
        # Half a day to either side: a date in the text would not be the same everywhere.
        zone = "XXX+14" if seed % 3 else "XXX-14"
        environment = {**os.environ, "PYTHONHASHSEED": str(seed), "TZ": zone, "LC_ALL": "C" if seed % 5 else "C.UTF-8"}
        command = [sys.executable, "-c", DIGESTS]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
        result: dict[str, str] = json.loads(done.stdout)
        return result

    with ThreadPoolExecutor(2) as pool:
        first, *others = pool.map(digests, (0, 1, 3, 5))
    assert len(first) == len(gallery.names()) * 4 // 3
    assert all(other == first for other in others)
    texts = {name: generate(gallery.load(name).risk).source for name in gallery.names()}
    assert {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()} == {
        key.removesuffix(" float64"): digest for key, digest in first.items() if key.endswith(" float64")
    }
