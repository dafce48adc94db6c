"""One check in its own process: from what it raises to the verdict."""

from __future__ import annotations

import time
import traceback
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from backend_sdk import Error, OperationalError

from .blame import author_frames, inherited_from, place_in
from .subject import Subject
from .verdict import CouldNotRun, NotApplicable, Result, Verdict, Violation

if TYPE_CHECKING:
    from .register import Requirement
    from .subject import Target

__all__ = ["run_check"]


def run_check(target: Target, entry: Requirement, folder: Path) -> Result:
    """The result of *entry*'s check on *target*, with a fresh database in a new folder under *folder*."""
    assert entry.check is not None
    started = time.perf_counter()
    subject = Subject(target, Path(mkdtemp(prefix=f"{entry.id}-", dir=folder)))
    try:
        with subject:
            entry.check(subject)
    except BaseException as error:
        verdict, observed, where, inherited, advice, details = _judge(subject, entry, error)
    else:
        verdict, observed, where, inherited, advice, details = Verdict.PASS, "", "", "", "", ""
    if verdict is Verdict.FAIL and entry.keyword != "MUST":
        verdict = Verdict.WARNING
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


def _judge(subject: Subject, entry: Requirement, error: BaseException) -> tuple[Verdict, str, str, str, str, str]:
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
    if _unreachable(subject, error):
        return Verdict.COULD_NOT_RUN, f"cannot connect to {_address(subject)}: {_one_line(error)}", "", "", "", ""
    return _judge_exception(subject, entry, error)


def _judge_exception(
    subject: Subject, entry: Requirement, error: BaseException
) -> tuple[Verdict, str, str, str, str, str]:
    observed = f"raised {type(error).__name__}: {_one_line(error)}"
    where = place_in(subject, error)
    details = "".join(traceback.format_exception(error))
    if where or author_frames(error.__traceback__) or isinstance(error, Error | AttributeError | TypeError):
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


def _blamed(subject: Subject, entry: Requirement, method: str) -> tuple[str, str]:
    """Where the method that has to meet the requirement is, and the foreign base it is inherited from, if so."""
    for name in (method, *entry.blame):
        if not name:
            continue
        where, _ = subject.place_of(name)
        if where:
            return where, inherited_from(subject, name)
    return "", ""


def _unreachable(subject: Subject, error: BaseException) -> bool:
    """A server that cannot be reached says nothing about the backend."""
    at_connect = isinstance(error, OperationalError) and error.step == "connect"
    return bool(subject.mapping.get("HOST")) and at_connect


def _address(subject: Subject) -> str:
    port = subject.mapping.get("PORT")
    return f"{subject.mapping['HOST']}{f':{port}' if port else ''}"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _without_secrets(subject: Subject, text: str) -> str:
    try:
        secrets = subject.settings().secret_texts()
    except Exception:  # settings that do not validate hold no secret that got anywhere
        return text
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
