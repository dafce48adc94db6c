"""The process that has imported the backend once and forks a child for each check.

Run as ``python -m conformance.zygote`` by the runner, never by hand. It reads JSON lines from standard input
(the first holds the settings, so secrets pass privately) and writes JSON lines to the descriptor that standard
output was; the backend's own prints go to standard error, which the runner keeps in a file.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import os
import selectors
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from backend_sdk import ImproperlyConfigured

from .aside import aside, redirect, rest_of
from .blame import author_frames
from .checks import load_register
from .child import run_check
from .judged import JudgedTarget
from .kinds import load_judged
from .register import Requirement
from .verdict import Result, Verdict

__all__ = ["main"]

GRACE = 1.0
"""Seconds a hanging child has to write down its stacks before it is killed."""


@dataclass
class Child:
    """A check under way: its process, the pipe its result comes by, and the files it leaves behind."""

    entry: Requirement
    pid: int
    pipe: int
    exit_notice: int
    deadline: float
    timeout: float
    started: float
    folder: Path
    received: bytes = b""
    asked_for_stacks: bool = False
    dumped: int = 0
    """How many bytes of the stacks there were at the last look."""


class Zygote:
    """Forks, watches and reaps. One thread, no locks: it must stay safe to fork."""

    def __init__(
        self, target: JudgedTarget, register: Mapping[str, Requirement], folder: Path, send: Callable[..., None]
    ) -> None:
        self.target = target
        self.register = register
        self.folder = folder
        self.send = send
        self.children: dict[int, Child] = {}
        self.selector = selectors.DefaultSelector()

    def serve(self, requests: IO[bytes]) -> None:
        """Until the runner closes its end: fork for each request, report each result."""
        self.selector.register(requests, selectors.EVENT_READ)
        buffered, open_ = b"", True
        while open_ or self.children:
            for key, _ in self.selector.select(self._patience()):
                if key.fileobj is requests:
                    data = os.read(requests.fileno(), 65536)
                    open_ = bool(data)
                    buffered += data
                    *lines, buffered = buffered.split(b"\n")
                    for line in lines:
                        self._fork(json.loads(line))
                    if not open_:
                        self.selector.unregister(requests)
                elif key.fileobj in self.children:
                    self._receive(key.fileobj)
            self._enforce_deadlines()
            self._finish_ended()

    def _patience(self) -> float | None:
        if not self.children:
            return None
        if any(child.asked_for_stacks or child.exit_notice < 0 for child in self.children.values()):
            return 0.02
        return max(0.0, min(child.deadline for child in self.children.values()) - time.monotonic())

    def _fork(self, request: dict[str, Any]) -> None:
        entry = self.register[request["id"]]
        folder = self.folder / f"{entry.id}-{time.monotonic_ns()}"
        folder.mkdir()
        receiving, sending = os.pipe()
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            os.close(receiving)
            self._be_a_child(entry, folder, sending)
        os.close(sending)
        timeout = float(request["timeout"])
        exit_notice = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else -1  # elsewhere the loop looks every 20 ms
        child = Child(entry, pid, receiving, exit_notice, started + timeout, timeout, started, folder)
        self.children[receiving] = child
        for descriptor in (receiving, exit_notice):
            if descriptor >= 0:
                self.selector.register(descriptor, selectors.EVENT_READ)

    def _be_a_child(self, entry: Requirement, folder: Path, pipe: int) -> None:
        """Never returns. The terminal, the runner's pipes and the siblings' pipes are out of the check's reach."""
        try:
            os.setsid()
            for sibling in self.children.values():
                os.close(sibling.pipe)
            self.selector.close()
            redirect(folder / "output.txt")
            stacks = open(folder / "stacks.txt", "w")  # noqa: SIM115 - open until the process ends
            faulthandler.enable(stacks)
            faulthandler.register(signal.SIGUSR1, stacks, all_threads=True, chain=False)
            result = run_check(self.target, entry, folder)
            os.write(pipe, json.dumps(result.to_dict()).encode())
        finally:
            os._exit(0)

    def _receive(self, pipe: int) -> None:
        data = os.read(pipe, 65536)
        self.children[pipe].received += data
        if not data:
            self.selector.unregister(pipe)

    def _finish_ended(self) -> None:
        """Report the children that have ended; the pipe alone would not tell, since a grandchild may hold it."""
        for child in list(self.children.values()):
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                self._finish(child, status)

    def _finish(self, child: Child, status: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)  # what the check has started and left behind
        child.received += rest_of(child.pipe)
        del self.children[child.pipe]
        for descriptor in (child.pipe, child.exit_notice):
            if descriptor in self.selector.get_map():
                self.selector.unregister(descriptor)
            if descriptor >= 0:
                os.close(descriptor)
        self.send(result=self._verdict(child, status).to_dict())

    def _enforce_deadlines(self) -> None:
        now = time.monotonic()
        for child in list(self.children.values()):
            if now < child.deadline:
                continue
            if not child.asked_for_stacks:
                child.asked_for_stacks = True
                child.deadline = now + GRACE
                os.kill(child.pid, signal.SIGUSR1)  # faulthandler answers without the interpreter's lock
            else:
                os.kill(child.pid, signal.SIGKILL)
        for child in list(self.children.values()):
            if child.asked_for_stacks:
                size, child.dumped = child.dumped, _size_of(child.folder / "stacks.txt")
                if 0 < size == child.dumped:  # the dump is written bit by bit
                    os.kill(child.pid, signal.SIGKILL)

    def _verdict(self, child: Child, status: int) -> Result:
        stacks, output = _text(child.folder / "stacks.txt"), _text(child.folder / "output.txt")
        seconds = round(time.monotonic() - child.started, 4)
        if child.asked_for_stacks:
            observed = f"no verdict within {child.timeout:g} s; the stacks of all its threads are in the details"
            return _ended(child.entry, Verdict.HANG, observed, seconds, output, stacks)
        if os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name
            return _ended(child.entry, Verdict.CRASH, f"the process was killed by {name}", seconds, output, stacks)
        try:
            values = json.loads(child.received)
        except ValueError:
            observed = (
                "the process ended without a verdict: something in it called os._exit() or closed the descriptors "
                "of others"
            )
            return _ended(child.entry, Verdict.CRASH, observed, seconds, output, stacks)
        return Result.from_dict({**values, "output": output})


def _ended(entry: Requirement, verdict: Verdict, observed: str, seconds: float, output: str, stacks: str) -> Result:
    return Result(
        id=entry.id,
        verdict=verdict,
        group=entry.group,
        keyword=entry.keyword,
        requirement=entry.sentence,
        expected=entry.sentence,
        observed=observed,
        where=_deepest(stacks),
        advice=entry.advice,
        seconds=seconds,
        output=output,
        details=stacks,
    )


def _deepest(stacks: str) -> str:
    """The first frame in faulthandler's dump that is neither the kit's, nor the SDK's, nor Python's own."""
    from .blame import is_author_file

    for line in stacks.splitlines():
        parts = line.strip().split('"')
        if line.lstrip().startswith("File") and len(parts) > 2 and is_author_file(parts[1]):
            return f"{parts[1]}:{parts[2].split()[2].rstrip(',')}"
    return ""


def _size_of(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _text(file: Path, limit: int = 20_000) -> str:
    return file.read_text(errors="replace")[-limit:] if file.exists() else ""


def main() -> None:
    """Import the target, report it, then serve."""
    protocol = os.fdopen(os.dup(1), "w", buffering=1)
    os.set_inheritable(protocol.fileno(), False)
    os.dup2(2, 1)

    def send(**message: Any) -> None:
        protocol.write(json.dumps(message) + "\n")
        protocol.flush()

    requests = os.fdopen(os.dup(0), "rb", buffering=0)
    first = _first_line(requests.fileno())
    if not first:  # its runner had nothing to run
        return
    config = json.loads(first)
    sys.path[:0] = [entry for entry in config["path"] if entry not in sys.path]
    with ExitStack() as stack:
        target = _load(config, stack, send)
        if target is None:
            return
        register = load_register()
        gc.collect()
        gc.freeze()  # children share these pages, and collections in them look at their own objects alone
        send(loaded=True)
        Zygote(target, register, Path(config["folder"]), send).serve(requests)


def _first_line(descriptor: int) -> bytes:
    """Byte by byte: a buffered reader would swallow the requests that follow."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            break
        line += byte
    return line


def _load(config: dict[str, Any], stack: ExitStack, send: Callable[..., None]) -> JudgedTarget | None:
    """The target, its server started where it needs one; None after saying why not."""
    try:
        target = load_judged(config["target"], config["base"], config["profile"])
        target = _on_its_server(target, stack, Path(config["folder"]))
        _check_base(target, Path(config["folder"]))
    except ImproperlyConfigured as error:
        send(refused=str(error))
    except _NoServerError as error:
        send(unreachable=str(error))
    except Exception as error:
        frames = author_frames(error.__traceback__)
        place = "".join(traceback.format_list(frames)).rstrip()
        send(refused=f"importing {config['target']!r} raised {type(error).__name__}: {error}\n{place}".rstrip())
    else:
        return target
    return None


def _check_base(target: JudgedTarget, folder: Path) -> None:
    """`JudgedTarget.check_base`, aside. Without an answer there is no mistake of the user's: the checks tell of it."""

    def mistake() -> str:
        try:
            target.check_base(folder)
        except ImproperlyConfigured as error:
            return str(error)
        return ""

    said = aside(mistake, folder / "settings.txt")
    if said:
        raise ImproperlyConfigured(said)


class _NoServerError(Exception):
    """There is no server to be had."""


def _on_its_server(target: JudgedTarget, stack: ExitStack, folder: Path) -> JudgedTarget:
    """The target with a server that its test support finds or starts, unless the user said which database it is."""
    server = getattr(target.support, "server", None)
    if server is None or {"NAME", "HOST", "PORT", "USER"} & target.base.keys():
        return target
    try:
        found = stack.enter_context(server(folder))
    except OSError as error:
        raise _NoServerError(str(error)) from None
    options = {**found.get("OPTIONS", {}), **target.base.get("OPTIONS", {})}
    return target.with_base({**found, **target.base, **({"OPTIONS": options} if options else {})})


if __name__ == "__main__":
    main()
