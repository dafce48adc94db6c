"""Cursors: description, rowcount, fetching."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.register import requirement

if TYPE_CHECKING:
    from ..subject import ModuleSubject


@requirement(
    "API-020",
    "A new cursor has description None, rowcount -1 and arraysize 1, and every method that PEP 249 names",
    reason="layers above ask before they have executed anything",
    source="PEP 249, Cursor Objects",
    level=1,
    profile="dbapi",
    after=("API-010",),
)
def new_cursor(subject: ModuleSubject) -> None:
    cursor = subject.connect().cursor()
    for name in (
        "close",
        "execute",
        "executemany",
        "fetchone",
        "fetchmany",
        "fetchall",
        "setinputsizes",
        "setoutputsize",
    ):
        subject.require(callable(getattr(cursor, name, None)), f"the cursor has no {name}()")
    subject.require(cursor.description is None, f"description of a new cursor is {cursor.description!r:.60}")
    subject.require(cursor.rowcount == -1, f"rowcount of a new cursor is {cursor.rowcount!r}")
    subject.require(getattr(cursor, "arraysize", None) == 1, f"arraysize is {getattr(cursor, 'arraysize', None)!r}")


@requirement(
    "API-021",
    "description has seven items per column, the name first, and is None after a statement without rows",
    reason="it is how a caller tells a query from a command, and one column from another",
    source="PEP 249, .description",
    level=1,
    profile="dbapi",
    after=("API-010",),
)
def description(subject: ModuleSubject) -> None:
    connection = subject.table(rows=1)
    cursor = subject.run(connection, f"SELECT id, note FROM {subject.TABLE}")
    columns = cursor.description
    subject.require(columns is not None and len(columns) == 2, f"description of two columns is {columns!r:.80}")
    for column, name in zip(columns or (), ("id", "note"), strict=True):
        subject.require(len(column) == 7, f"a column's description has {len(column)} items instead of 7")
        subject.require(str(column[0]).lower() == name, f"the column {name!r} is described as {column[0]!r}")
    cursor.fetchall()
    cursor.execute(f"UPDATE {subject.TABLE} SET note = 'x' WHERE id = 1")
    subject.require(cursor.description is None, f"description after an UPDATE is {cursor.description!r:.80}")
    cursor.close()


@requirement(
    "API-022",
    "rowcount is the number of rows that INSERT, UPDATE and DELETE have touched",
    reason="optimistic locking and upserts read it",
    source="PEP 249, .rowcount",
    level=1,
    profile="dbapi",
    after=("API-010",),
)
def rowcount(subject: ModuleSubject) -> None:
    connection = subject.table(rows=3)
    cursor = connection.cursor()
    cases = {
        f"INSERT INTO {subject.TABLE} (id, note) VALUES (9, 'x')": 1,
        f"UPDATE {subject.TABLE} SET note = 'x' WHERE id < 4": 3,
        f"UPDATE {subject.TABLE} SET note = 'x' WHERE id = 77": 0,
        f"DELETE FROM {subject.TABLE} WHERE id <= 2": 2,
    }
    for sql, wanted in cases.items():
        cursor.execute(sql)
        subject.require(
            cursor.rowcount == wanted, f"rowcount after {sql.split()[0]} is {cursor.rowcount!r} instead of {wanted}"
        )
    cursor.close()


@requirement(
    "API-023",
    "fetchone() returns the rows one after another, and then None",
    reason="loops end at None",
    source="PEP 249, .fetchone()",
    level=1,
    profile="dbapi",
    after=("API-010",),
)
def fetchone(subject: ModuleSubject) -> None:
    cursor = subject.run(subject.table(rows=2), f"SELECT id FROM {subject.TABLE} ORDER BY id")
    found = [cursor.fetchone() for _ in range(4)]
    plain = [tuple(row) if row is not None else None for row in found]
    subject.require(plain == [(1,), (2,), None, None], f"four calls on two rows returned {plain!r:.100}")
    cursor.close()


@requirement(
    "API-024",
    "fetchmany() returns as many rows as asked, as arraysize says without asking, fewer at the end, and then none",
    reason="readers of large results stop at the first empty list",
    source="PEP 249, .fetchmany()",
    level=1,
    profile="dbapi",
    after=("API-010",),
)
def fetchmany(subject: ModuleSubject) -> None:
    connection = subject.table(rows=5)
    query = f"SELECT id FROM {subject.TABLE} ORDER BY id"
    cursor = subject.run(connection, query)
    sizes = [len(cursor.fetchmany(2)) for _ in range(4)]
    subject.require(sizes == [2, 2, 1, 0], f"fetchmany(2) on five rows returned {sizes} rows")
    cursor.execute(query)
    alone = len(cursor.fetchmany())
    subject.require(alone == 1, f"fetchmany() with arraysize 1 returned {alone} rows")
    cursor.arraysize = 3
    more = len(cursor.fetchmany())
    subject.require(more == 3, f"fetchmany() with arraysize 3 returned {more} rows")
    cursor.fetchall()
    cursor.close()


@requirement(
    "API-025",
    "fetchall() returns all the rows that are left, and then an empty list",
    reason="None in place of an empty list breaks every loop over it",
    source="PEP 249, .fetchall()",
    level=1,
    profile="dbapi",
    after=("API-010",),
)
def fetchall(subject: ModuleSubject) -> None:
    cursor = subject.run(subject.table(rows=3), f"SELECT id FROM {subject.TABLE} ORDER BY id")
    cursor.fetchone()
    rest = cursor.fetchall()
    subject.require(
        rest is not None and [tuple(row) for row in rest] == [(2,), (3,)], f"after one of three rows: {rest!r:.80}"
    )
    again = cursor.fetchall()
    subject.require(again is not None and list(again) == [], f"at the end: {again!r:.60} instead of an empty list")
    cursor.close()


@requirement(
    "API-026",
    "Fetching without a result set raises an Error",
    reason="an empty answer to a question that was never asked hides the mistake",
    source="PEP 249, .fetchone()",
    level=1,
    keyword="SHOULD",
    profile="dbapi",
    after=("API-002", "API-010"),
)
def fetching_nothing(subject: ModuleSubject) -> None:
    connection = subject.table()
    for name in ("fetchone", "fetchmany", "fetchall"):
        cursor = connection.cursor()
        subject.require_error("Error", f"{name}() before any execute()", getattr(cursor, name))
        cursor.close()


@requirement(
    "API-027",
    "A closed cursor raises an Error, and leaves its connection alone",
    reason="a cursor is closed in every with block; the connection must live on",
    source="PEP 249, Cursor.close()",
    level=1,
    profile="dbapi",
    after=("API-002", "API-010"),
)
def closed_cursor(subject: ModuleSubject) -> None:
    connection = subject.table(rows=1)
    cursor = connection.cursor()
    other = connection.cursor()
    cursor.close()
    subject.require_error("Error", "execute() of a closed cursor", lambda: cursor.execute("SELECT 1"))
    subject.require_error("Error", "fetchone() of a closed cursor", cursor.fetchone)
    other.execute(f"SELECT id FROM {subject.TABLE}")
    subject.require(len(other.fetchall()) == 1, "closing one cursor has taken another one's rows")
    other.close()


@requirement(
    "API-028",
    "executemany() runs the statement once for each set of parameters",
    reason="bulk loads",
    source="PEP 249, .executemany()",
    level=1,
    profile="dbapi",
    after=("API-006",),
)
def executemany(subject: ModuleSubject) -> None:
    style = subject.module.paramstyle
    mark = {"qmark": "?", "numeric": ":1", "format": "%s", "named": ":id", "pyformat": "%(id)s"}[style]
    values = [{"id": n} if style in {"named", "pyformat"} else (n,) for n in (1, 2, 3)]
    connection = subject.table()
    cursor = connection.cursor()
    cursor.executemany(f"INSERT INTO {subject.TABLE} (id) VALUES ({mark})", values)
    cursor.close()
    found = subject.rows(connection, f"SELECT id FROM {subject.TABLE} ORDER BY id")
    subject.require(found == [(1,), (2,), (3,)], f"three sets of parameters left {found!r:.80}")


@requirement(
    "API-029",
    "Two cursors of one connection keep their results apart, and see one another's writes",
    reason="they share the transaction; a loop that executes in its body needs both",
    source="PEP 249, Cursor Objects",
    level=1,
    profile="dbapi",
    after=("API-010",),
)
def cursors_apart(subject: ModuleSubject) -> None:
    connection = subject.table(rows=3)
    first = subject.run(connection, f"SELECT id FROM {subject.TABLE} ORDER BY id")
    start = first.fetchone()[0]
    second = subject.run(connection, f"SELECT note FROM {subject.TABLE} ORDER BY id")
    text = second.fetchone()[0]
    subject.require((start, text) == (1, "row 1"), f"two open cursors returned {start!r} and {text!r}")
    following = first.fetchone()
    subject.require(
        following is not None and following[0] == 2, f"a second cursor's query made the first return {following!r}"
    )
    first.close()
    second.close()
    subject.insert(connection, 9).close()
    seen = subject.count(connection)
    subject.require(seen == 4, f"a cursor sees {seen} rows of its own connection's 4")
