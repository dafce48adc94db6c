"""Runs the checks: starts the zygote, hands out what is ready, knows what is blocked by what."""

from __future__ import annotations

import json
import os
import select
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from .kinds import PROFILES
from .launch import Launched, Launcher, fresh, stop
from .register import Requirement
from .verdict import Result, Verdict

__all__ = ["Refused", "RunnerError", "Selection", "Unreachable", "run_checks"]


_BLOCKING = {Verdict.COULD_NOT_RUN, Verdict.KIT_ERROR, Verdict.STRICT, Verdict.INHERITED}


class Refused(Exception):
    """The target cannot be judged at all: unknown, not importable, wrong settings."""


class Unreachable(Exception):
    """There is no server to run against."""


class RunnerError(Exception):
    """The kit's own fault."""


@dataclass(frozen=True)
class Selection:
    """What to run and how: seconds per check, how many at once."""

    ids: tuple[str, ...]
    timeout: float = 20.0
    jobs: int = 2
    load_timeout: float = 20.0
    base: Mapping[str, Any] = field(default_factory=dict)
    advisory: frozenset[str] = frozenset()
    """Profiles whose violations are reported as strict."""
    profile: str = ""
    """The profile asked for, where it is not the one of the target's kind."""
    launch: Launcher = fresh


def run_checks(
    target: str,
    register: Mapping[str, Requirement],
    selection: Selection,
    report: Callable[[Result], None] = lambda _result: None,
) -> list[Result]:
    """The results of the selected requirements, in the register's order; *report* hears each as it comes.

    Raises `Refused`, `Unreachable` or `RunnerError`.
    """
    with tempfile.TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True) as folder:
        results = _Run(target, register, selection, report, Path(folder)).results()
    return [results[entry] for entry in register if entry in results]


class _Run:
    def __init__(
        self,
        target: str,
        register: Mapping[str, Requirement],
        selection: Selection,
        report: Callable[[Result], None],
        folder: Path,
    ) -> None:
        self.target = target
        self.register = register
        self.selection = selection
        self.report = report
        self.folder = folder
        self.done: dict[str, Result] = {}
        self.waiting = {id for id in selection.ids if register[id].check is not None}
        self.running: set[str] = set()

    def results(self) -> dict[str, Result]:
        zygote = self.selection.launch(self.folder / "zygote.txt")
        try:
            self._serve(zygote)
        finally:
            stop(zygote, patience=20.0 if self.done else 1.0)  # what it has made on a server it drops first
        return self.done

    def _serve(self, zygote: Launched) -> None:
        requests = zygote.requests
        messages = _messages(zygote.messages, self._deadline)
        config = {
            "target": self.target,
            "base": dict(self.selection.base),
            "folder": str(self.folder),
            "profile": self.selection.profile,
            "path": [os.getcwd(), *sys.path],
        }
        _send(requests, config)
        self._expect_loaded(next(messages, None))
        self._hand_out(requests)
        while self.running:
            message = next(messages, None)
            if message is None:
                raise RunnerError(f"the process that runs the checks has ended: {self._last_words()}")
            self._settle(Result.from_dict(message["result"]))
            self._hand_out(requests)

    def _deadline(self) -> float:
        # The zygote keeps the checks' own deadlines; this one only catches the zygote itself.
        waiting_for_import = not self.running and not self.done
        return self.selection.load_timeout if waiting_for_import else self.selection.timeout + 10

    def _expect_loaded(self, message: dict[str, Any] | None) -> None:
        if message is None:
            raise Refused(f"importing {self.target!r} ended the process or did not return: {self._last_words()}")
        if "refused" in message:
            raise Refused(message["refused"])
        if "unreachable" in message:
            raise Unreachable(message["unreachable"])

    def _hand_out(self, requests: IO[bytes]) -> None:
        """Start what is ready; settle what is blocked, and then what that blocks in turn."""
        settled = len(self.done)
        for entry in [self.register[id] for id in self.register if id in self.waiting]:
            blockers = self._blockers(entry)
            if blockers:
                self.waiting.discard(entry.id)
                self._settle(_blocked(entry, blockers))
            elif not self._pending(entry) and len(self.running) < self.selection.jobs:
                self.waiting.discard(entry.id)
                self.running.add(entry.id)
                _send(requests, {"id": entry.id, "timeout": self.selection.timeout})
        if len(self.done) > settled:
            self._hand_out(requests)

    def _pending(self, entry: Requirement) -> bool:
        return any(needed in self.waiting or needed in self.running for needed in entry.after)

    def _blockers(self, entry: Requirement) -> tuple[str, ...]:
        """The root failures that *entry* stands on."""
        found: list[str] = []
        for needed in entry.after:
            result = self.done.get(needed)
            if result is None:
                continue
            if result.verdict is Verdict.BLOCKED:
                found += result.blocked_by
            elif result.verdict.is_violation or result.verdict in _BLOCKING:
                found.append(needed)
        return tuple(dict.fromkeys(found))

    def _settle(self, result: Result) -> None:
        self.running.discard(result.id)
        if result.verdict.is_violation and self.register[result.id].profile in self.selection.advisory:
            result = replace(result, verdict=Verdict.STRICT)
        if result.verdict is not Verdict.PASS:
            profile = f" --profile {self.selection.profile}" if self.selection.profile else ""
            result = replace(result, rerun=f"python -m conformance {self.target}{profile} --select {result.id}")
        self.done[result.id] = result
        self.report(result)

    def _last_words(self) -> str:
        text = (self.folder / "zygote.txt").read_text(errors="replace").strip()
        return text.splitlines()[-1] if text else "it said nothing"


def _blocked(entry: Requirement, blockers: tuple[str, ...]) -> Result:
    return Result(
        id=entry.id,
        verdict=Verdict.BLOCKED,
        group=entry.group,
        keyword=entry.keyword,
        requirement=entry.sentence,
        observed=f"blocked by {', '.join(blockers)}",
        blocked_by=blockers,
    )


def _send(pipe: IO[bytes], message: Mapping[str, Any]) -> None:
    try:
        pipe.write(json.dumps(message, default=str).encode() + b"\n")
        pipe.flush()
    except BrokenPipeError:  # it has ended; what it said last is on its way
        return


def _messages(pipe: IO[bytes], deadline: Callable[[], float]) -> Iterator[dict[str, Any]]:
    """JSON lines as they come; ends at the end of the pipe, or when nothing comes for too long."""
    buffered = b""
    while True:
        ready, _, _ = select.select([pipe], [], [], deadline())
        data = os.read(pipe.fileno(), 65536) if ready else b""
        if not data:
            return
        *lines, buffered = (buffered + data).split(b"\n")
        for line in lines:
            yield json.loads(line)


def select_ids(
    register: Mapping[str, Requirement], patterns: Iterable[str], *, level: int, profile: str
) -> tuple[str, ...]:
    """IDs of *profile* up to *level* that match any of *patterns* (an ID, its prefix or a group); all without any."""
    wanted = [pattern.strip().lower() for pattern in patterns if pattern.strip()]
    chosen = {
        entry.id
        for entry in register.values()
        if entry.level <= level and entry.profile in PROFILES[profile] and (not wanted or _matches(entry, wanted))
    }
    return tuple(id for id in register if id in chosen)


def _matches(entry: Requirement, wanted: list[str]) -> bool:
    names = {entry.id.lower(), entry.id.partition("-")[0].lower(), entry.group.lower()}
    return any(name in names for name in wanted)
