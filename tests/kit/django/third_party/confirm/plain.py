"""What the confirming scripts share: Django set up, wrappers made as Django makes them, and the driver's own sessions.

Nothing of the kit is imported here. ``python -m tests.kit.django.third_party.confirm.NAME SETTINGS.json`` runs each
function of the script, in a process of its own, and prints what it returned behind the finding's ID: what the engine
does wrong, or a dash.
"""

from __future__ import annotations

import copy
import importlib
import json
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Bench", "caught", "run"]

PATIENCE = 20
_FINDING = re.compile(r"dj[a-z]+_\d{3}")


class Bench:
    """Django, configured with the settings of the file, and two databases, ``default`` and ``other``."""

    def __init__(self, file: str) -> None:
        given: dict[str, Any] = json.loads(Path(file).read_text())
        engine: str = given["engine"]
        if given["server"] == "mysql":
            importlib.import_module("tests.kit.django.third_party.use_pymysql")
        from django.conf import settings

        databases = {alias: {"ENGINE": engine, **table} for alias, table in given["databases"].items()}
        settings.configure(DATABASES=databases, SECRET_KEY="confirm", USE_TZ=True, **given["settings"])
        importlib.import_module("django").setup()
        self.server: str = given["server"]
        self.django: Any = importlib.import_module("django.db")
        self.cls: Any = importlib.import_module(f"{engine}.base").DatabaseWrapper

    def settings(self, alias: str = "default") -> dict[str, Any]:
        """The dict that every wrapper of *alias* is given."""
        found: dict[str, Any] = self.django.connections.settings[alias]
        return found

    def wrapper(self, alias: str = "default", **changes: Any) -> Any:
        """This thread's wrapper for *alias* from now on."""
        settings = self.settings(alias)
        if changes:
            settings = {**copy.deepcopy(settings), **changes}
        wrapper = self.cls(settings, alias)
        self.django.connections[alias] = wrapper
        return wrapper

    def atomic(self) -> Any:
        return self.django.transaction.atomic()

    def session(self, alias: str = "default") -> Any:
        """A connection of the driver's own, in autocommit."""
        table = self.settings(alias)
        if not self.server:
            return importlib.import_module("sqlite3").connect(table["NAME"], isolation_level=None)
        name, host, user, password = (table[key] for key in ("NAME", "HOST", "USER", "PASSWORD"))
        if self.server == "mysql":
            connect = importlib.import_module("pymysql").connect
            return connect(
                host=host, port=int(table["PORT"]), user=user, password=password, database=name, autocommit=True
            )
        connect = importlib.import_module("psycopg").connect
        return connect(host=host, port=table["PORT"], user=user, password=password, dbname=name, autocommit=True)

    def own(self, sql: str, alias: str = "default") -> Any:
        """The first value that *sql* gives in a session of the driver's own; None where it gives none."""
        with closing(self.session(alias)) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(sql)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    @contextmanager
    def table(self, *aliases: str) -> Iterator[Callable[..., int]]:
        """A table ``confirmed`` in each database; yields what tells how many rows another session sees in it."""
        for alias in aliases or ("default",):
            self.own("CREATE TABLE confirmed (id INTEGER PRIMARY KEY)", alias)
        try:
            yield lambda alias="default": int(self.own("SELECT count(*) FROM confirmed", alias))
        finally:
            for alias in aliases or ("default",):
                self.own("DROP TABLE IF EXISTS confirmed", alias)

    def kill(self, wrapper: Any) -> None:
        """End the wrapper's session from outside."""
        number = {"postgresql": "pg_backend_pid()", "mysql": "connection_id()"}[self.server]
        session = query(wrapper, f"SELECT {number}")
        self.own(f"SELECT pg_terminate_backend({session}, 5000)" if self.server == "postgresql" else f"KILL {session}")


def query(wrapper: Any, sql: str) -> Any:
    """*sql* by a cursor of the wrapper's; the first value, where there is one."""
    with wrapper.cursor() as cursor:
        cursor.execute(sql)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def caught(call: Callable[[], object]) -> BaseException | None:
    """What *call* raises."""
    try:
        call()
    except BaseException as error:
        return error
    return None


def kind(error: BaseException | None) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"


def run(functions: Mapping[str, Any]) -> None:
    """Every function with the name of a finding; the settings are in the file named on the command line."""
    bench = Bench(sys.argv[1])
    for name, function in functions.items():
        if _FINDING.fullmatch(name):
            print(f"{name.upper().replace('_', '-')}: {_apart(function, bench)}", flush=True)
    assert "conformance" not in sys.modules, "a confirmation without the kit was wanted"


def _apart(function: Callable[[Bench], str], bench: Bench) -> str:
    """What *function* returns, from a fork: a pool is kept for as long as its process."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(PATIENCE)
        try:
            said = function(bench) or "-"
        except BaseException:
            said = f"! {traceback.format_exc()}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        said = stream.read().decode()
    os.waitpid(pid, 0)
    return " ".join(said.split()) or f"! no answer in {PATIENCE} s"
