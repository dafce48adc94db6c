"""The versioned JSON report, and JUnit XML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from ..verdict import Result, Verdict

if TYPE_CHECKING:
    from ..summary import Report

__all__ = ["SCHEMA_VERSION", "json_schema", "to_json", "to_junit"]

SCHEMA_VERSION = 1
"""Raised whenever a reader of the old form could misread the new one; new keys alone do not raise it."""


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `to_json`'s documents."""
    schema: dict[str, Any] = json.loads(files("conformance.report").joinpath("schema.json").read_text())
    return schema


def to_json(reports: Sequence[Report]) -> str:
    document = {"version": SCHEMA_VERSION, "kit": _kit_version(), "targets": [_target(report) for report in reports]}
    return json.dumps(document, indent=2) + "\n"


def _target(report: Report) -> dict[str, Any]:
    return {
        "target": report.target,
        "headline": report.headline,
        "problem": report.problem,
        "exit_code": int(report.exit_code),
        "asked_level": report.asked_level,
        "level_reached": report.level_reached if report.results else None,
        "executed": report.executed,
        "applicable": report.applicable,
        "counts": {verdict.value: report.counts[verdict] for verdict in Verdict},
        "untested": [
            {"id": entry.id, "requirement": entry.sentence, "why": entry.untested}
            for entry in report.register.values()
            if entry.untested
        ],
        "results": [result.to_dict() for result in report.results],
    }


def _kit_version() -> str:
    try:
        return version("backend-sdk")
    except PackageNotFoundError:  # run from a source tree
        return "unknown"


def to_junit(reports: Sequence[Report]) -> str:
    """One test suite per target; what did not run is skipped, and says why."""
    root = ElementTree.Element("testsuites", name="conformance")
    for report in reports:
        suite = ElementTree.SubElement(root, "testsuite", _suite_attributes(report))
        for result in report.results:
            _test_case(suite, report, result)
        if report.problem:
            case = ElementTree.SubElement(suite, "testcase", name="target", classname=report.target)
            ElementTree.SubElement(case, "error", message=_clean(report.problem))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite_attributes(report: Report) -> dict[str, str]:
    counts = report.counts
    return {
        "name": report.target,
        "tests": str(len(report.results) + bool(report.problem)),
        "failures": str(len(report.violations)),
        "errors": str(counts[Verdict.KIT_ERROR] + bool(report.problem)),
        "skipped": str(sum(_skips(result) for result in report.results)),
        "time": f"{sum(result.seconds for result in report.results):.3f}",
    }


def _skips(result: Result) -> bool:
    return not result.verdict.is_violation and result.verdict not in {
        Verdict.PASS,
        Verdict.WARNING,
        Verdict.KIT_ERROR,
    }


def _test_case(suite: ElementTree.Element, report: Report, result: Result) -> None:
    case = ElementTree.SubElement(
        suite, "testcase", name=result.id, classname=f"{report.target}.{result.group}", time=f"{result.seconds:.3f}"
    )
    text = _clean("\n".join(part for part in (result.requirement, result.where, result.advice, result.details) if part))
    message = _clean(f"{result.verdict.value}: {result.observed}")
    if result.verdict.is_violation:
        ElementTree.SubElement(case, "failure", message=message, type=result.verdict.value).text = text
    elif result.verdict is Verdict.KIT_ERROR:
        ElementTree.SubElement(case, "error", message=message, type=result.verdict.value).text = text
    elif _skips(result):
        ElementTree.SubElement(case, "skipped", message=message)
    if result.verdict is Verdict.WARNING:
        ElementTree.SubElement(case, "system-out").text = f"{message}\n{text}"


def _clean(text: str) -> str:
    """Without the characters that XML 1.0 cannot hold."""
    return "".join(char for char in text if char in "\t\n\r" or ord(char) >= 32)
