"""Where everything is required, a test that is skipped for want of something fails instead."""

from __future__ import annotations

import os
import re
from collections.abc import Generator

import pytest

try:
    from hypothesis import HealthCheck, settings
except ImportError:  # in an environment for Django's versions, whose tests have no properties
    pass
else:  # a machine with other work to do is slow, and no example is wrong for that
    settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("patient")

MISSING = re.compile(r"could not import|not installed|make services|no openssl|make it:", re.IGNORECASE)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    reason = str(call.excinfo.value) if call.excinfo is not None else ""
    if report.skipped and os.environ.get("BACKEND_SDK_REQUIRE_SERVICES") == "1" and MISSING.search(reason):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: required, and missing: {reason}"
    return report
