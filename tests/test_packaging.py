"""symgrad as others get it: an sdist, a wheel made from it and installed elsewhere, and an editable installation.

Nothing is downloaded: the new environments borrow the libraries of the running one by symbolic links.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import textwrap
import venv
import zipfile
from math import exp
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.packaging

DECLARATION = """
    import sympy as sp
    import symgrad as sg

    x, y, A, k, yhat = sp.symbols("x y A k yhat")
    model = sg.Model(A * sp.exp(-k * x), inputs=[x], parameters=[A, k])
    loss = sg.Loss((yhat - y) ** 2 / 2, prediction=yhat, target=y)
    decay = sg.EmpiricalRisk(model, loss, name="decay")
"""

# What a user of the generated module runs; it says which libraries that took.
USE = """
    import sys
    from generated import decay
    print(*decay.gradient([2.0, 0.5], [0.0, 1.0], [1.0, 3.0]))
    print({"sympy", "symgrad", "Cython"} & set(sys.modules))
"""


def run(*command: str | Path, cwd: Path) -> str:
    """The output of a command that has to succeed, run in ``cwd`` with nothing of the checkout on its path."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV_"))}
    environment |= {"SYMGRAD_CACHE_DIR": str(cwd / "cache"), "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command} in {cwd}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def copy_of_checkout(folder: Path) -> Path:
    """What a distribution is made of, copied: building writes beside its sources."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.so", "*.c")
    for name in ("symgrad", "templates"):
        shutil.copytree(CHECKOUT / name, folder / name, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, folder / name)
    return folder


class Environment:
    """A virtual environment with every library of the running one except symgrad itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        venv.create(folder, symlinks=True, with_pip=False)
        self.site_packages = Path(
            run(self.python, "-c", "import site; print(site.getsitepackages()[0])", cwd=folder).strip()
        )
        for running in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
            for library in Path(running).iterdir():
                link = self.site_packages / library.name
                if "symgrad" not in library.name and not link.exists():
                    link.symlink_to(library)

    def install(self, *what: str | Path) -> None:
        flags = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--no-compile")
        run(self.python, "-m", "pip", "install", *flags, *what, cwd=self.folder)

    def generate(self, folder: Path) -> str:
        """The text of ``generated/decay.pyx`` that ``symgrad generate`` writes in ``folder``."""
        (folder / "decay.py").write_text(textwrap.dedent(DECLARATION), encoding="utf-8")
        run(self.folder / "bin" / "symgrad", "generate", "decay.py", "-o", "generated", cwd=folder)
        return (folder / "generated" / "decay.pyx").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = copy_of_checkout(tmp_path_factory.mktemp("source"))
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", "dist", source, cwd=source)
    (archive,) = (source / "dist").iterdir()
    return archive


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist", source, cwd=folder)
    (built,) = (folder / "dist").iterdir()
    return built


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    ours = {p.relative_to(CHECKOUT) for p in (CHECKOUT / "symgrad").rglob("*") if p.is_file() and p.suffix != ".pyc"}
    templates = {Path("symgrad", p.relative_to(CHECKOUT)) for p in (CHECKOUT / "templates").rglob("*.jinja")}
    assert len(templates) >= 1
    package = {name for name in inside if ".dist-info/" not in name}
    assert package == {p.as_posix() for p in ours | templates} | {"symgrad/templates/__init__.py"}
    assert any(name.endswith("licenses/LICENSE") for name in inside)


def test_an_installed_wheel_generates_far_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "environment")
    environment.install(wheel)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    where = run(environment.python, "-c", "import symgrad, symgrad.templates as t; print(t.__file__)", cwd=elsewhere)
    assert Path(where.strip()) == environment.site_packages / "symgrad" / "templates" / "__init__.py"

    environment.generate(elsewhere)
    numbers, heavy = run(environment.python, "-c", textwrap.dedent(USE), cwd=elsewhere).splitlines()
    # The mean over (0, 1) and (1, 3) of (A exp(-k x) - y) (exp(-k x), -A x exp(-k x)) at A = 2, k = 1/2.
    e = exp(-0.5)
    expected = [((2 - 1) + (2 * e - 3) * e) / 2, -(2 * e - 3) * 2 * e / 2]
    assert [float(number) for number in numbers.split()] == pytest.approx(expected, rel=1e-14)
    assert heavy == "set()"


def test_an_editable_installation_sees_a_template_edited(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    source = copy_of_checkout(tmp_path / "source")
    environment = Environment(tmp_path / "environment")
    environment.install("--editable", source)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    mark = "# a line that only this copy of the templates has"
    assert mark not in environment.generate(elsewhere)

    for template in (source / "templates").glob("*.pyx.jinja"):
        template.write_text(f"{mark}\n{template.read_text(encoding='utf-8')}", encoding="utf-8")
    assert mark in environment.generate(elsewhere)
