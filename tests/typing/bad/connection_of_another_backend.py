"""One driver's connection in another driver's backend."""

from reference_backends.sqlite3 import SQLiteBackend


class Socket: ...


def check(backend: SQLiteBackend, connection: Socket) -> None:
    backend.ping(connection)  # error: [arg-type] expected "Connection"
