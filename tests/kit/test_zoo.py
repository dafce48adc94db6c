"""No false alarms: right backends get the verdicts that were recorded for them, and no violation."""

from __future__ import annotations

import os
import sys

import pytest

from conformance import ExitCode, Report, Verdict, check
from tests.kit.zoo import BACKENDS, ON_SERVERS, SETTINGS, recorded, verdicts


@pytest.mark.parametrize("name", sorted(BACKENDS))
def test_a_right_backend_gets_its_recorded_verdicts(name: str) -> None:
    _judge(name, check(BACKENDS[name], SETTINGS.get(name), timeout=60))


@pytest.mark.parametrize("name", sorted(ON_SERVERS))
def test_a_right_backend_on_its_real_server_gets_its_recorded_verdicts(name: str) -> None:
    if name.startswith("pooled-") and sys.version_info[:2] != (3, 11):
        pytest.skip("pools on servers are tried once, on 3.11; the pools and the servers by themselves on each Python")
    report = check(ON_SERVERS[name], SETTINGS.get(name), timeout=60)
    if report.exit_code is ExitCode.COULD_NOT_RUN and not report.results:
        missing = f"{name}: {report.problem}"
        if os.environ.get("BACKEND_SDK_REQUIRE_SERVICES") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    _judge(name, report)


def _judge(name: str, report: Report) -> None:
    assert report.problem == ""
    assert report.violations == []
    assert report.counts[Verdict.KIT_ERROR] == 0
    assert verdicts(report) == recorded(name), "if the difference is right: python -m tests.kit.zoo"
