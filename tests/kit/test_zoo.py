"""No false alarms: right backends get the verdicts that were recorded for them, and no violation."""

from __future__ import annotations

import pytest

from conformance import Verdict, check
from tests.kit.zoo import BACKENDS, recorded, verdicts


@pytest.mark.parametrize("name", sorted(BACKENDS))
def test_a_right_backend_gets_its_recorded_verdicts(name: str) -> None:
    report = check(BACKENDS[name])
    assert report.violations == []
    assert report.counts[Verdict.KIT_ERROR] == 0
    assert verdicts(report) == recorded(name), "if the difference is right: python -m tests.kit.zoo"
