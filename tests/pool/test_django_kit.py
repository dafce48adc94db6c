"""The kit on the pooled engine under every Django, and the tests beside this file under those that are not here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INHERITED = {"DJLIFE-008", "DJTHR-005", "DJGC-002"}

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="each Django has an interpreter of its own, and is tried once, from 3.11"
)


@pytest.fixture
def python(request: pytest.FixtureRequest) -> Path:
    """The interpreter that has the version of Django. (The tests' own has 5.2.)"""
    found = ROOT / f".venv-django-{request.param}" / "bin" / "python"
    if not found.exists():
        _missing(f"there is no environment with Django {request.param}; make it: python scripts/django_environments.py")
    return found


@pytest.mark.parametrize(
    ("engine", "python"),
    [("sqlite3", "4.2"), ("sqlite3", "6.1"), ("postgresql", "4.2"), ("postgresql", "6.1"), ("mysql", "5.2")],
    indirect=["python"],
)
def test_the_pooled_engine_meets_djangos_contract_and_the_stricter_one(
    engine: str, python: Path, tmp_path: Path
) -> None:
    stand_in = engine == "mysql" and not _has(python, "MySQLdb")
    judged(python, engine, tmp_path, stand_in=stand_in)


@pytest.mark.parametrize("python", ["5.2"], indirect=True)
def test_pymysql_in_the_place_of_mysqlclient_does_too(python: Path, tmp_path: Path) -> None:
    judged(python, "mysql", tmp_path, stand_in=True)


def judged(python: Path, wraps: str, folder: Path, *, stand_in: bool) -> None:
    """Everything passes that applies, under both contracts. *stand_in*: PyMySQL calls itself mysqlclient."""
    settings, report = folder / "settings.toml", folder / "report.json"
    settings.write_text(
        ('[CONFORMANCE]\nbootstrap = "pymysql_in_place"\n' if stand_in else "")
        + f'[DATABASES.default.OPTIONS]\nWRAPS = "django.db.backends.{wraps}"\n'
        "[DATABASES.default.OPTIONS.POOL]\nmax_size = 10\ntimeout = 2\n"
    )
    (folder / "pymysql_in_place.py").write_text(
        'import pymysql\npymysql.version_info = (2, 2, 1, "final", 0)\npymysql.install_as_MySQLdb()\n'
    )
    done = subprocess.run(
        [python, "-m", "conformance", "django:reference_backends.django_pooled", "--profile", "strict",
         "--settings", str(settings), "--report", f"json:{report}"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(folder)}, check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode == 3 and "make services" in done.stdout:
        _missing(done.stdout)
    (target,) = json.loads(report.read_text())["targets"]
    verdicts = {result["id"]: result["verdict"] for result in target["results"]}
    assert set(verdicts.values()) <= {"pass", "not-applicable", "inherited"}, done.stdout
    assert {name for name, verdict in verdicts.items() if verdict == "inherited"} <= INHERITED
    assert {verdict for name, verdict in verdicts.items() if name.startswith("DJPOOL")} == {"pass"}
    assert done.returncode == 0


@pytest.mark.parametrize("python", ["4.2", "6.1"], indirect=True)
@pytest.mark.parametrize("name", ["test_django_settings.py", "test_django_leases.py", "test_django_creation.py"])
def test_the_tests_beside_this_file_pass_under_the_other_djangos(name: str, python: Path) -> None:
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(Path(__file__).with_name(name))],
        cwd=ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]


def _has(python: Path, module: str) -> bool:
    return subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


def _missing(message: str) -> None:
    if os.environ.get("BACKEND_SDK_REQUIRE_SERVICES") == "1":
        pytest.fail(message)
    pytest.skip(message)
