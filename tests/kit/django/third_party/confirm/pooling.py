"""Confirmations that several pools share."""

from __future__ import annotations

import gc
from typing import Any

from .plain import Bench, caught, kind, query

__all__ = [
    "cursor_outlives_the_lease",
    "dropped_wrappers",
    "exhaustion",
    "keyed_by_alias",
    "refused_opens",
    "temporary_tables",
]


def cursor_outlives_the_lease(bench: Bench) -> str:
    """A cursor that was opened before close() runs in the session of the connection's next owner."""
    leaver = bench.wrapper()
    held = leaver.cursor()
    held.execute("SELECT 1")
    held.fetchall()
    leaver.close()
    following = bench.wrapper()
    with following.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE secrets (word VARCHAR(10))")
        cursor.execute("INSERT INTO secrets VALUES ('next')")

    def read() -> None:
        held.execute("SELECT word FROM secrets")

    if caught(read) is not None:
        return ""
    (word,) = held.fetchone()
    return f"the last owner's cursor read {word!r} from the next owner's temporary table"


def temporary_tables(bench: Bench) -> str:
    leaver = bench.wrapper()
    query(leaver, "CREATE TEMPORARY TABLE leftover (id INTEGER)")
    leaver.close()
    error = caught(lambda: query(bench.wrapper(), "SELECT count(*) FROM leftover"))
    return "" if error else "the next owner sees the last one's temporary table"


def keyed_by_alias(bench: Bench) -> str:
    """Another NAME under the same alias, as a test runner or a tenant would set it."""
    question = "SELECT current_database()" if bench.server == "postgresql" else "SELECT database()"
    first = bench.wrapper()
    query(first, question)
    first.close()
    wanted = bench.settings("other")["NAME"]
    found = query(bench.wrapper(NAME=wanted), question)
    return "" if found == wanted else "a wrapper with another NAME works on the alias's first database"


def exhaustion(bench: Bench, most: int = 12) -> str:
    """More wrappers at once than the pool has connections."""
    kept: list[Any] = []

    def take_all() -> None:
        for _ in range(most):
            kept.append(bench.cls(bench.settings(), "default"))
            kept[-1].ensure_connection()

    error = caught(take_all)
    if error is None or isinstance(error, bench.django.Error):
        return ""
    return f"with no connection left, ensure_connection() raised {kind(error)}"


def dropped_wrappers(bench: Bench, most: int = 12) -> str:
    """Wrappers that nobody closes, as of threads that have ended, one after the other."""

    def drop_often() -> None:
        for _ in range(most):
            query(bench.cls(bench.settings(), "default"), "SELECT 1")
            gc.collect()

    error = caught(drop_often)
    return "" if error is None else f"after a few wrappers were dropped without close(), an open raised {kind(error)}"


def refused_opens(bench: Bench, rounds: int = 12) -> str:
    """The server ends a session, and then cannot be reached for a moment, again and again."""
    driver = bench.cls.Database
    connect = driver.connect

    def refuse(*_arguments: object, **_named: object) -> None:
        raise driver.OperationalError("away")

    def fail_often() -> None:
        for _ in range(rounds):
            dying, refused = (bench.cls(bench.settings(), "default") for _ in range(2))
            dying.ensure_connection()
            bench.kill(dying)
            caught(dying.close)
            driver.connect = refuse
            caught(refused.ensure_connection)
            driver.connect = connect

    error = caught(fail_often)
    return "" if error is None else f"after a few refused opens the server is back, and one more raised {kind(error)}"
