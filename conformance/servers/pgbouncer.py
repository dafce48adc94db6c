"""A PgBouncer of our own in front of a PostgreSQL server."""

from __future__ import annotations

import signal
import socket
from typing import Literal, Self

from .postgresql import PostgreSQLServer
from .process import Keeper, ServerError, Unavailable, find_program, free_port, unprivileged_user, wait_until

__all__ = ["PgBouncer"]


class PgBouncer:
    """``with PgBouncer(server, mode="transaction") as pooler: ... pooler.url()``; gone when this process is.

    With *size* 1 all clients of a database and user take turns on one server session.
    """

    host = "127.0.0.1"

    def __init__(
        self, server: PostgreSQLServer, *, mode: Literal["session", "transaction", "statement"], size: int = 1
    ) -> None:
        program = find_program("pgbouncer")
        if program is None:
            raise Unavailable("no PgBouncer here: make services")
        self._program = program
        self._server = server
        self._mode = mode
        self._size = size
        self.port = 0
        self._keeper = Keeper("pb", unprivileged_user("postgres"))  # it refuses to run as root
        self.folder = self._keeper.folder
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        users = self.folder / "users"
        users.write_text(f'"{self._server.user}" "{self._server.password}"\n')
        users.chmod(0o644)  # the folder itself is closed to others
        for _ in range(5):
            self.port = free_port()
            file = self.folder / "pgbouncer.ini"
            file.write_text(
                f"[databases]\n* = host={self._server.host} port={self._server.port}\n[pgbouncer]\n"
                f"listen_addr = {self.host}\nlisten_port = {self.port}\nunix_socket_dir =\n"
                f"auth_type = scram-sha-256\nauth_file = {users}\nadmin_users = {self._server.user}\n"
                f"pool_mode = {self._mode}\ndefault_pool_size = {self._size}\nmax_client_conn = 60\n"
            )
            file.chmod(0o644)
            before = len(self._keeper.log)
            self._keeper.start(self._program, file)
            if wait_until(self._started, "PgBouncer's start"):
                return
            if "in use" not in self._keeper.log[before:]:
                break
        raise ServerError(f"PgBouncer did not start: {self._keeper.log.strip()}")

    def _started(self) -> bool | None:
        try:
            socket.create_connection((self.host, self.port), timeout=5).close()
        except OSError:
            return None if self._keeper.running else False
        return True

    def stop(self) -> None:
        """End it at once, with all clients."""
        self._keeper.stop(signal.SIGTERM)

    def url(self, database: str = "postgres") -> str:
        """The server's own URL, by way of the pooler."""
        return f"postgresql://{self._server.user}:{self._server.password}@{self.host}:{self.port}/{database}"

    def close(self) -> None:
        """End it and remove all of its files."""
        self._keeper.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
