"""Django, with no alias of its own, and databases to wrap: a file, or one of the test's own on a server."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import pytest

from backend_sdk import parse_url

pytest.importorskip("django")

from django.conf import settings as django_settings

if not django_settings.configured:
    django_settings.configure(DATABASES={})

import django
from django.apps import apps
from django.db import connections

if not apps.ready:
    django.setup()

from reference_backends.django_pooled import pool_of
from reference_backends.django_pooled.base import DatabaseWrapper
from reference_backends.django_pooled.sessions import DjangoPool
from reference_backends.pooled import default_pools

__all__ = ["Database", "DatabaseWrapper", "database", "execute", "pool_of", "scalar"]

DEFAULTS: dict[str, Any] = {
    "ATOMIC_REQUESTS": False, "AUTOCOMMIT": True, "CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": False, "TIME_ZONE": None,
    "NAME": "", "USER": "", "PASSWORD": "", "HOST": "", "PORT": "",
    "TEST": {"CHARSET": None, "COLLATION": None, "MIGRATE": False, "MIRROR": None, "NAME": None},
}  # fmt: skip


class Database:
    """An alias's settings, and wrappers made of them as Django does."""

    def __init__(self, wraps: str, **settings: Any) -> None:
        self.wraps = f"django.{'contrib.gis.' * (wraps == 'postgis')}db.backends.{wraps}"
        self.settings: dict[str, Any] = {**DEFAULTS, "ENGINE": "reference_backends.django_pooled", **settings}
        self.made: list[Any] = []

    def wrapper(self, alias: str = "default", *, pool: dict[str, Any] | None = None, **options: Any) -> Any:
        """A new one, this thread's for *alias*; *options* are the wrapped engine's, *pool* the pool's."""
        given = {"WRAPS": self.wraps, "POOL": {"timeout": 5, **(pool or {})}, **options}
        wrapper: Any = DatabaseWrapper({**self.settings, "OPTIONS": given}, alias)
        connections[alias] = wrapper
        self.made.append(wrapper)
        return wrapper

    def close(self) -> None:
        for wrapper in self.made:
            wrapper.inc_thread_sharing()
            wrapper.in_atomic_block = False
            wrapper.close()
        self.made.clear()
        for pool in default_pools().pools:
            if isinstance(pool, DjangoPool):
                pool.close()


def scalar(wrapper: Any, statement: str) -> Any:
    with wrapper.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]


def execute(wrapper: Any, statement: str) -> None:
    with wrapper.cursor() as cursor:
        cursor.execute(statement)


@contextmanager
def database(wraps: str, folder: Path, url_of: Callable[[str], str]) -> Iterator[Database]:
    """One of its own for a test. *url_of* gives the running server for a fixture's name."""
    if wraps == "sqlite3":
        made = Database(wraps, NAME=str(folder / "test.db"))
        yield made
        made.close()
        return
    if wraps == "mysql":
        _mysql_driver()
    server = parse_url(url_of("postgresql_url" if wraps == "postgis" else f"{wraps}_url"))
    place: dict[str, Any] = {key: server[key] for key in ("USER", "PASSWORD", "HOST", "PORT") if key in server}
    admin = Database(wraps, **{**place, "NAME": "mysql" if wraps == "mysql" else "postgres"}).wrapper("admin")
    name = f"django_{secrets.token_hex(4)}"
    execute(admin, f"CREATE DATABASE {name}")
    made = Database(wraps, **{**place, "NAME": name})
    try:
        yield made
    finally:
        made.close()
        execute(admin, f"DROP DATABASE {name}" + ("" if wraps == "mysql" else " WITH (FORCE)"))
        admin.close()


def _mysql_driver() -> None:
    """mysqlclient where it is, PyMySQL in its place elsewhere."""
    if "MySQLdb" not in sys.modules and find_spec("MySQLdb") is None:
        pymysql: Any = pytest.importorskip("pymysql")
        pymysql.version_info = (2, 2, 1, "final", 0)  # what Django asks for
        pymysql.install_as_MySQLdb()
        assert sys.modules["MySQLdb"] is pymysql
        # Its parts too: `import MySQLdb.err` would else load them anew, and put that copy in the place of `pymysql.err`
        # for every other test of this process.
        for part in walk_packages(pymysql.__path__, "pymysql."):
            sys.modules[part.name.replace("pymysql", "MySQLdb", 1)] = import_module(part.name)
