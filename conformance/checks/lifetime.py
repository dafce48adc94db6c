"""Lifetime: when a connection is too old, and what happens when its session is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backend_sdk import (
    ConnectionClosedError,
    DatabaseWrapper,
    Error,
    SupportsDisconnect,
    SupportsIsBroken,
    SupportsPing,
    SupportsTransactions,
    SupportsTransactionStatus,
)

from ..probes import CountingBackend, opened, settles
from ..register import requirement, untested
from ..verdict import NotApplicable

if TYPE_CHECKING:
    from ..subject import AnyBackend, AnyWrapper, Subject


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _works(subject: Subject, view: AnyBackend, connection: Any) -> bool:
    try:
        view.execute_statement(connection, f"SELECT count(*) FROM {subject.TABLE}")
    except view.errors_for(connection).caught:
        return False
    return True


def _needs_a_look(subject: Subject) -> None:
    if not subject.has(SupportsPing) and not subject.has(SupportsIsBroken):
        raise NotApplicable("the backend declares neither SupportsPing nor SupportsIsBroken")


def _dead_wrapper(subject: Subject, **changes: Any) -> tuple[AnyWrapper, Any]:
    """A wrapper whose session was ended from outside, and its connection."""
    subject.create_table()
    wrapper = subject.wrapper(**changes)
    connection = wrapper.connection
    wrapper.close_if_unusable_or_obsolete()
    subject.terminate(connection)
    return wrapper, connection


@requirement(
    "AGE-001",
    "A connection is kept up to its maximal age and closed at the end of the use in which it has reached it",
    reason="servers, proxies and firewalls drop what is old",
    source="Django's CONN_MAX_AGE",
    level=1,
    after=("LIFE-001",),
    blame=("close_connection", "__init__"),
    advice="keep the settings as they are given; close_connection ends the driver's session",
    leased="CONN_MAX_AGE is 0 there: it is given back at the end of each use, and its age is the pool's business",
)
def max_age(subject: Subject) -> None:
    subject.create_table()
    if subject.leases:
        return _given_back_after_use(subject)
    return _max_age(subject)


def _given_back_after_use(subject: Subject) -> None:
    backend = subject.backend(CONN_MAX_AGE=60)
    wrapper = DatabaseWrapper(backend, clock=Clock())
    wrapper.connect()
    wrapper.close_if_unusable_or_obsolete()
    subject.require(
        not wrapper.is_open,
        "a lease was kept at the end of its use, since CONN_MAX_AGE said so",
        blame="__init__",
        advice="a pool's own copy of the settings has CONN_MAX_AGE 0",
    )


def _max_age(subject: Subject) -> None:
    clock = Clock()
    counting = CountingBackend(subject.backend(CONN_MAX_AGE=60))
    wrapper = DatabaseWrapper(counting, clock=clock)
    first = wrapper.connection
    clock.now += 59
    wrapper.close_if_unusable_or_obsolete()
    subject.require(wrapper.connection is first, "a connection of 59 s was not kept for its 60 s")
    clock.now += 2
    wrapper.close_if_unusable_or_obsolete()
    subject.require(counting.closes == 1, "a connection of 61 s was kept although its maximal age is 60 s")
    subject.require(
        not _works(subject, counting, first),
        "a connection past its age was closed and works still",
        blame="close_connection",
    )
    subject.execute(wrapper, f"SELECT count(*) FROM {subject.TABLE}")
    subject.require(counting.opens == 2, f"the next use opened {counting.opens - 1} connections instead of 1")
    wrapper.close()


@requirement(
    "AGE-002",
    "A health check replaces a connection whose session is gone, before it is used",
    reason="after a restart of the server each worker would fail once",
    source="Django's CONN_HEALTH_CHECKS",
    level=1,
    after=("AGE-003",),
    blame=("get_new_connection", "__init__"),
    advice="get_new_connection opens anew at each call",
)
def health_check(subject: Subject) -> None:
    _needs_a_look(subject)
    wrapper, dead = _dead_wrapper(subject, CONN_MAX_AGE=None, CONN_HEALTH_CHECKS=True)
    try:
        subject.execute(wrapper, f"SELECT count(*) FROM {subject.TABLE}")
    except Error as error:
        subject.fail(f"the use after the loss met the dead connection: {error}")
    subject.require(wrapper.connection is not dead, "the dead connection was not replaced")
    wrapper.close()


@requirement(
    "AGE-003",
    "A connection whose session is gone is not usable, and a healthy one is",
    reason="what is dead would be handed on; what is healthy would be opened again for each use",
    source="Django's is_usable()",
    level=1,
    after=("LIFE-001",),
    blame=("ping", "is_broken"),
    advice="ping() makes a round trip and raises; is_broken() looks locally",
)
def usable(subject: Subject) -> None:
    _needs_a_look(subject)
    healthy = subject.wrapper()
    healthy.connect()
    subject.require(healthy.is_usable(), "is_usable() of a healthy connection is False")
    healthy.close()
    wrapper, _ = _dead_wrapper(subject, CONN_MAX_AGE=None)
    subject.require(
        settles(lambda: not wrapper.is_usable()), "is_usable() of a connection whose session is gone is True"
    )


@requirement(
    "AGE-004",
    "ping raises the driver's error when the session is gone",
    reason="a ping that answers without asking keeps dead connections in a pool",
    source="the contract, section 2: SupportsPing",
    level=1,
    after=("LIFE-001",),
    blame=("ping",),
    advice="send a statement that costs nothing and let its error out",
)
def ping_raises(subject: Subject) -> None:
    subject.needs(SupportsPing)
    view = subject.view()
    with opened(view) as connection:
        view.ping(connection)
        subject.terminate(connection)

        def raises() -> bool:
            try:
                view.ping(connection)
            except view.errors_for(connection).caught:
                return True
            return False

        subject.require(settles(raises), "it returned as if all were well")


@requirement(
    "AGE-005",
    "ping does not reconnect",
    reason="the new session has none of the state, locks and temporary tables of the old one, and nobody is told",
    source="PyMySQL's Connection.ping(reconnect=...)",
    level=1,
    after=("AGE-004",),
    blame=("ping",),
    advice="switch the driver's reconnecting off (PyMySQL: ping(reconnect=False))",
)
def ping_does_not_reconnect(subject: Subject) -> None:
    subject.needs(SupportsPing)
    subject.create_table()
    view = subject.view()
    with opened(view) as connection:
        subject.terminate(connection)
        try:
            view.ping(connection)
        except view.errors_for(connection).caught:
            pass
        revived = _works(subject, view, connection)
    subject.require(not revived, "after a ping that raised, the dead connection runs statements again")


@requirement(
    "AGE-006",
    "ping changes nothing: an open transaction stays open, and none is begun",
    reason="it is sent between two uses, and in the middle of one",
    source="the contract, section 2: SupportsPing",
    level=1,
    after=("LIFE-001",),
    blame=("ping",),
    advice="neither commit nor roll back in ping(); in autocommit a plain SELECT leaves nothing",
)
def ping_changes_nothing(subject: Subject) -> None:
    subject.needs(SupportsPing)
    table = subject.create_table()
    view = subject.view()
    with opened(view) as connection:
        if subject.has(SupportsTransactions):
            view.begin(connection)
            view.execute_statement(connection, f"INSERT INTO {table} (id, note) VALUES (1, 'row')")
            view.ping(connection)
            subject.require(subject.count_rows() == 0, "it committed an open transaction")
            view.commit(connection)
            subject.require(subject.count_rows() == 1, "it rolled an open transaction back")
        view.ping(connection)
        if subject.has(SupportsTransactionStatus):
            status = view.transaction_status(connection)
            subject.require(status.value == "idle", f"after it an idle session is {status.value!r}")
        before = subject.count_rows()
        view.execute_statement(connection, f"INSERT INTO {table} (id, note) VALUES (2, 'row')")
        subject.require(subject.count_rows() == before + 1, "after it a statement was not committed at once")


@requirement(
    "AGE-007",
    "is_broken sees that the session is gone, and calls no healthy one broken",
    reason="a pool asks it before each lease",
    source="the contract, section 2: SupportsIsBroken",
    level=1,
    after=("LIFE-001",),
    blame=("is_broken",),
    advice="ask the driver; where it does not notice by itself, look at the socket with a zero timeout",
)
def broken(subject: Subject) -> None:
    subject.needs(SupportsIsBroken)
    subject.create_table()
    view = subject.view()
    with opened(view) as connection:
        view.execute_statement(connection, f"SELECT count(*) FROM {subject.TABLE}")
        subject.require(view.is_broken(connection) is False, "a healthy connection is called broken")
        subject.terminate(connection)
        seen = settles(lambda: view.is_broken(connection) is True)
        subject.require(seen, "a connection whose session is gone is not called broken")


@requirement(
    "AGE-008",
    "is_disconnect says yes to the error of a dead session, and no to that of a wrong statement",
    reason="on yes the connection is dropped, with all that hangs on it",
    source="SQLAlchemy's Dialect.is_disconnect()",
    level=1,
    after=("LIFE-001",),
    blame=("is_disconnect",),
    advice="look at the driver's error class and its code, as far as it tells",
)
def disconnect(subject: Subject) -> None:
    subject.needs(SupportsDisconnect)
    subject.create_table()
    view = subject.view()

    def said_of(connection: Any, table: str) -> bool | None:
        try:
            view.execute_statement(connection, f"SELECT count(*) FROM {table}")
        except view.errors_for(connection).caught as error:
            return bool(view.is_disconnect(error))
        return None

    with opened(view) as connection:
        said = said_of(connection, f"{subject.TABLE}_missing")
        subject.require(said is False, "the error of a statement on a missing table counts as a disconnect")
        subject.terminate(connection)
        answers: list[bool | None] = []

        def said_at_last() -> bool:
            answers.append(said_of(connection, subject.TABLE))
            return answers[-1] is not None

        subject.require(settles(said_at_last), "a statement on a dead session raised nothing", blame="_cursor")
        subject.require(
            answers[-1] is True, "the error of a statement on a dead session does not count as a disconnect"
        )


@requirement(
    "AGE-009",
    "A session that dies inside a block is not replaced in it: the block fails and nothing of it is kept",
    reason="the second half of the block would run alone, outside of any transaction",
    source="the contract, section 3: transactions, lifetime",
    level=1,
    after=("TX-002",),
    blame=("_cursor", "begin"),
    advice="never open a connection in _cursor; switch the driver's reconnecting off",
)
def not_replaced_in_block(subject: Subject) -> None:
    subject.needs(SupportsTransactions)
    subject.support("terminate")
    subject.create_table()
    wrapper = subject.wrapper()
    told = False
    try:
        with wrapper.atomic():
            subject.insert(wrapper, 1)
            subject.terminate(wrapper.connection)
            try:
                subject.insert(wrapper, 2)
            except Error:
                pass
            else:
                subject.fail("a statement after the loss, in the same block, raised nothing")
            _refuses_further(subject, wrapper)
    except Error:
        told = True
    subject.require(told, "the block ended as if all were well")
    kept = subject.count_rows()
    subject.require(kept == 0, f"{kept} row(s) of the block whose session died are there")
    wrapper.close()


def _refuses_further(subject: Subject, wrapper: AnyWrapper) -> None:
    try:
        subject.insert(wrapper, 3)
    except Error:
        return
    subject.fail("after the error of the loss, a further statement in the same block ran on another session")


@requirement(
    "AGE-010",
    "After a loss the next use opens a new session, set up as the first one was",
    reason="the application must recover by itself when the server is back",
    source="the contract, section 3: lifetime",
    level=1,
    after=("LIFE-002",),
    blame=("get_new_connection", "is_disconnect", "init_connection_state"),
    advice="get_new_connection opens anew at each call and keeps nothing",
)
def fresh_after_loss(subject: Subject) -> None:
    subject.support("terminate")
    table = subject.create_table()
    counting = CountingBackend(subject.backend(CONN_MAX_AGE=None))
    wrapper = DatabaseWrapper(counting)
    dead = wrapper.connection
    subject.terminate(dead)
    try:
        subject.execute(wrapper, f"SELECT count(*) FROM {table}")
    except (Error, ConnectionClosedError):
        pass
    else:
        subject.fail("a statement on a dead session raised nothing", blame="_cursor")
    wrapper.close_if_unusable_or_obsolete()
    if wrapper.is_open:  # neither a ping nor the error's class told: the caller closes
        try:
            wrapper.close()
        except Error:
            pass
    try:
        subject.insert(wrapper, 1)
    except Error as error:
        subject.fail(f"the first statement after the loss was noticed raised {type(error).__name__}: {error}")
    subject.require(
        wrapper.connection is not dead and counting.opens == 2, "the next use did not open a new connection"
    )
    subject.require(subject.count_rows() == 1, "the new session does not commit at once", blame="set_autocommit")
    wrapper.close()


untested(
    "AGE-011",
    "No statement is run twice unless it was not sent or is declared idempotent",
    reason="a transfer that is repeated after a lost answer is made twice",
    source="the contract, section 3: lifetime",
    why="it takes a proxy for each database's protocol, to lose the answer and count what was sent",
)
untested(
    "AGE-012",
    "is_broken and transaction_status make no round trip",
    reason="a pool asks them for each lease",
    source="the contract, section 2",
    why="what a driver sends cannot be seen from outside without a proxy for its protocol",
    keyword="SHOULD",
)
