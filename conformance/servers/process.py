"""Server programs that cannot outlive the process that started them, not even when that is killed with -9.

`Keeper` starts this very file as a second process, which owns one temporary folder and at most one server
program at a time. It reads orders from a pipe; when the pipe ends, for whatever reason, it kills the program
with all of its children and removes the folder. Needs nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar, cast

__all__ = ["Keeper", "ServerError", "Unavailable", "find_program", "free_port", "unprivileged_user", "wait_until"]

R = TypeVar("R")


class ServerError(Exception):
    """A server did not start, or did something else that it must not."""


class Unavailable(ServerError, OSError):
    """The machine has not got the program."""


def find_program(name: str, folders: Iterable[str | Path] = ()) -> Path | None:
    """The program *name* in one of *folders*, else on the path, else where system programs are."""
    for folder in (*folders, *os.get_exec_path(), "/usr/sbin", "/usr/local/sbin", "/sbin"):
        candidate = Path(folder) / name
        if os.access(candidate, os.X_OK) and not candidate.is_dir():
            return candidate
    return None


def unprivileged_user(*preferred: str) -> str | None:
    """Whom a server is to run as: nobody else where we are not root (None), else the first that exists."""
    if os.getuid() != 0:
        return None
    for name in (*preferred, "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise Unavailable("no unprivileged user to run a server as; add one named nobody")


def free_port() -> int:
    """A port that nobody listens on now. Somebody may take it before it is used: start again then."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return cast("int", probe.getsockname()[1])


def wait_until(attempt: Callable[[], R | None], what: str, timeout: float = 30.0) -> R:
    """The first result of *attempt* that is not None. Raises `ServerError`, which says *what* was awaited."""
    deadline = time.monotonic() + timeout
    while True:
        result = attempt()
        if result is not None:
            return result
        if time.monotonic() > deadline:
            raise ServerError(f"{what}: not within {timeout:g} s")
        time.sleep(0.01)  # asking once more, not hoping that it was long enough


class Keeper:
    """One temporary folder and the server program in it, both gone when this process is.

    *user*: whom the programs run as and the folder belongs to; None is the present one.
    """

    def __init__(self, prefix: str, user: str | None = None) -> None:
        account = pwd.getpwnam(user) if user is not None else None
        self.folder = folder = Path(tempfile.mkdtemp(prefix=f"{prefix}-"))
        self.pid: int | None = None
        self._maker = os.getpid()
        self._process: subprocess.Popen[str] | None = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C ends the tests, which end this
            cwd="/",
        )
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
        self._ids = (account.pw_uid, account.pw_gid) if account is not None else None

    @property
    def log(self) -> str:
        """What the programs have printed so far."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def run(self, *command: str | Path, environment: Mapping[str, str] | None = None) -> None:
        """Run a program to its end. Raises `ServerError` with what it printed if it fails."""
        before = len(self.log)
        code = self._order("run", command, environment)["code"]
        if code != 0:
            raise ServerError(f"{Path(command[0]).name} failed ({code}): {self.log[before:].strip()}")

    def start(self, *command: str | Path, environment: Mapping[str, str] | None = None) -> None:
        """Start the server program."""
        self.pid = cast("int", self._order("start", command, environment)["pid"])

    @property
    def running(self) -> bool:
        return self._process is not None and bool(self._order("running")["running"])

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Signal the server program and wait until it has ended. With SIGKILL its children go with it."""
        self._order("stop", number=number)
        self.pid = None

    def close(self) -> None:
        """Kill what runs and remove the folder; returns when both are gone. May be called again, also by a fork."""
        process = self._process
        if process is None or os.getpid() != self._maker:
            return
        # Said in so many words: the pipe does not end while a fork of this process holds its end too.
        with contextlib.suppress(OSError):
            cast("IO[str]", process.stdin).write('{"order": "close"}\n')
            cast("IO[str]", process.stdin).close()
        cast("IO[str]", process.stdout).close()
        process.wait()
        self._process = self.pid = None

    def _order(
        self,
        order: str,
        command: Sequence[str | Path] = (),
        environment: Mapping[str, str] | None = None,
        *,
        number: int = 0,
    ) -> dict[str, Any]:
        process = self._process
        if process is None:
            raise ServerError("the server was closed")
        message = {
            "order": order,
            "command": [str(part) for part in command],
            "environment": dict(environment or {}),
            "ids": self._ids,
            "signal": int(number),
        }
        stdin, stdout = cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)
        stdin.write(json.dumps(message) + "\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            raise ServerError("the process that keeps the server is gone")
        return cast("dict[str, Any]", json.loads(answer))


# The other side: what runs in the second process.


def _keep(folder: Path) -> None:
    """Carry out the orders that arrive on stdin; at its end leave nothing."""
    server: subprocess.Popen[bytes] | None = None
    try:
        for line in sys.stdin:
            message = json.loads(line)
            answer: dict[str, object] = {}
            match message["order"]:
                case "run":
                    answer["code"] = _spawn(folder, message).wait()
                case "start":
                    server = _spawn(folder, message)
                    answer["pid"] = server.pid
                case "running":
                    answer["running"] = server is not None and server.poll() is None
                case "close":
                    break
                case "stop" if server is not None:
                    _stop(server, message["signal"])
                case _:
                    pass
            print(json.dumps(answer), flush=True)
    finally:
        if server is not None:
            _stop(server, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def _spawn(folder: Path, message: dict[str, Any]) -> subprocess.Popen[bytes]:
    user, group = message["ids"] or (None, None)
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            message["command"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env={"PATH": os.defpath, "LC_ALL": "C", "HOME": str(folder), "TZ": "UTC", **message["environment"]},
            user=user,
            group=group,
            extra_groups=None if user is None else [],
        )


def _stop(server: subprocess.Popen[bytes], number: int) -> None:
    family = _descendants(server.pid) if number == signal.SIGKILL else []
    if server.poll() is None:
        server.send_signal(number)
    for pid in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    server.wait()


def _descendants(ancestor: int) -> list[int]:
    """The children of *ancestor* and theirs. Where there is no /proc: none; they notice the loss by themselves."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # pid (name) state parent ...; a name may hold spaces and parentheses.
            parents[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
    family = [ancestor]
    for pid in family:
        family += [child for child, parent in parents.items() if parent == pid]
    return family[1:]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # asked to stop by whoever stops everything: the pipe will end
    _keep(Path(sys.argv[1]))
