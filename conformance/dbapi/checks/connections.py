"""Connections and transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.register import requirement

if TYPE_CHECKING:
    from ..subject import ModuleSubject


@requirement(
    "API-010",
    "connect() returns a connection that has close, commit, rollback and cursor, and runs a query",
    reason="there is nothing else to stand on",
    source="PEP 249, Connection Objects",
    level=1,
    profile="dbapi",
)
def connects(subject: ModuleSubject) -> None:
    connection = subject.connect()
    for name in ("close", "commit", "rollback", "cursor"):
        subject.require(callable(getattr(connection, name, None)), f"the connection has no {name}()")
    found = subject.rows(connection, "SELECT 1")
    subject.require(found == [(1,)], f"SELECT 1 returned {found!r:.60}")
    connection.close()


@requirement(
    "API-011",
    "What was written is seen by others after commit(), and not before",
    reason="autocommit must be off initially; code that counts on rollback() loses data otherwise",
    source="PEP 249, .commit()",
    level=1,
    profile="dbapi",
    after=("API-010",),
)
def commits(subject: ModuleSubject) -> None:
    connection = subject.table()
    subject.insert(connection, 1).close()
    seen = subject.seen_by_another()
    subject.require(seen == 0, f"before commit() another connection sees {seen} row(s)", advice="autocommit starts off")
    connection.commit()
    seen = subject.seen_by_another()
    subject.require(seen == 1, f"after commit() another connection sees {seen} row(s) instead of 1")


@requirement(
    "API-012",
    "rollback() undoes everything since the last commit()",
    reason="half of a transfer is worse than none",
    source="PEP 249, .rollback()",
    level=1,
    profile="dbapi",
    after=("API-010", "API-011"),
)
def rolls_back(subject: ModuleSubject) -> None:
    connection = subject.table()
    subject.insert(connection, 1).close()
    connection.rollback()
    own = subject.count(connection)
    subject.require(own == 0, f"after rollback() the connection itself sees {own} row(s)")
    connection.commit()
    seen = subject.seen_by_another()
    subject.require(seen == 0, f"after rollback() another connection sees {seen} row(s)")


@requirement(
    "API-013",
    "close() without commit() rolls back",
    reason="a crash on the way to the commit must not commit half of the work",
    source="PEP 249, .close()",
    level=1,
    profile="dbapi",
    after=("API-010", "API-011"),
)
def closing_rolls_back(subject: ModuleSubject) -> None:
    connection = subject.table()
    subject.insert(connection, 1).close()
    connection.close()
    seen = subject.seen_by_another()
    subject.require(seen == 0, f"after close() without commit() another connection sees {seen} row(s)")


@requirement(
    "API-014",
    "A closed connection, and a cursor of it, raise an Error",
    reason="what is not refused is lost in silence",
    source="PEP 249, .close()",
    level=1,
    profile="dbapi",
    after=("API-002", "API-010"),
)
def closed_connections_refuse(subject: ModuleSubject) -> None:
    connection = subject.connect()
    cursor = connection.cursor()
    connection.close()
    subject.require_error("Error", "cursor() of a closed connection", lambda: connection.cursor().execute("SELECT 1"))
    subject.require_error("Error", "commit() of a closed connection", connection.commit)
    subject.require_error("Error", "execute() of a cursor of a closed connection", lambda: cursor.execute("SELECT 1"))


@requirement(
    "API-015",
    "The database's errors are the module's: DatabaseError for a wrong statement, IntegrityError for a duplicate key",
    reason="what is not an Error is caught by nobody, and a duplicate key is dealt with by many",
    source="PEP 249, Exceptions",
    level=1,
    profile="dbapi",
    after=("API-002", "API-010"),
)
def errors_are_the_modules(subject: ModuleSubject) -> None:
    connection = subject.table(rows=1)
    subject.require_error("DatabaseError", "a wrong statement", lambda: subject.run(connection, "SELEKT 1"))
    connection.rollback()
    subject.require_error(
        "DatabaseError", "a missing table", lambda: subject.run(connection, "SELECT 1 FROM no_such_table")
    )
    connection.rollback()
    subject.require_error("IntegrityError", "a duplicate key", lambda: subject.insert(connection, 1))
    connection.rollback()
