"""From open to close."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from conformance.provoke import caught
from conformance.register import requirement
from conformance.verdict import NotApplicable

if TYPE_CHECKING:
    from ..subject import DjangoSubject

OPENING = ("connect", "ensure_connection", "get_new_connection", "init_connection_state", "get_connection_params")
CLOSING = ("close", "_close")
_INWARD = ("connection", "_con")
"""What pools call the connection that they lease: SQLAlchemy's and most, DBUtils'."""
MOST_IDLE = 8
"""What a pool may keep open for one user at a time; some open a few at once, beforehand."""


@requirement(
    "DJLIFE-001",
    "The first cursor opens the connection, a query runs, and close() leaves none",
    reason="there is nothing else to stand on",
    source="Django, BaseDatabaseWrapper.cursor",
    level=1,
    profile="django",
    blame=(*OPENING, "create_cursor", *CLOSING),
)
def opens_and_closes(subject: DjangoSubject) -> None:
    wrapper = subject.wrapper()
    subject.require(wrapper.connection is None, "a new wrapper has a connection", blame="__init__")
    _query(subject, wrapper, "at first")
    wrapper.close()
    subject.require(wrapper.connection is None, "after close() the wrapper still has a connection", blame="close")
    _query(subject, wrapper, "after close()")


def _query(subject: DjangoSubject, wrapper: Any, when: str) -> None:
    """One query in one connection. After it the wrapper may have that one, or none: some pools lease by the query."""
    opened: list[object] = []
    get_new_connection = wrapper.get_new_connection

    def count(params: Any) -> Any:
        opened.append(get_new_connection(params))
        return opened[-1]

    wrapper.get_new_connection = count
    try:
        with wrapper.cursor() as cursor:
            cursor.execute(f"SELECT 1{wrapper.features.bare_select_suffix}")
            found, held = cursor.fetchone()[0], wrapper.connection
    finally:
        del wrapper.get_new_connection
    subject.require(found == 1, f"{when}, SELECT 1 returned {found!r}", blame="create_cursor")
    subject.require(held is not None, f"{when}, a wrapper whose cursor is at work has no connection", blame="connect")
    left = wrapper.connection
    subject.require(left is None or left is held, f"{when}, after its query the wrapper has another connection")
    subject.require(len(opened) <= 1, f"{when}, one query opened {len(opened)} connections", blame="connect")


@requirement(
    "DJLIFE-002",
    "close() is harmless when nothing is open, and twice",
    reason="Django closes at the end of each request, whatever has happened in it",
    source="Django, BaseDatabaseWrapper.close",
    level=1,
    profile="django",
    after=("DJLIFE-001",),
    blame=CLOSING,
)
def closing_twice(subject: DjangoSubject) -> None:
    wrapper = subject.wrapper()
    for moment in ("before anything was opened", "after a query", "for the second time"):
        if moment == "after a query":
            wrapper.ensure_connection()
        error = caught(wrapper.close)
        subject.require(error is None, f"close() {moment} raised {type(error).__name__}: {error}", blame="close")


@requirement(
    "DJLIFE-003",
    "Each open sends connection_created once, with the wrapper, when queries can run",
    reason="applications set roles and search paths there",
    source="Django, signals: connection_created",
    level=1,
    profile="django",
    after=("DJLIFE-001",),
    blame=("connect", "ensure_connection"),
)
def signal(subject: DjangoSubject) -> None:
    from django.db.backends.signals import connection_created

    wrapper = subject.wrapper()
    heard: list[Any] = []

    def receiver(connection: Any, **_named: Any) -> None:
        if connection is wrapper:
            heard.append(subject.scalar(connection, f"SELECT 1{connection.features.bare_select_suffix}"))

    connection_created.connect(receiver)
    try:
        wrapper.ensure_connection()
        wrapper.ensure_connection()
        subject.require(heard == [1], f"connection_created was sent {len(heard)} time(s) for one open", blame="connect")
        wrapper.close()
        wrapper.ensure_connection()
        subject.require(len(heard) == 2, f"two opens sent connection_created {len(heard)} time(s)", blame="connect")
    finally:
        connection_created.disconnect(receiver)


@requirement(
    "DJLIFE-004",
    "Two wrappers never hold one connection of the driver's at the same time",
    reason="two threads' statements in one transaction",
    source="Django docs, databases: connection management",
    level=1,
    profile="django",
    after=("DJLIFE-001",),
    blame=("get_new_connection", "connect"),
)
def connections_of_their_own(subject: DjangoSubject) -> None:
    first, second, third = subject.wrapper(), subject.loose(), subject.loose("other")
    for wrapper in (first, second, third):
        wrapper.ensure_connection()
    held = {id(wrapper.connection) for wrapper in (first, second, third)}
    subject.require(len(held) == 3, "two wrappers hold the same connection of the driver's", blame="get_new_connection")


@requirement(
    "DJLIFE-005",
    "A wrapper of another alias works on that alias's database",
    reason="rows in the wrong database are found months later",
    source="Django docs, multiple databases",
    level=1,
    profile="django",
    after=("DJLIFE-001",),
    blame=("get_connection_params", "get_new_connection"),
)
def databases_apart(subject: DjangoSubject) -> None:
    if not subject.has_two_databases:
        raise NotApplicable("both aliases lead to one database here; give DATABASES.other one of its own")
    subject.create_table("default", "other")
    first, second = subject.wrapper(), subject.wrapper("other")
    subject.insert(first, 1)
    seen = subject.own(second)
    subject.require(seen == 0, f"the alias 'other' sees {seen} row(s) that were written to 'default'")
    subject.insert(second, 2)
    subject.insert(second, 3)
    subject.require_seen(1, "in the database of 'default'")
    subject.require_seen(2, "in the database of 'other'", alias="other")


@requirement(
    "DJLIFE-006",
    "close() in an atomic block breaks the block: nothing runs in a new connection outside of the transaction",
    reason="half of a block would be committed by itself",
    source="Django, BaseDatabaseWrapper.close",
    level=1,
    profile="django",
    after=("DJTX-003",),
    blame=("close", "ensure_connection", "connect", "_cursor", "cursor"),
)
def closing_in_a_block(subject: DjangoSubject) -> None:
    subject.needs_transactions()
    subject.create_table()
    wrapper = subject.wrapper()

    def block() -> None:
        with subject.atomic(wrapper):
            subject.insert(wrapper, 1)
            wrapper.close()
            subject.insert(wrapper, 2)

    error = caught(block)
    subject.require(error is not None, "a statement after close() in an atomic block was run", blame="close")
    subject.require_seen(0, "after a block that was closed in its midst", blame="close")


@requirement(
    "DJLIFE-007",
    "close() ends the session at the database",
    reason="sessions that nobody holds use up the server's limit",
    source="Django docs, databases: persistent connections",
    level=1,
    profile="django",
    after=("DJLIFE-001",),
    blame=("_close", "close", "get_new_connection"),
)
def sessions_end(subject: DjangoSubject) -> None:
    from conformance.probes import settles

    subject.create_table()
    is_pooled = pools(subject)
    before, most = (0, MOST_IDLE) if is_pooled else (subject.sessions(),) * 2
    rounds = 2 * MOST_IDLE if is_pooled else MOST_IDLE
    wrapper = subject.wrapper()
    for _ in range(rounds):
        subject.own(wrapper)
        wrapper.close()
    subject.require(
        settles(lambda: subject.sessions() <= most),
        f"{rounds} opens and closes, one after the other, left {subject.sessions() - before} session(s) open",
        blame="_close",
    )


def pools(subject: DjangoSubject) -> bool:
    """Whether the engine hands a closed wrapper's connection to the next."""
    seen: list[object] = []  # kept alive, so that no other takes the place of one in memory
    for _ in range(5):  # some hand out the one that has waited longest
        wrapper = subject.loose()
        wrapper.ensure_connection()
        held = underlying(wrapper)
        with contextlib.suppress(Exception):
            wrapper.close()
        if any(held is other for other in seen):
            return True
        seen.append(held)
    return bool(getattr(subject.loose(), "pool", None))


def underlying(wrapper: Any) -> Any:
    """The driver's connection, out of what a pool has laid around it, in as many layers as there are."""
    held = wrapper.connection
    for name in _INWARD * 2:
        inner = getattr(held, name, None)
        held = inner if hasattr(inner, "cursor") else held
    return held


@requirement(
    "DJLIFE-008",
    "A failed initialization keeps no connection: the next cursor does not run on a half-made session",
    reason="after a failed SET ROLE the next query runs as the login role",
    source="the contract, section 3: atomic open",
    level=1,
    profile="strict",
    after=("DJLIFE-001",),
    blame=("connect", "ensure_connection"),
    advice="close and forget the connection when init_connection_state raises",
)
def failed_initialization(subject: DjangoSubject) -> None:
    wrapper = subject.wrapper()

    def refuse() -> None:
        raise RuntimeError("refused by the kit")

    wrapper.init_connection_state = refuse
    try:
        caught(wrapper.ensure_connection)
    finally:
        del wrapper.init_connection_state
    found = ["after init_connection_state() raised, the connection is kept"] if wrapper.connection is not None else []
    error = caught(lambda: subject.scalar(wrapper, f"SELECT 1{wrapper.features.bare_select_suffix}"))
    if error is not None:
        found.append(f"after init_connection_state() raised, the next query raised {type(error).__name__}")
    subject.require(not found, "; ".join(found))


@requirement(
    "DJLIFE-009",
    "A failed open leaves nothing behind, and the next attempt can succeed",
    reason="a database that was away for a moment",
    source="Django, BaseDatabaseWrapper.connect",
    level=1,
    profile="django",
    after=("DJLIFE-001",),
    blame=("connect", "get_new_connection", "ensure_connection"),
)
def failed_open(subject: DjangoSubject) -> None:
    wrapper = subject.wrapper()

    def refuse(_params: object) -> None:
        raise subject.cls.Database.OperationalError("refused by the kit")

    wrapper.get_new_connection = refuse
    error = caught(wrapper.ensure_connection)
    del wrapper.get_new_connection
    subject.require(error is not None, "an open that failed raised nothing", blame="connect")
    subject.require(wrapper.connection is None, "after a failed open the wrapper has a connection", blame="connect")
    found = subject.scalar(wrapper, f"SELECT 1{wrapper.features.bare_select_suffix}")
    subject.require(found == 1, f"the open after a failed one returned {found!r}")
