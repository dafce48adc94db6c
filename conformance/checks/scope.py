"""Scopes: which database an alias stands for, and what is left when a request is over."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from backend_sdk import Connections, DatabaseWrapper, Scopes, SupportsAutocommit, SupportsReset, SupportsTransactions

from ..probes import CountingBackend, at_once, in_thread
from ..register import requirement
from ..subject import Subject
from ..verdict import CouldNotRun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend_sdk import Backend


class _Handler:
    """A handler of the check's own, and the scopes over it."""

    def __init__(self) -> None:
        self.connections = Connections()
        self._scopes = Scopes(self.connections)

    @contextmanager
    def scope(self, backend: Backend[Any, Any, Any]) -> Iterator[DatabaseWrapper[Any, Any]]:
        with self._scopes({"default": backend}):
            yield self.connections["default"]


@requirement(
    "SCOPE-001",
    "Scopes with different settings under one alias never see each other's rows, in one thread or in two",
    reason="one process serves many tenants",
    source='the "multi-db" threads of the Django developers\' list; Django ticket 19274',
    level=3,
    after=("LIFE-009", "LIFE-012"),
    blame=("get_connection_params", "get_new_connection"),
    advice="compute the params from the instance's own settings; cache nothing on the class",
)
def tenants_are_apart(subject: Subject) -> None:
    elsewhere = subject.workdir / "other"
    elsewhere.mkdir()
    with Subject(subject.target, elsewhere) as other:
        if other.mapping == subject.mapping:
            raise CouldNotRun("lacks database(): give the backend a test_support that makes one database per check")
        subject.create_table()
        other.TABLE = subject.TABLE
        other.create_table()
        tenants = (subject, other)
        handler = _Handler()

        def serve(number: int) -> None:
            tenant = tenants[number % 2]
            with handler.scope(tenant.backend()) as wrapper:
                tenant.insert(wrapper, number)

        for number in range(4):  # one after the other, in one thread
            serve(number)
        at_once(2, lambda number: serve(10 + number))
        handler.connections.forget_sessions()
        for name, tenant, wanted in (("first", subject, [0, 2, 10]), ("second", other, [1, 3, 11])):
            seen = _numbers(tenant)
            subject.require(seen == wanted, f"the {name} tenant's table holds {seen} instead of {wanted}")


def _numbers(subject: Subject) -> list[int]:
    witness = subject.witness()
    try:
        return [int(row[0]) for row in witness.rows(f"SELECT id FROM {subject.TABLE} ORDER BY id")]
    finally:
        witness.close()


@requirement(
    "SCOPE-002",
    "The end of a scope rolls back what was left open, and the next one starts clean",
    reason="half of a request's work would be committed by the next request",
    source="the contract, section 4: scopes",
    level=3,
    after=("TX-016",),
    blame=("close_connection", "rollback", "reset"),
    advice="commit nowhere but in commit(): neither when closing nor when resetting",
)
def leftovers_are_rolled_back(subject: Subject) -> None:
    subject.needs(SupportsTransactions, SupportsAutocommit)
    subject.create_table()
    for max_age in (0, None):
        backend, handler = subject.backend(CONN_MAX_AGE=max_age), _Handler()
        kept = subject.count_rows()
        with handler.scope(backend) as wrapper:
            wrapper.set_autocommit(False)
            subject.insert(wrapper, 1 if max_age == 0 else 2)
        seen = subject.count_rows() - kept
        subject.require(seen == 0, f"{seen} row(s) that a scope had not committed were there after its end")
        with handler.scope(backend) as wrapper:
            subject.insert(wrapper, 3 if max_age == 0 else 4)
            seen = subject.count_rows() - kept
        subject.require(seen == 1, f"the next scope's one INSERT left {seen} row(s) to be seen at once")
        handler.connections.forget_sessions()


@requirement(
    "SCOPE-003",
    "The next scope with equal settings uses the same session again",
    reason="opening is the dearest part of a short request",
    source="the contract, section 4: scopes",
    level=3,
    after=("POOL-008", "POOL-004"),
    blame=("settings", "reset", "is_broken"),
    advice="leave the fingerprint to the base classes; let reset() succeed on a healthy session",
)
def sessions_are_reused(subject: Subject) -> None:
    subject.needs(SupportsReset)
    query = f"SELECT count(*) FROM {subject.create_table()}"
    handler = _Handler()
    connections: list[Any] = []
    for _ in range(2):
        with handler.scope(subject.backend(CONN_MAX_AGE=60)) as wrapper:
            subject.execute(wrapper, query)
            connections.append(wrapper.connection)
    subject.require(
        connections[0] is connections[1], "the second of two scopes with equal settings opened a session anew"
    )
    handler.connections.forget_sessions()


@requirement(
    "SCOPE-004",
    "At the end of a scope every connection that was opened under it is closed, in whatever thread, unless it is kept",
    reason="what a request leaves open counts against the server's limit",
    source="the contract, section 4: scopes",
    level=3,
    after=("LIFE-001",),
    blame=("close_connection",),
    advice="close_connection ends the driver's session at once, in any thread",
    leased="every one is given back",
)
def all_is_closed(subject: Subject) -> None:
    query = f"SELECT count(*) FROM {subject.create_table()}"
    counting = CountingBackend(subject.backend(CONN_MAX_AGE=0))
    handler = _Handler()
    connections: list[Any] = []

    def use() -> None:
        wrapper = handler.connections["default"]
        subject.execute(wrapper, query)
        connections.append(wrapper.connection)

    scope = Scopes(handler.connections)({"default": counting})
    with scope:
        use()
        in_thread(scope.bind(use))
    subject.require(counting.opens == 2, f"two threads under one scope opened {counting.opens} connection(s)")
    errors = "; ".join(counting.close_errors)
    subject.require(not errors, f"closing at the end of the scope raised {errors}")
    subject.require(counting.closes == 2, f"of 2 connections {counting.closes} were closed at the end of the scope")
    if subject.leases:  # that closing gives it back is CLOSE-001
        return
    for connection in connections:
        try:
            counting.execute_statement(connection, query)
        except counting.errors_for(connection).caught:
            continue
        subject.fail("a connection that was closed at the end of the scope works still")
