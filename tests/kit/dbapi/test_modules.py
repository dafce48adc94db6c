"""PEP 249 modules: right ones, wrong ones, and what can be said to the kit of them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from conformance import Verdict, check
from conformance.checks import load_register
from conformance.cli import main
from conformance.selftest.catalogue import mutants_of, run_catalogue

RIGHT = "dbapi:conformance.dbapi.mutants.right:Right"
TIED = {"OPTIONS": {"check_same_thread": False}}


def test_a_right_module_passes_everything_that_applies() -> None:
    report = check(RIGHT)
    undone = [result for result in report.results if result.verdict not in {Verdict.PASS, Verdict.NOT_APPLICABLE}]
    assert undone == []
    assert report.executed >= 20


def test_every_wrong_module_is_caught_by_its_requirement_for_its_reason() -> None:
    outcomes = run_catalogue(load_register(), kind="dbapi")
    assert [(outcome.mutant.target, outcome.why_not) for outcome in outcomes if not outcome.killed] == []
    assert len(outcomes) == len(mutants_of("dbapi"))


def test_sqlite3_keeps_its_declared_thread_safety_only_without_the_thread_check() -> None:
    found = {result.id: result for result in check("dbapi:sqlite3").results}
    assert found["API-008"].verdict is Verdict.FAIL
    assert "threadsafety is 3" in found["API-008"].observed
    report = check("dbapi:sqlite3", TIED)
    assert report.violations == []
    warned = {result.id for result in report.results if result.verdict is Verdict.WARNING}
    assert warned == {"API-005", "API-026"}


def test_the_sdks_contract_is_tried_through_its_own_backend_for_such_modules() -> None:
    settings = {"OPTIONS": {"isolation_level": None, "check_same_thread": False, "begin_statement": "BEGIN"}}
    report = check("dbapi:sqlite3", settings, profile="sdk", select=["LIFE-001", "LIFE-009", "TX-001", "TX-002"])
    assert {result.id: result.verdict for result in report.results} == dict.fromkeys(
        ["LIFE-001", "LIFE-009", "TX-001", "TX-002"], Verdict.PASS
    )
    tied = check("dbapi:sqlite3", profile="sdk", select=["CLOSE-008"]).results[0]
    assert tied.verdict is Verdict.FAIL
    assert tied.rerun == "python -m conformance dbapi:sqlite3 --profile sdk --select CLOSE-008"


@pytest.mark.skipif(importlib.util.find_spec("duckdb") is None, reason="duckdb is not installed")
def test_duckdb_starts_in_autocommit_which_pep_249_forbids() -> None:
    report = check("dbapi:duckdb")
    found = {result.id: result for result in report.results}
    assert found["API-010"].verdict is Verdict.PASS
    assert found["API-011"].observed == "before commit() another connection sees 1 row(s)"
    assert report.counts[Verdict.KIT_ERROR] == 0


def test_connect_arguments_are_options_and_know_the_checks_folder(tmp_path: Path) -> None:
    module = tmp_path / "recording_module.py"
    module.write_text(
        "from sqlite3 import *\n"
        "import sqlite3\n"
        "def connect(path, label):\n"
        "    assert label == 'kit', label\n"
        "    assert path.endswith('/own.db'), path\n"
        "    return sqlite3.connect(path)\n"
    )
    settings = {"OPTIONS": {"path": "{workdir}/own.db", "label": "kit", "dsn": ""}}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        report = check("dbapi:recording_module", settings, select=["API-010"])
        assert "unexpected keyword argument 'dsn'" in report.results[0].observed
        del settings["OPTIONS"]["dsn"]
        settings["OPTIONS"]["database"] = ""
        report = check("dbapi:recording_module", settings, select=["API-010"])
        assert "unexpected keyword argument 'database'" in report.results[0].observed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["dbapi:no_such_module"], "there is no module 'no_such_module'"),
        (["dbapi:json"], "is no PEP 249 module: it has no connect()"),
        (["dbapi:sqlite3", "--profile", "django"], "the profile 'django' says nothing about such a target"),
        (["sqlite3", "--profile", "strict"], "the profile 'strict' says nothing about such a target"),
        (["dbapi:sqlite3", "-o", "CONN_MAX_AGE=3"], "CONN_MAX_AGE means nothing to a PEP 249 module"),
    ],
)
def test_a_mistake_in_the_call_is_one_line_and_exits_2(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    text = capsys.readouterr().out.strip()
    assert says in text
    assert len(text.splitlines()) == 1
