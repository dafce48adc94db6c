"""Wrong between scopes."""

from __future__ import annotations

import sqlite3
from typing import ClassVar

from typing_extensions import override

from backend_sdk import SupportsClose

from ..baseline import BaselineBackend, BaselineParams
from . import mutant


@mutant("SCOPE-001", says="the first tenant's table holds")
class ParamsOfTheFirst(BaselineBackend):
    """The params are computed once and kept on the class."""

    _params: ClassVar[BaselineParams | None] = None

    @override
    def get_connection_params(self) -> BaselineParams:
        if self._params is None:
            type(self)._params = super().get_connection_params()
        assert self._params is not None
        return self._params.copy()


@mutant("SCOPE-002", says="that a scope had not committed were there after its end")
class CloseCommits(SupportsClose[sqlite3.Connection], BaselineBackend):
    """close_connection commits what is open."""

    @override
    def close_connection(self, connection: sqlite3.Connection, /) -> None:
        if not self.is_broken(connection):
            connection.commit()
        connection.close()

    @override
    def rollback(self, connection: sqlite3.Connection, /) -> None:
        if connection.isolation_level is None:
            connection.rollback()


@mutant("SCOPE-003", says="opened a session anew")
class ResetFails(BaselineBackend):
    """reset fails on a healthy session once it has been used."""

    @override
    def reset(self, connection: sqlite3.Connection, /) -> None:
        super().reset(connection)
        connection.execute("SELECT reset_everything()").close()


@mutant("SCOPE-004", says="works still")
class CloseDoesNothing(SupportsClose[sqlite3.Connection], BaselineBackend):
    """close_connection leaves the session open."""

    @override
    def close_connection(self, connection: sqlite3.Connection, /) -> None:
        pass
