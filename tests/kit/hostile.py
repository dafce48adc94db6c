"""Backends that attack the process they are judged in: each may cost one verdict, never the run."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
from typing import ClassVar

from typing_extensions import override

from backend_sdk import DelegatingBackend
from conformance.selftest.baseline import BaselineBackend, BaselineParams, BaselineSettings


class Hangs(BaselineBackend):
    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        threading.Event().wait()


class HangsWithTheInterpretersLock(BaselineBackend):
    """SQLite calls no Python here and sqlite3 releases the lock only around its own calls: a busy loop keeps it."""

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        while True:
            pass


class Segfaults(BaselineBackend):
    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)


class ExitsPolitely(BaselineBackend):
    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        sys.exit(0)


class ExitsAtOnce(BaselineBackend):
    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        os._exit(0)


class ClosesDescriptors(BaselineBackend):
    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        os.closerange(0, 256)
        return super().get_new_connection(params)


class EatsTheTerminal(BaselineBackend):
    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        print("\x1b[2J\x1b[31mlook at me", flush=True)
        sys.stdin.read()


class IgnoresSignals(BaselineBackend):
    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        threading.Event().wait()


class LeavesAProcessBehind(BaselineBackend):
    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        child = os.fork()
        if child == 0:
            signal.pause()
            os._exit(0)
        print(f"left behind: {child}")


class ExitsWhenMade(BaselineBackend):
    def __init__(self, settings: BaselineSettings) -> None:
        os._exit(0)


class HangsWhenMade(BaselineBackend):
    def __init__(self, settings: BaselineSettings) -> None:
        threading.Event().wait()


class CountsWhatIsMade(BaselineBackend):
    """Only the first one that a process makes is right."""

    made = 0

    def __init__(self, settings: BaselineSettings) -> None:
        super().__init__(settings)
        type(self).made += 1
        if self.made > 1:
            raise RuntimeError("this process has made one already")


class OpensWhenMade(BaselineBackend):
    def __init__(self, settings: BaselineSettings) -> None:
        super().__init__(settings)
        sqlite3.connect(settings.name).close()


class AroundAnother(
    DelegatingBackend[BaselineSettings, BaselineParams, sqlite3.Connection, sqlite3.Cursor], vendor="around"
):
    inside: ClassVar[type[BaselineBackend]] = BaselineBackend

    def __init__(self, settings: BaselineSettings) -> None:
        super().__init__(self.inside(settings), settings)


class AroundOneThatOpens(AroundAnother, vendor="around"):
    inside = OpensWhenMade


class AroundOneThatCounts(AroundAnother, vendor="around"):
    inside = CountsWhatIsMade


class TellsWhereItIs(BaselineBackend):
    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        raise RuntimeError(f"HOSTILE={os.environ['HOSTILE']} in {os.getcwd()}")
