"""What the kit does with a server: databases of its own, one per process, none left behind, none where it may not."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from conformance import ExitCode, Report, Verdict, check
from conformance.django.shelf import Shelf
from conformance.servers.postgresql import URL_VARIABLE
from conformance.servers.process import free_port

TARGET = "django:django.db.backends.postgresql"
HOLDS_A_PLACE = """
import sys, time
from pathlib import Path
from conformance.django.shelf import Shelf
with Shelf(Path(sys.argv[1])).place() as place:
    print(place.name, flush=True)
    time.sleep(600)
"""

with_django = pytest.mark.skipif(importlib.util.find_spec("django") is None, reason="Django is not installed")


def number(name: str) -> str:
    return name.rpartition("_")[2]


def test_nobody_gets_a_place_that_somebody_has(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    with shelf.place() as first, shelf.place() as second:
        assert [number(first.name), number(second.name)] == ["0", "1"]
    with shelf.place() as again:
        assert again.name == first.name


def test_the_place_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLDS_A_PLACE, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert number(process.stdout.readline().strip()) == "0"
    with Shelf(tmp_path).place() as place:
        assert number(place.name) == "1"
    process.kill()
    process.communicate()
    with Shelf(tmp_path).place() as place:
        assert number(place.name) == "0"


def test_only_what_was_made_is_named(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    with shelf.place() as first, shelf.place():
        assert not first.is_made
        first.made()
        assert first.is_made
    assert shelf.names() == [first.name]


def settings_of(url: str, **changes: Any) -> dict[str, Any]:
    parts = urlsplit(url)
    alias = {"HOST": parts.hostname, "PORT": parts.port, "USER": parts.username, "PASSWORD": parts.password}
    return {"DATABASES": {"default": {**alias, "NAME": parts.path.strip("/"), **changes}}}


def judged(settings: Mapping[str, Any] | None, select: str) -> Report:
    return check(TARGET, settings, select=select.split(","), timeout=60)


def databases(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'conf%'")}


@with_django
def test_nothing_is_left_on_the_server(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL_VARIABLE, postgresql_url)
    before = databases(postgresql_url)
    for settings in (None, settings_of(postgresql_url)):
        report = judged(settings, "DJLIFE-001,DJLIFE-005,DJTX-002")
        assert [result.verdict for result in report.results] == [Verdict.PASS] * 3
    assert databases(postgresql_url) <= before


@pytest.fixture
def humble(postgresql_url: str) -> Iterator[dict[str, Any]]:
    """The settings of a user who may make neither databases nor roles, in one that is his."""
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE humble LOGIN PASSWORD 'humble'")
        connection.execute("CREATE DATABASE of_the_humble OWNER humble")
        yield settings_of(postgresql_url, USER="humble", PASSWORD="humble", NAME="of_the_humble")
        connection.execute("DROP DATABASE of_the_humble WITH (FORCE)")
        connection.execute("DROP ROLE humble")


@with_django
def test_a_user_who_may_make_no_database_is_judged_in_his_own(humble: dict[str, Any]) -> None:
    report = judged(humble, "DJLIFE-001,DJLIFE-005,DJTX-002,DJOPT-010")
    said = {result.id: result.verdict for result in report.results}
    assert said == {
        "DJLIFE-001": Verdict.PASS,
        "DJLIFE-005": Verdict.NOT_APPLICABLE,  # both aliases lead there
        "DJTX-002": Verdict.PASS,
        "DJOPT-010": Verdict.COULD_NOT_RUN,
    }
    assert "cannot make a role" in report.results[-1].observed


@with_django
def test_a_server_that_is_not_there_is_not_the_engines_fault(postgresql_url: str) -> None:
    report = judged(settings_of(postgresql_url, PORT=free_port()), "DJLIFE-001")
    assert report.exit_code is ExitCode.COULD_NOT_RUN
    assert "no fresh database could be made" in report.results[0].observed
