"""``ping`` raises where the session is gone; an answer would be taken for success, whatever it is."""

import sqlite3

from typing_extensions import override

from backend_sdk import SupportsPing


class Plain(SupportsPing[sqlite3.Connection]):
    @override
    def ping(self, connection: sqlite3.Connection, /) -> bool:  # error: [override] incompatible with return type "None"
        return connection.total_changes >= 0
