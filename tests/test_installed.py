"""Installed from a wheel, away from the checkout: everything that is read at run time has to travel with it."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from support import ROOT

#: Runs a program as Windows' Python would: without fcntl.
WITHOUT_FCNTL = "import runpy, sys; sys.modules['fcntl'] = None; runpy.run_path(sys.argv[1], run_name='__main__')"


def checked(*command, **more) -> str:
    """Run a command that has to succeed; returns its output."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def venv(folder: Path) -> Path:
    """Make a virtual environment that finds the packages of this one, but for the workshop; returns its `bin`.

    A `.pth` file in a folder that another one names is not read, so this one's editable workshop stays out.
    """
    checked(sys.executable, "-m", "venv", "--without-pip", folder)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder / "bin"


def install(where: Path, *what) -> None:
    """Install without downloading anything."""
    pip = (sys.executable, "-m", "pip", "--python", where / "python", "--disable-pip-version-check")
    checked(*pip, "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", *what)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of the files that git knows, or would."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in checked("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).splitlines():
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation")
    checked(*pip, "--wheel-dir", folder, checkout)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The `bin` of an environment in which the wheel is installed."""
    where = venv(tmp_path_factory.mktemp("installed"))
    install(where, wheel)
    return where


@pytest.fixture
def away(tmp_path) -> dict:
    """An empty folder to work in, and a home."""
    (tmp_path / "home").mkdir()
    (tmp_path / "empty").mkdir()
    return {"cwd": tmp_path / "empty", "env": os.environ | {"HOME": str(tmp_path / "home")}}


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_every_file_beside_it(checkout, wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    package = {path.relative_to(checkout / "src").as_posix() for path in (checkout / "src/workshop").rglob("*")
               if path.is_file() and path.suffix != ".pyc"}  # fmt: skip
    folders = ("steps", "cleanup", "incidents", "src/lambda", "src/api", "infrastructure", "notebooks/exercises")
    beside = {
        f"workshop/files/{path.relative_to(checkout).as_posix()}"
        for folder in folders
        for path in (checkout / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert len(beside) > 30
    assert {name for name in names if name.startswith("workshop/")} == package | beside


@pytest.mark.slow
def test_an_installed_workshop_runs_the_demo_in_an_empty_folder(installed, away):
    before = checked("find", installed.parent, "-path", "*/workshop/*", "-not", "-path", "*/__pycache__*")
    said = checked(installed / "workshop", "demo", **away)
    assert "POC-Lambda-2" in said
    assert list(away["cwd"].iterdir()) == []
    assert checked("find", installed.parent, "-path", "*/workshop/*", "-not", "-path", "*/__pycache__*") == before


@pytest.mark.slow
def test_an_installed_workshop_keeps_its_records_in_the_home_folder(installed, away):
    where = checked(installed / "python", "-c", "from workshop.base.files import ROOT; print(ROOT)", **away)
    assert Path(where.strip()).is_relative_to(installed.parent)
    try:
        checked(installed / "workshop", "01_iam", **away)
        assert "12 present" in checked(installed / "workshop", "status", **away)
    finally:
        checked(installed / "workshop", "local", "stop", **away)
    assert [path.name for path in Path(away["env"]["HOME"]).iterdir()] == [".workshop"]
    assert list(away["cwd"].iterdir()) == []


@pytest.mark.slow
def test_an_editable_install_reads_the_files_of_the_checkout(checkout, tmp_path, away):
    folder, where = tmp_path / "edited", venv(tmp_path / "venv")
    shutil.copytree(checkout, folder)
    install(where, "--editable", folder)
    step = folder / "steps/03_sqs.py"
    text = step.read_text(encoding="utf-8")
    assert "Set up the SQS queues" in text
    step.write_text(text.replace("Set up the SQS queues", "Edited just now"), encoding="utf-8")
    assert "Edited just now" in checked(where / "workshop", "--help", **away)
    assert "Edited just now" in checked(where / "python", step, "--help", **away)


def test_a_lock_file_of_uv_stays_out_of_git():
    assert checked("git", "check-ignore", "uv.lock", cwd=ROOT).strip() == "uv.lock"


@pytest.mark.parametrize("program", ["src/workshop/__main__.py", "steps/03_sqs.py", "cleanup/teardown.py"])
def test_without_fcntl_there_is_one_clear_line(program):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_FCNTL, program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: The workshop runs on Linux, macOS and WSL 2")
    assert len(done.stderr.splitlines()) == 1
