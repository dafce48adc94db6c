"""How a zygote is started: in a fresh interpreter, or from a warm one where many targets are judged in turn."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext

__all__ = ["Ahead", "Launched", "Launcher", "fresh", "stop", "warm"]


class Launched(Protocol):
    """A zygote's process, and the runner's ends of its two pipes."""

    requests: IO[bytes]
    messages: IO[bytes]

    def ends_within(self, seconds: float) -> bool:
        """Wait so long for its end; whether it came."""
        ...

    def kill(self) -> None:
        """And wait."""


Launcher = Callable[[Path], Launched]
"""Takes the file for what the zygote prints."""


class _Fresh:
    def __init__(self, log: Path) -> None:
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "conformance.zygote"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        self.requests = cast("IO[bytes]", self._process.stdin)
        self.messages = cast("IO[bytes]", self._process.stdout)

    def ends_within(self, seconds: float) -> bool:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def fresh(log: Path) -> Launched:
    """In an interpreter of its own: what a run of one target does."""
    return _Fresh(log)


class Ahead:
    """A fresh one that is started at once, so that it imports what it needs while its runner does. For one run."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="conformance-")
        self._log = Path(self._folder.name, "zygote.txt")
        self._started: Launched | None = fresh(self._log)

    def __call__(self, log: Path) -> Launched:
        started, self._started = self._started, None
        if started is None:
            return fresh(log)
        self._log.replace(log)  # it goes on writing there
        return started

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._started is not None:  # there was nothing to run after all
            stop(self._started)
        self._folder.cleanup()


def stop(zygote: Launched, patience: float = 5.0) -> None:
    """Close its pipes, at which it ends by itself, or is ended after *patience* seconds."""
    for pipe in (zygote.requests, zygote.messages):
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
    if not zygote.ends_within(patience):
        zygote.kill()


class _Forked:
    def __init__(self, context: ForkServerContext, log: Path) -> None:
        theirs_in, ours_in = context.Pipe(duplex=False)
        ours_out, theirs_out = context.Pipe(duplex=False)
        environment = dict(os.environ)  # as it is now: the warm process has the one of its own start
        self._process = context.Process(target=_be_a_zygote, args=(theirs_in, theirs_out, str(log), environment))
        self._process.start()
        theirs_in.close()
        theirs_out.close()
        self.requests: IO[bytes] = os.fdopen(_kept(ours_in), "wb")
        self.messages: IO[bytes] = os.fdopen(_kept(ours_out), "rb", buffering=0)

    def ends_within(self, seconds: float) -> bool:
        self._process.join(seconds)
        return self._process.exitcode is not None

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


def warm() -> Launcher:
    """Forked from one process that has imported the kit: to start an interpreter takes longer than most checks."""
    import multiprocessing  # not needed by a run of one target, whose first verdict it would delay

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["conformance.warm"])
    return lambda log: _Forked(context, log)


def _kept(pipe: Connection) -> int:
    """A descriptor of our own for *pipe*, which is closed."""
    descriptor = os.dup(pipe.fileno())
    pipe.close()
    return descriptor


def _be_a_zygote(requests: Connection, messages: Connection, log: str, environment: dict[str, str]) -> None:
    """In the forked process, as a fresh one is started: requests on descriptor 0, messages on 1, prints on 2."""
    from .zygote import main

    os.environ.clear()
    os.environ.update(environment)
    prints = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for descriptor, source in enumerate((requests.fileno(), messages.fileno(), prints)):
        os.dup2(source, descriptor)
    requests.close()
    messages.close()
    os.close(prints)
    main()
