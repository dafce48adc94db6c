"""A MariaDB or MySQL server of our own, from the machine's programs."""

from __future__ import annotations

import os
import secrets
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from .process import Keeper, ServerError, Unavailable, find_program, free_port, unprivileged_user, wait_until

__all__ = ["URL_VARIABLE", "MySQLServer", "find_server_program", "mysql_url"]

URL_VARIABLE = "BACKEND_SDK_MYSQL_URL"

# Nothing of a test server is to survive the machine, so nothing waits for the disk. The log is written at each commit
# all the same: with 0 a server killed with -9 just after some DDL may not find its way back.
_SETTINGS = {
    "innodb-flush-log-at-trx-commit": "2",
    "innodb-buffer-pool-size": "16M",
    "innodb-log-file-size": "8M",
    "performance-schema": "OFF",
    "skip-log-bin": "",
    "skip-name-resolve": "",
    "character-set-server": "utf8mb4",
    "max-connections": "200",
}


def find_server_program() -> Path:
    """``mariadbd`` or ``mysqld``. Raises `Unavailable`."""
    program = find_program("mariadbd") or find_program("mysqld")
    if program is None:
        raise Unavailable(f"no MariaDB here: make services, or name a running server in {URL_VARIABLE}")
    return program


class MySQLServer:
    """A server for tests, gone when this process is. ``with MySQLServer() as server: ... server.url()``.

    It listens on a free port of 127.0.0.1, and on ``socket``. *settings* are my.cnf's, with hyphens.
    """

    user = "tester"
    host = "127.0.0.1"

    def __init__(self, *, settings: Mapping[str, str] | None = None) -> None:
        self._program = find_server_program()
        self.password = secrets.token_hex(8)
        self.settings = {**_SETTINGS, **(settings or {})}
        self.port = 0
        self._keeper = Keeper("my", unprivileged_user("mysql"))
        self.folder = self._keeper.folder
        self.socket = self.folder / "socket"
        self._data = self.folder / "data"
        try:
            self._initialize()
            self.start()
        except BaseException:
            self.close()
            raise

    def _initialize(self) -> None:
        installer = find_program("mariadb-install-db") or find_program("mysql_install_db")
        if installer is not None:
            self._keeper.run(
                installer, "--no-defaults", f"--datadir={self._data}", "--auth-root-authentication-method=normal",
                "--skip-test-db", "--skip-name-resolve", "--innodb-log-file-size=8M",
            )  # fmt: skip
        else:
            self._keeper.run(self._program, "--no-defaults", "--initialize-insecure", f"--datadir={self._data}")
        script = self.folder / "init.sql"
        script.write_text(
            f"CREATE USER IF NOT EXISTS '{self.user}'@'%' IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL PRIVILEGES ON *.* TO '{self.user}'@'%' WITH GRANT OPTION;\n"
            "CREATE DATABASE IF NOT EXISTS test CHARACTER SET utf8mb4;\n"
        )
        script.chmod(0o644)  # the folder itself is closed to others

    def start(self) -> None:
        """Start, on the same port as before where that is still free; returns when it takes connections."""
        for _ in range(5):
            self.port = self.port or free_port()
            before = len(self._keeper.log)
            options = {
                **self.settings, "datadir": str(self._data), "socket": str(self.socket), "port": str(self.port),
                "bind-address": self.host, "pid-file": str(self.folder / "pid"),
                "init-file": str(self.folder / "init.sql"), "tmpdir": str(self.folder),
            }  # fmt: skip
            settings = [f"--{name}={value}" if value else f"--{name}" for name, value in options.items()]
            self._keeper.start(self._program, "--no-defaults", *settings)
            if wait_until(self._started, "MariaDB's start", timeout=60):
                return
            if "Address already in use" not in self._keeper.log[before:]:
                break
            self.port = 0  # somebody was faster
        raise ServerError(f"MariaDB did not start: {self._keeper.log.strip()}")

    def _started(self) -> bool | None:
        try:
            with socket.create_connection((self.host, self.port), timeout=5) as probe:
                if probe.recv(1):  # its greeting
                    return True
        except OSError:
            pass
        return None if self._keeper.running else False

    def stop(self) -> None:
        """Shut down, ending every session."""
        self._keeper.stop(signal.SIGTERM)

    def kill(self) -> None:
        """End the server and every session of it with -9."""
        self._keeper.stop(signal.SIGKILL)

    def url(self, database: str = "test", *, user: str | None = None, password: str | None = None) -> str:
        """``mysql://...``, as the superuser where nobody else is named."""
        password = self.password if password is None else password
        return f"mysql://{user or self.user}:{password}@{self.host}:{self.port}/{database}"

    @property
    def log(self) -> str:
        return self._keeper.log

    @property
    def pid(self) -> int | None:
        """The process that serves, or None while it does not."""
        return self._keeper.pid

    def close(self) -> None:
        """End it and remove all of its files."""
        self._keeper.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def mysql_url() -> Iterator[str]:
    """A server to use: the one named in `URL_VARIABLE`, else one of our own for the length of the block."""
    named = os.environ.get(URL_VARIABLE)
    if named:
        yield named
        return
    with MySQLServer() as server:
        yield server.url()
