"""Deviations that somebody has accepted, or expects to mend: each with a reason, a link and an expiry date.

A TOML file::

    [[waiver]]
    id = "TX-012"
    reason = "the server has no savepoints before version 9"
    link = "https://example.org/issues/1"
    expires = 2027-06-30

    [[expected]]      # fails today and is to be mended: passing is news, and an error
    id = "GC-003"
    ...
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

from backend_sdk import ImproperlyConfigured

from .verdict import Result, Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from .register import Requirement

__all__ = ["Waiver", "apply_waivers", "read_waivers"]

KEYS = {"id", "reason", "link", "expires"}
FAILED = {Verdict.FAIL, Verdict.WARNING, Verdict.CRASH, Verdict.HANG}


@dataclass(frozen=True)
class Waiver:
    """``kind``: "waiver" is accepted; "expected" is a known fault that is to be mended. Valid through ``expires``."""

    id: str
    kind: Literal["waiver", "expected"]
    reason: str
    link: str
    expires: date


def read_waivers(file: Path, register: Mapping[str, Requirement]) -> dict[str, Waiver]:
    """The waivers in *file* by ID. Raises `ImproperlyConfigured`, which names file, entry and key."""
    try:
        content = tomllib.loads(file.read_text())
    except OSError as error:
        raise ImproperlyConfigured(f"waivers {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"waivers {file}: not TOML: {error}") from None
    unknown = sorted(set(content) - {"waiver", "expected"})
    if unknown:
        raise ImproperlyConfigured(f"waivers {file}: unknown table {unknown[0]!r}; write [[waiver]] or [[expected]]")
    found: dict[str, Waiver] = {}
    kinds: tuple[Literal["waiver", "expected"], ...] = ("waiver", "expected")
    for kind in kinds:
        for entry in content.get(kind, []):
            waiver = _waiver(file, kind, entry, register)
            if waiver.id in found:
                raise ImproperlyConfigured(f"waivers {file}: {waiver.id} stands there twice")
            found[waiver.id] = waiver
    return found


def _waiver(
    file: Path, kind: Literal["waiver", "expected"], entry: Mapping[str, Any], register: Mapping[str, Requirement]
) -> Waiver:
    place = f"waivers {file}: [[{kind}]] {entry.get('id', '')}".rstrip()
    for key in sorted(KEYS - set(entry)):
        raise ImproperlyConfigured(f"{place}: {key} is missing; id, reason, link and expires are all required")
    for key in sorted(set(entry) - KEYS):
        raise ImproperlyConfigured(f"{place}: unknown key {key!r}; known: {', '.join(sorted(KEYS))}")
    if entry["id"] not in register:
        raise ImproperlyConfigured(f"{place}: there is no requirement of this ID (and no wildcards); see `list`")
    if not isinstance(entry["expires"], date):
        raise ImproperlyConfigured(f"{place}: expires must be a date, as in expires = 2027-06-30")
    if not str(entry["reason"]).strip():
        raise ImproperlyConfigured(f"{place}: reason is empty")
    return Waiver(entry["id"], kind, str(entry["reason"]), str(entry["link"]), entry["expires"])


def apply_waivers(results: list[Result], waivers: Mapping[str, Waiver], today: date) -> list[Result]:
    """The results with what is waived marked so; an expired waiver leaves the violation and says so."""
    return [_apply(result, waivers[result.id], today) if result.id in waivers else result for result in results]


def _apply(result: Result, waiver: Waiver, today: date) -> Result:
    if result.verdict in FAILED:
        if today > waiver.expires:
            advice = f"its waiver expired on {waiver.expires}: mend it, or decide anew. {result.advice}".strip()
            return replace(result, verdict=Verdict.FAIL, advice=advice)
        verdict = Verdict.WAIVED if waiver.kind == "waiver" else Verdict.EXPECTED_FAILURE
        return replace(result, verdict=verdict, advice=f"{waiver.reason} ({waiver.link}, until {waiver.expires})")
    if result.verdict is Verdict.PASS:
        advice = f"it passes: take {result.id} out of the waivers ({waiver.reason})"
        return replace(result, verdict=Verdict.UNEXPECTED_PASS, observed="passes although waived", advice=advice)
    return result
