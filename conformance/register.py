"""The requirements: one immutable ID each, with its sentence, reason, source and check.

A requirement is written where it is checked, in ``conformance/checks/<group>.py``. An ID is never reused and
never renamed; a requirement that is given up stays, as untested.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    Check = Callable[[Any], None]
    """Of the view that its kind of target makes: `Subject`, `DjangoSubject` or `ModuleSubject`."""

__all__ = ["GROUPS", "Keyword", "Requirement", "registered", "requirement", "untested"]

Keyword = Literal["MUST", "SHOULD", "MAY"]

GROUPS = {
    "TYPE": "typing",
    "LIFE": "lifecycle",
    "SET": "settings",
    "ID": "identity",
    "ERR": "errors",
    "SEC": "secrets",
    "CLOSE": "close",
    "TX": "transactions",
    "AGE": "lifetime",
    "THR": "threads",
    "GC": "garbage collection",
    "FORK": "fork",
    "POOL": "pool",
    "SCOPE": "scope",
    "ASYNC": "async and contexts",
    "API": "PEP 249",
    "DJSIG": "Django: signatures",
    "DJLIFE": "Django: a connection's life",
    "DJTX": "Django: transactions",
    "DJOPT": "Django: options",
    "DJERR": "Django: errors",
    "DJDEAD": "Django: dead connections",
    "DJTHR": "Django: threads",
    "DJGC": "Django: garbage collection",
    "DJPOOL": "Django: pools",
}
"""ID prefix to group, in the order in which reports show them."""

LEVELS = {
    0: "imports and types",
    1: "single thread",
    2: "threads, collection, fork",
    3: "pool, scope, async",
}


@dataclass(frozen=True)
class Requirement:
    """``after``: IDs without which the check says nothing. ``blame``: the backend's methods that have to meet it.

    ``leased``: what the sentence means for a backend that leases connections (`SupportsLeases`), where that differs.
    """

    id: str
    keyword: Keyword
    sentence: str
    reason: str
    source: str
    level: int
    since: str = "0.1"
    profile: str = "sdk"
    after: tuple[str, ...] = ()
    blame: tuple[str, ...] = ()
    advice: str = ""
    check: Check | None = None
    untested: str = ""
    leased: str = ""

    @property
    def group(self) -> str:
        return GROUPS[self.id.partition("-")[0]]


_register: dict[str, Requirement] = {}


def requirement(
    id: str,
    sentence: str,
    *,
    reason: str,
    source: str,
    level: int,
    keyword: Keyword = "MUST",
    after: tuple[str, ...] = (),
    blame: tuple[str, ...] = (),
    advice: str = "",
    since: str = "0.1",
    profile: str = "sdk",
    leased: str = "",
) -> Callable[[Check], Check]:
    """Register the decorated function as the check of requirement *id*."""

    def register(check: Check) -> Check:
        _add(
            Requirement(
                id, keyword, sentence, reason, source, level, since, profile, after, blame, advice, check, "", leased
            )
        )
        return check

    return register


def untested(
    id: str,
    sentence: str,
    *,
    reason: str,
    source: str,
    why: str,
    level: int = 1,
    keyword: Keyword = "MUST",
    profile: str = "sdk",
) -> None:
    """Register a requirement that no check can decide; *why* says what stands in the way."""
    _add(Requirement(id, keyword, sentence, reason, source, level, profile=profile, untested=why))


def _add(entry: Requirement) -> None:
    if not re.fullmatch(r"[A-Z]+-\d{3}", entry.id) or entry.id.partition("-")[0] not in GROUPS:
        raise ValueError(f"{entry.id!r} is no requirement ID; write GROUP-001 with one of {', '.join(GROUPS)}")
    if entry.id in _register:
        raise ValueError(f"requirement {entry.id} is registered twice")
    _register[entry.id] = entry


def registered() -> dict[str, Requirement]:
    """Every requirement registered so far, by ID, in the order of the groups."""
    order = list(GROUPS)
    entries = sorted(_register.values(), key=lambda entry: (order.index(entry.id.partition("-")[0]), entry.id))
    known = {entry.id: entry for entry in entries}
    for entry in entries:
        for needed in entry.after:
            if needed not in known:
                raise ValueError(f"requirement {entry.id} comes after {needed}, which there is not")
    return known
