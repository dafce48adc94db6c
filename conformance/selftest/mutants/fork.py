"""Wrong after a fork."""

from __future__ import annotations

import atexit
import os
import socket
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from typing_extensions import override

from ..baseline import BaselineBackend, BaselineParams
from . import mutant
from .cursors import WithBypassingCursor


@mutant("FORK-001", says="the child used the parent's connection")
class HandsOutInherited(BaselineBackend):
    """In a forked child get_new_connection hands out the connection that the parent has opened."""

    _opened: ClassVar[dict[str, tuple[int, sqlite3.Connection]]] = {}

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        process, connection = self._opened.get(params["database"], (os.getpid(), None))
        if connection is None or process == os.getpid():
            connection = super().get_new_connection(params)
            self._opened[params["database"]] = (os.getpid(), connection)
        return connection


class _Served(sqlite3.Connection):
    """As a client's connection: a socket, whose shutdown in any process ends the session for all."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)

    def hang_up(self) -> None:
        try:
            self._ours.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    @override
    def cursor(self, *args: Any, **options: Any) -> Any:
        try:
            ended = self._ours.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            ended = False
        if ended:
            raise sqlite3.OperationalError("the server has closed the connection")
        return super().cursor(*args, **options)


class _WithServed(BaselineBackend):
    """Right, by itself: connections that a child can end for its parent."""

    def clean_up(self, connection: _Served) -> None:
        """What the wrong ones do about a connection."""

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        connection = sqlite3.connect(**params, factory=_Served)
        self.clean_up(connection)
        return connection


@mutant("FORK-002", says="the server has closed the connection")
class ClosesAtExit(_WithServed):
    """Connections are closed by atexit, which runs in children too."""

    @override
    def clean_up(self, connection: _Served) -> None:
        atexit.register(connection.hang_up)


@mutant("FORK-002", says="the server has closed the connection")
class ClosesInChild(_WithServed):
    """Connections are closed in the child of every fork, to be tidy."""

    @override
    def clean_up(self, connection: _Served) -> None:
        os.register_at_fork(after_in_child=connection.hang_up)


@mutant("FORK-003", says="the child was allowed to execute on a cursor of the parent's")
class CursorsIgnoreFork(WithBypassingCursor):
    """Its cursors do not ask in which process they are."""


def _end_transaction(connection: _Served) -> None:
    if connection.in_transaction:
        connection.hang_up()


@mutant("FORK-004", says="after the child's end the parent's block failed")
class EndsTransactionInChild(_WithServed):
    """A transaction that is open at a fork is ended in the child."""

    @override
    def clean_up(self, connection: _Served) -> None:
        end: Callable[[], None] = partial(_end_transaction, connection)
        os.register_at_fork(after_in_child=end)
