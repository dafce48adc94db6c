"""``set_autocommit`` is told which way to switch."""

import sqlite3

from typing_extensions import override

from backend_sdk import SupportsAutocommit


class Plain(SupportsAutocommit[sqlite3.Connection]):
    @override
    def set_autocommit(self, connection: sqlite3.Connection, /) -> None:  # error: [override] "set_autocommit"
        connection.isolation_level = None
