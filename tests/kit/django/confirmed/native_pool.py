"""What the kit finds in Django's own PostgreSQL pool, shown by Django alone: ``native_pool.py URL``, a line each."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from typing import Any
from urllib.parse import unquote, urlsplit

from django.conf import settings

url = urlsplit(sys.argv[1])
database: dict[str, Any] = {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": url.path.strip("/"),
    "HOST": url.hostname,
    "PORT": str(url.port),
    "USER": unquote(url.username or ""),
    "PASSWORD": unquote(url.password or ""),
}
pool = {"min_size": 1, "max_size": 1, "timeout": 3.0}
settings.configure(
    DATABASES={
        "default": {**database, "OPTIONS": {"pool": pool}},
        "role": {**database, "OPTIONS": {"pool": pool, "assume_role": "pg_monitor"}},
        "role_alone": {**database, "OPTIONS": {"assume_role": "pg_monitor"}},
    }
)

import django  # noqa: E402 - it reads the settings

django.setup()

from django import db  # noqa: E402
from django.db.backends.postgresql.base import DatabaseWrapper  # noqa: E402

connections: Any = db.connections
OperationalError = db.OperationalError


def the_first_wrapper_is_kept() -> bool:
    """A thread's wrapper, closed as it should be; the thread has ended."""
    made: list[weakref.ref[Any]] = []

    def work() -> None:
        wrapper = connections["default"]
        with wrapper.cursor() as cursor:
            cursor.execute("SELECT 1")
        wrapper.close()
        made.append(weakref.ref(wrapper))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    del thread
    gc.collect()
    return made[0]() is not None


def a_cursor_reads_on_after_close() -> bool:
    first = DatabaseWrapper(connections.settings["default"], "default")
    cursor = first.cursor()
    cursor.execute("SELECT pg_backend_pid()")
    session = cursor.fetchone()[0]
    first.close()
    second = DatabaseWrapper(connections.settings["default"], "default")
    with second.cursor() as of_the_next_owner:
        of_the_next_owner.execute("SELECT pg_backend_pid()")
        same = of_the_next_owner.fetchone()[0] == session
        cursor.execute("SELECT pg_backend_pid()")
        found = cursor.fetchone()[0]
    second.close()
    return bool(same and found == session)


def a_dropped_connection_is_lost_to_the_pool() -> bool:
    wrapper = DatabaseWrapper(connections.settings["default"], "default")
    wrapper.ensure_connection()
    del wrapper
    gc.collect()
    try:
        DatabaseWrapper(connections.settings["default"], "default").ensure_connection()
    except OperationalError as error:
        return "couldn't get a connection" in str(error)
    return False


def a_role_cannot_be_assumed() -> bool:
    with connections["role_alone"].cursor() as cursor:  # the role is there, and without a pool it works
        cursor.execute("SELECT current_user")
        assert cursor.fetchone()[0] == "pg_monitor"
    try:
        connections["role"].ensure_connection()
    except OperationalError as error:
        return "couldn't get a connection" in str(error)
    return False


for defect in (
    the_first_wrapper_is_kept,
    a_cursor_reads_on_after_close,
    a_role_cannot_be_assumed,
    a_dropped_connection_is_lost_to_the_pool,  # the last: the pool is empty afterwards
):
    print(f"{defect.__name__}: {'yes' if defect() else 'no'}")
