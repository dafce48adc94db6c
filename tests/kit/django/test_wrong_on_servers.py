"""Wrong engines on PostgreSQL, for what SQLite cannot show: each is caught by its requirement, for its reason."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from conformance.checks import load_register
from conformance.selftest.catalogue import mutants_of, run_catalogue
from conformance.servers.postgresql import URL_VARIABLE

KIND = "django-postgresql"

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("django") is None, reason="Django is not installed"),
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the server is the same: tried once, on 3.11"),
]


def test_the_wrong_engines_on_postgresql_are_caught(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL_VARIABLE, postgresql_url)
    outcomes = run_catalogue(load_register(), kind=KIND, timeout=20.0)
    assert [(outcome.mutant.target, outcome.why_not) for outcome in outcomes if not outcome.killed] == []
    assert outcomes


def test_the_catalogue_on_postgresql_is_about_what_only_a_server_has() -> None:
    tried = {entry.kills for entry in mutants_of(KIND)}
    assert {"DJOPT-009", "DJOPT-010", "DJDEAD-002", "DJDEAD-006", "DJPOOL-007"} <= tried
    assert len(mutants_of(KIND)) >= 25
