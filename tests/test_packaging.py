"""The wheel and the sdist in an empty environment, as a stranger would meet them."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="packaging is tried once, on Python 3.11")


def run(*command: str | Path, cwd: Path, expect: int = 0) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel made from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    return folder


def test_the_wheel_holds_the_three_packages_typed_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    packages = {"backend_sdk", "reference_backends", "conformance"}
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == packages
    assert {f"{package}/py.typed" for package in packages} <= set(names)
    assert "conformance/report/schema.json" in names


def test_the_sdist_can_run_the_tests(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "Makefile", "constraints.txt", "mypy.ini", "tests/test_packaging.py"} <= names


def test_an_empty_environment_judges_sqlite_and_a_third_partys_engine(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    run(sys.executable, "-m", "venv", "env", cwd=tmp_path)
    python = tmp_path / "env" / "bin" / "python"
    pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt"]
    run(*pip, wheel, cwd=tmp_path)
    refused = run(python, "-m", "conformance", "sqlite3", cwd=tmp_path, expect=2)
    assert refused.strip().splitlines() == [
        "conformance: rich is not installed; install the kit's extra: pip install 'backend-sdk[conformance]'"
    ]
    run(*pip, f"{wheel}[conformance]", cwd=tmp_path)
    assert "conformant at level 3" in run(python, "-m", "conformance", "sqlite3", cwd=tmp_path)
    third_party = _distribution(tmp_path / "mydb")
    run(*pip, "hatchling", cwd=tmp_path)
    run(*pip, "--no-build-isolation", third_party, cwd=tmp_path)
    assert "mydb: no violation" in run(python, "-m", "conformance", "mydb", "--select", "LIFE", cwd=tmp_path)


def _distribution(folder: Path) -> Path:
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "mydb"\nversion = "1"\n'
        '[project.entry-points."backend_sdk.backends"]\nmydb = "mydb_backend:MyBackend"\n'
        '[tool.hatch.build.targets.wheel]\ninclude = ["mydb_backend.py"]\n'
    )
    (folder / "mydb_backend.py").write_text(
        "from reference_backends.sqlite3 import SQLiteBackend\n\n\nclass MyBackend(SQLiteBackend):\n    pass\n"
    )
    return folder
