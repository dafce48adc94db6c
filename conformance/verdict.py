"""What can be said of one requirement, and the record that says it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CouldNotRun", "NotApplicable", "Result", "Verdict", "Violation"]


class Verdict(StrEnum):
    """A skip is none of these: what did not run says why, and never counts as a pass."""

    PASS = "pass"
    FAIL = "fail"
    WARNING = "warning"  # a SHOULD or MAY that is not met
    COULD_NOT_RUN = "could-not-run"  # applicable, but something it needs is missing
    NOT_APPLICABLE = "not-applicable"
    WAIVED = "waived"
    EXPECTED_FAILURE = "expected-failure"
    UNEXPECTED_PASS = "unexpected-pass"
    BLOCKED = "blocked"  # by a requirement that failed first
    HANG = "hang"
    CRASH = "crash"
    KIT_ERROR = "kit-error"
    STRICT = "strict"  # a stricter contract than the one judged by is not met
    INHERITED = "inherited"  # not met, and nothing of it is the author's code

    @property
    def is_violation(self) -> bool:
        return self in {Verdict.FAIL, Verdict.HANG, Verdict.CRASH, Verdict.UNEXPECTED_PASS}

    @property
    def was_executed(self) -> bool:
        return self not in {Verdict.COULD_NOT_RUN, Verdict.NOT_APPLICABLE, Verdict.BLOCKED, Verdict.KIT_ERROR}


class Violation(Exception):
    """A requirement is not met. ``blame`` names the method of the backend that should have met it."""

    def __init__(self, observed: str, *, advice: str = "", where: str = "", blame: str = "") -> None:
        super().__init__(observed)
        self.observed = observed
        self.advice = advice
        self.where = where
        self.blame = blame


class CouldNotRun(Exception):
    """The check applies but lacks something: a witness, a server, a sleep statement."""


class NotApplicable(Exception):
    """The requirement does not concern this backend: it declares no such ability."""


@dataclass(frozen=True)
class Result:
    """One requirement's outcome. ``where`` is ``file:line``; ``seconds`` the check's own wall time."""

    id: str
    verdict: Verdict
    group: str = ""
    keyword: str = "MUST"
    requirement: str = ""
    expected: str = ""
    observed: str = ""
    where: str = ""
    inherited: str = ""
    advice: str = ""
    rerun: str = ""
    seconds: float = 0.0
    output: str = ""
    details: str = ""
    blocked_by: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict.value, "blocked_by": list(self.blocked_by)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Result:
        known = {item.name for item in fields(cls)}
        kept: dict[str, Any] = {key: value for key, value in values.items() if key in known}
        kept["verdict"] = Verdict(kept["verdict"])
        kept["blocked_by"] = tuple(kept.get("blocked_by", ()))
        return cls(**kept)
