"""The kit from Python: `check` returns a `Report`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .checks import load_register
from .kinds import ADVISORY, can_be_judged, default_profile
from .launch import Ahead
from .runner import Refused, RunnerError, Selection, Unreachable, run_checks, select_ids
from .summary import ExitCode, Report
from .waivers import apply_waivers, read_waivers

if TYPE_CHECKING:
    from .verdict import Result

__all__ = ["check"]


def check(
    target: str,
    settings: Mapping[str, Any] | None = None,
    *,
    level: int = 3,
    select: Iterable[str] = (),
    profile: str | None = None,
    waivers: str | Path | None = None,
    jobs: int | None = None,
    timeout: float = 20.0,
    report: Callable[[Result], None] = lambda _result: None,
    started: Callable[[int], None] = lambda _count: None,
) -> Report:
    """Judge *target* (engine name, module, ``module:Class``, file path, ``django:engine`` or ``dbapi:module``).

    *settings* is one alias mapping in Django's form, or for a Django engine all settings. *profile* is that of the
    target's kind, if not given. *report* hears each result as it comes, *started* how many
    there will be. A target that cannot be judged is a report with a ``problem``. Raises `ImproperlyConfigured`
    for a waivers file that is wrong. Each check runs in a process of its own; *timeout* is seconds per check.
    """
    profile = profile or default_profile(target)
    with Ahead() as launch:
        register = load_register()
        if not can_be_judged(target, profile):
            problem = f"the profile {profile!r} says nothing about such a target"
            return Report(target, level, [], register, problem, ExitCode.USAGE)
        accepted = read_waivers(Path(waivers), register) if waivers else {}
        patterns = [pattern for pattern in select if pattern.strip()]
        ids = select_ids(register, patterns, level=level, profile=profile)
        testable = [id for id in ids if register[id].check is not None]
        if not testable:
            return Report(target, level, [], register)
        started(len(testable))
        selection = Selection(
            ids,
            timeout=timeout,
            jobs=jobs or os.cpu_count() or 1,
            base=dict(settings or {}),
            advisory=ADVISORY.get(profile, frozenset()),
            profile="" if profile == default_profile(target) else profile,
            launch=launch,
        )
        try:
            results = run_checks(target, register, selection, report)
        except Refused as error:
            return Report(target, level, [], register, str(error), ExitCode.USAGE)
        except Unreachable as error:
            return Report(target, level, [], register, str(error), ExitCode.COULD_NOT_RUN)
        except RunnerError as error:
            return Report(target, level, [], register, str(error), ExitCode.KIT_ERROR)
    judged = apply_waivers(results, accepted, date.today())
    return Report(target, level, judged, register, partial=bool(patterns))
