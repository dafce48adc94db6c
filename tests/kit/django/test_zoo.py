"""No false alarms: Django's own engines, on real servers and under every Django, get the verdicts recorded for them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from conformance.servers.mysql import URL_VARIABLE as MYSQL
from conformance.servers.postgresql import URL_VARIABLE as POSTGRESQL
from tests.kit.django import zoo

CONFIRMED = Path(__file__).with_name("confirmed")
CASES = [(name, version) for name, engine in zoo.ENGINES.items() for version in engine.versions]

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="each Django has an interpreter of its own, and is tried once, from 3.11"
)


@pytest.fixture
def servers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers that the engine needs, shared by all of these tests."""
    name = request.node.callspec.params.get("name", "postgresql")
    if name.startswith(("postgresql", "postgis")):
        monkeypatch.setenv(POSTGRESQL, request.getfixturevalue("postgresql_url"))
    if name.startswith("mysql"):
        monkeypatch.setenv(MYSQL, request.getfixturevalue("mysql_url"))


def or_skip(error: zoo.NotInstalledError) -> NoReturn:
    if os.environ.get("BACKEND_SDK_REQUIRE_SERVICES") == "1":
        pytest.fail(str(error))
    pytest.skip(str(error))


@pytest.mark.usefixtures("servers")
@pytest.mark.parametrize(("name", "version"), CASES)
def test_djangos_own_engine_gets_its_recorded_verdicts(name: str, version: str) -> None:
    try:
        report = zoo.judged(name, version)
    except zoo.NotInstalledError as error:
        or_skip(error)
    said = zoo.verdicts(name, report)
    assert said == zoo.recorded(name, version), "if the difference is right: python -m tests.kit.django.zoo"


def test_every_recorded_finding_has_its_reason_and_every_violation_its_script() -> None:
    for name, version in CASES:
        lines = zoo.recorded(name, version).splitlines()[1:]
        for line in lines:
            id, verdict, *reason = line.replace(":", "", 1).split(maxsplit=2) if ":" in line else line.split()
            assert verdict in zoo.GOOD or reason, line
            assert "NO REASON" not in line
            assert verdict in {*zoo.GOOD, "strict"} or "confirmed (" in line, line
            assert verdict not in {"could-not-run", "kit-error", "blocked", "hang", "crash"}, f"{name} {id}"


@pytest.mark.usefixtures("servers")
@pytest.mark.parametrize("version", zoo.ENGINES["postgresql_pool"].versions)
def test_the_defects_of_djangos_pool_are_there_without_the_kit(version: str, postgresql_url: str) -> None:
    said = run("native_pool.py", version, postgresql_url)
    assert [line.rpartition(": ")[2] for line in said.splitlines()] == ["yes"] * 4, said


@pytest.mark.parametrize("version", zoo.VERSIONS)
def test_spatialite_loses_djangos_timeout_without_the_kit(version: str) -> None:
    assert run("spatialite.py", version) == "plain: 1000 ms\ndefault: 5000 ms\n"


def run(script: str, version: str, *arguments: str) -> str:
    try:
        python = zoo.python(version)
    except zoo.NotInstalledError as error:
        or_skip(error)
    done = subprocess.run([python, CONFIRMED / script, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
