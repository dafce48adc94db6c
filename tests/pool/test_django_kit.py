"""The kit on the pooled engine under every Django, and the tests beside this file under those that are not here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FINE = {"pass", "not-applicable", "inherited"}
PYMYSQL = "tests.kit.django.pymysql_as_mysqldb"
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
    judged(python, f"django.db.backends.{engine}", tmp_path, PYMYSQL if stand_in else "")


@pytest.mark.parametrize("python", ["5.2"], indirect=True)
def test_pymysql_in_the_place_of_mysqlclient_does_too(python: Path, tmp_path: Path) -> None:
    judged(python, "django.db.backends.mysql", tmp_path, PYMYSQL)


@pytest.mark.parametrize("python", ["5.2"], indirect=True)
def test_what_the_wrapped_engine_does_wrong_by_itself_is_all_that_is_found(python: Path, tmp_path: Path) -> None:
    """SpatiaLite's own time-out undoes an option of Django's, with the pool and without: see the kit's zoo."""
    if not _has(python, "pysqlite3"):
        _missing("Django's environment has no pysqlite3; make it anew: python scripts/django_environments.py")
    wraps = "django.contrib.gis.db.backends.spatialite"
    judged(python, wraps, tmp_path, "tests.kit.django.pysqlite3_as_sqlite3", known={"DJOPT-007"})


def judged(
    python: Path, wraps: str, folder: Path, bootstrap: str, *, known: frozenset[str] | set[str] = frozenset()
) -> None:
    """Everything passes that applies, under both contracts, but for what is *known*. *bootstrap* is a module's name."""
    settings, report = folder / "settings.toml", folder / "report.json"
    settings.write_text(
        (f'[CONFORMANCE]\nbootstrap = "{bootstrap}"\n' if bootstrap else "")
        + f'[DATABASES.default.OPTIONS]\nWRAPS = "{wraps}"\n'
        "[DATABASES.default.OPTIONS.POOL]\nmax_size = 10\ntimeout = 2\n"
    )
    done = subprocess.run(
        [python, "-m", "conformance", "django:reference_backends.django_pooled", "--profile", "strict",
         "--settings", str(settings), "--report", f"json:{report}"],
        cwd=ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode == 3 and "make services" in done.stdout:
        _missing(done.stdout)
    (target,) = json.loads(report.read_text())["targets"]
    verdicts = {result["id"]: result["verdict"] for result in target["results"]}
    assert {name for name, verdict in verdicts.items() if verdict not in FINE} == known, done.stdout
    assert {name for name, verdict in verdicts.items() if verdict == "inherited"} <= INHERITED
    assert {verdict for name, verdict in verdicts.items() if name.startswith("DJPOOL")} == {"pass"}
    assert done.returncode == (1 if known else 0)


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
