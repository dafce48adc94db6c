"""Django's test runner, which also writes down what became of each test."""

from __future__ import annotations

import json
import os
import unittest
from pathlib import Path
from typing import Any

from django.test.runner import DiscoverRunner
from typing_extensions import override


class RecordingResult(unittest.TextTestResult):
    """One outcome for each test id; the worst, where there are several (subtests)."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.outcomes: dict[str, tuple[str, str]] = {}

    def _note(self, test: unittest.TestCase, outcome: str, detail: str = "") -> None:
        if self.outcomes.get(test.id(), ("ok",))[0] == "ok":
            self.outcomes[test.id()] = (outcome, detail)

    @override
    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        self._note(test, "ok")

    @override
    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self._note(test, "error", self.errors[-1][1])

    @override
    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self._note(test, "fail", self.failures[-1][1])

    @override
    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        self._note(test, "skip", reason)

    @override
    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addExpectedFailure(test, err)
        self._note(test, "expected failure")

    @override
    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        super().addUnexpectedSuccess(test)
        self._note(test, "unexpected success")

    @override
    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            failed = issubclass(err[0], test.failureException)
            shown = (self.failures if failed else self.errors)[-1][1]
            self._note(test, "fail" if failed else "error", f"{subtest}\n{shown}")

    @override
    def stopTestRun(self) -> None:
        super().stopTestRun()
        Path(os.environ["DJANGO_SUITE_RESULTS"]).write_text(json.dumps(self.outcomes))


class RecordingRunner(DiscoverRunner):
    @override
    def get_resultclass(self) -> Any:
        return RecordingResult
