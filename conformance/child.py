"""One check in its own process: from what it raises to the verdict."""

from __future__ import annotations

import time
import traceback
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from backend_sdk import Error

from .blame import author_frames, place_in
from .judged import DerivedTarget
from .verdict import CouldNotRun, NotApplicable, Result, Verdict, Violation

if TYPE_CHECKING:
    from .judged import Judged, JudgedTarget
    from .register import Requirement

__all__ = ["run_check"]


def run_check(target: JudgedTarget, entry: Requirement, folder: Path) -> Result:
    """The result of *entry*'s check on *target*, with a fresh database in a new folder under *folder*."""
    started = time.perf_counter()
    subject, error = _tried(target, entry, folder)
    if error is not None:
        verdict, observed, where, inherited, advice, details = _judge(subject, entry, error)
    else:
        verdict, observed, where, inherited, advice, details = Verdict.PASS, "", "", "", "", ""
    if verdict is Verdict.FAIL and entry.profile == "strict" and isinstance(target, DerivedTarget):
        where, inherited = _beside_stock(target, entry, folder, observed, (where, inherited))
    if verdict is Verdict.FAIL and entry.keyword != "MUST":
        verdict = Verdict.WARNING
    if verdict in {Verdict.FAIL, Verdict.WARNING} and subject.excuses(inherited):
        verdict = Verdict.INHERITED
    return Result(
        id=entry.id,
        verdict=verdict,
        group=entry.group,
        keyword=entry.keyword,
        requirement=entry.sentence,
        expected=entry.sentence if observed else "",
        observed=_without_secrets(subject, observed),
        where=where,
        inherited=inherited,
        advice=advice or (entry.advice if verdict in {Verdict.FAIL, Verdict.WARNING} else ""),
        seconds=round(time.perf_counter() - started, 4),
        details=_without_secrets(subject, details),
    )


def _tried(target: JudgedTarget, entry: Requirement, folder: Path) -> tuple[Judged, BaseException | None]:
    assert entry.check is not None
    subject = target.subject(Path(mkdtemp(prefix=f"{entry.id}-", dir=folder)))
    try:
        with subject:
            entry.check(subject)
    except BaseException as error:
        return subject, error
    return subject, None


def _beside_stock(
    target: DerivedTarget, entry: Requirement, folder: Path, observed: str, found: tuple[str, str]
) -> tuple[str, str]:
    """Where a finding is, and what it is inherited from: it is where the stock engine shows all of it too.

    The author's own are those that it does not show, whatever he has overridden. *found* where that cannot be told.
    """
    said = found
    for name, stock in target.stock():
        subject, error = _tried(stock, entry, folder)
        if error is None or isinstance(error, NotApplicable):
            said = _authors(found)
        elif isinstance(error, Violation):
            if set(observed.split("; ")) <= set(error.observed.split("; ")):
                return _blamed(subject, entry, error.blame)[0], name
            said = _authors(found)
    return said


def _authors(found: tuple[str, str]) -> tuple[str, str]:
    where, inherited = found
    return ("" if inherited else where), ""


def _judge(subject: Judged, entry: Requirement, error: BaseException) -> tuple[Verdict, str, str, str, str, str]:
    """Verdict, observed, where, inherited, advice, details."""
    if isinstance(error, NotApplicable):
        return Verdict.NOT_APPLICABLE, str(error), "", "", "", ""
    if isinstance(error, CouldNotRun):
        return Verdict.COULD_NOT_RUN, str(error), "", "", "", ""
    if isinstance(error, Violation):
        where, inherited = _blamed(subject, entry, error.blame)
        return Verdict.FAIL, error.observed, error.where or where, inherited, error.advice, ""
    if isinstance(error, SystemExit | KeyboardInterrupt | GeneratorExit):
        observed = f"{type(error).__name__} was raised ({error})"
        return Verdict.CRASH, observed, place_in(subject, error), "", "let errors be exceptions; never exit", ""
    address = subject.unreachable(error)
    if address:
        return Verdict.COULD_NOT_RUN, f"cannot connect to {address}: {_one_line(error)}", "", "", "", ""
    return _judge_exception(subject, entry, error)


def _judge_exception(
    subject: Judged, entry: Requirement, error: BaseException
) -> tuple[Verdict, str, str, str, str, str]:
    observed = f"raised {type(error).__name__}: {_one_line(error)}"
    where = place_in(subject, error)
    details = "".join(traceback.format_exception(error))
    known = isinstance(error, Error | AttributeError | TypeError) or subject.is_targets_error(error)
    if where or known or author_frames(error.__traceback__):
        blamed, inherited = _blamed(subject, entry, "")
        return Verdict.FAIL, observed, where or blamed, inherited, "", details
    return (
        Verdict.KIT_ERROR,
        observed,
        "",
        "",
        "this is the kit's own fault; please report it with the details",
        details,
    )


def _blamed(subject: Judged, entry: Requirement, method: str) -> tuple[str, str]:
    """Where the method that has to meet the requirement is, and the foreign base it is inherited from, if so."""
    return subject.blamed([name for name in (method, *entry.blame) if name], entry.profile)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _without_secrets(subject: Judged, text: str) -> str:
    try:
        secrets = subject.secret_texts()
    except Exception:  # settings that do not validate hold no secret that got anywhere
        return text
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
