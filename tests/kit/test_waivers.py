"""Waivers: accepted deviations, expected failures, and the mistakes one can make in the file."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from backend_sdk import ImproperlyConfigured
from conformance import check
from conformance.checks import load_register
from conformance.verdict import Result, Verdict
from conformance.waivers import apply_waivers, read_waivers

WRONG = "conformance.selftest.mutants.lifecycle:OneConnectionForAll"
TODAY = date(2026, 6, 1)


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "waivers.toml"
    file.write_text(text)
    return file


def entry(kind: str = "waiver", id: str = "LIFE-009", expires: str = "2999-01-01") -> str:
    return f'[[{kind}]]\nid = "{id}"\nreason = "known"\nlink = "https://example.org/1"\nexpires = {expires}\n'


def applied(tmp_path: Path, text: str, verdict: Verdict) -> Result:
    waivers = read_waivers(written(tmp_path, text), load_register())
    return apply_waivers([Result("LIFE-009", verdict)], waivers, TODAY)[0]


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.CRASH, Verdict.HANG, Verdict.WARNING])
def test_a_waived_violation_is_no_violation(tmp_path: Path, verdict: Verdict) -> None:
    result = applied(tmp_path, entry(), verdict)
    assert result.verdict is Verdict.WAIVED
    assert "known" in result.advice


def test_an_expected_failure_is_told_from_a_waiver(tmp_path: Path) -> None:
    assert applied(tmp_path, entry("expected"), Verdict.FAIL).verdict is Verdict.EXPECTED_FAILURE


@pytest.mark.parametrize("kind", ["waiver", "expected"])
def test_what_passes_in_spite_of_its_entry_is_an_unexpected_pass(tmp_path: Path, kind: str) -> None:
    result = applied(tmp_path, entry(kind), Verdict.PASS)
    assert result.verdict is Verdict.UNEXPECTED_PASS
    assert result.verdict.is_violation


def test_an_expired_waiver_leaves_the_violation(tmp_path: Path) -> None:
    result = applied(tmp_path, entry(expires="2026-05-31"), Verdict.FAIL)
    assert result.verdict is Verdict.FAIL
    assert "expired on 2026-05-31" in result.advice


def test_a_waiver_holds_on_its_last_day(tmp_path: Path) -> None:
    assert applied(tmp_path, entry(expires="2026-06-01"), Verdict.FAIL).verdict is Verdict.WAIVED


@pytest.mark.parametrize("verdict", [Verdict.COULD_NOT_RUN, Verdict.BLOCKED, Verdict.KIT_ERROR, Verdict.NOT_APPLICABLE])
def test_a_waiver_never_hides_what_did_not_run(tmp_path: Path, verdict: Verdict) -> None:
    assert applied(tmp_path, entry(), verdict).verdict is verdict


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (entry(id="LIFE-*"), "no wildcards"),
        (entry(id="LIFE-999"), "there is no requirement of this ID"),
        (entry() + entry(), "stands there twice"),
        (entry(expires='"soon"'), "expires must be a date"),
        (entry().replace("reason", "because"), "reason is missing"),
        (entry() + "until = 3\n", "unknown key 'until'"),
        (entry().replace("known", " "), "reason is empty"),
        ("[[waver]]\n", "unknown table 'waver'"),
        ("= 1", "not TOML"),
    ],
)
def test_a_mistake_in_the_file_names_the_file_and_the_way_out(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=says) as caught:
        read_waivers(written(tmp_path, text), load_register())
    assert "waivers.toml" in str(caught.value)


def test_a_waived_run_exits_0(tmp_path: Path) -> None:
    select = ["LIFE-001", "LIFE-009"]
    assert check(WRONG, select=select).exit_code == 1
    assert check(WRONG, select=select, waivers=written(tmp_path, entry())).exit_code == 0
