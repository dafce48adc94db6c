"""Engines that hand one connection from wrapper to wrapper: what must not go with it."""

from __future__ import annotations

import copy
import gc
import threading
from typing import TYPE_CHECKING, Any

from conformance.provoke import caught
from conformance.register import requirement
from conformance.verdict import CouldNotRun, NotApplicable

from ..supports import driver_of
from .lifecycle import pools, underlying

if TYPE_CHECKING:
    from ..subject import DjangoSubject

LEASING = (
    "_close",
    "close",
    "get_new_connection",
    "create_cursor",
    "cursor",
    "_cursor",
    "ensure_connection",
    "connect",
)
PATIENCE = 12.0
MOST = 40
ROUNDS = 12


def needs_a_pool(subject: DjangoSubject) -> None:
    if not pools(subject):
        raise NotApplicable("the engine hands no connection from one wrapper to the next")


def select(wrapper: Any) -> str:
    return f"SELECT 1{wrapper.features.bare_select_suffix}"


def successor(subject: DjangoSubject, connection: Any, alias: str = "default", **changes: Any) -> Any:
    """A new wrapper that was given the driver's *connection*; without one, whoever was given another."""
    others: list[Any] = []
    while True:
        following = subject.wrapper(**changes) if alias == "default" else subject.loose(alias, **changes)
        is_open = caught(following.ensure_connection) is None
        if not is_open or underlying(following) is connection or len(others) == MOST:
            break
        others.append(following)
    for other in others:
        other.close()
    return following


def patiently(call: Any, what: str) -> BaseException | None:
    """What *call* raises, in a thread of its own; a violation where it does not return."""
    raised: list[BaseException | None] = []
    thread = threading.Thread(target=lambda: raised.append(caught(call)), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if not raised:
        raise CouldNotRun(f"{what} has waited for {PATIENCE:g} s; set a shorter time-out of the pool")
    return raised[0]


@requirement(
    "DJPOOL-001",
    "A connection that was given back in the midst of a transaction is handed on without it",
    reason="the next owner commits, or blocks, what somebody else has begun",
    source="Django docs, transactions: autocommit",
    level=3,
    profile="django",
    after=("DJTX-006",),
    blame=LEASING,
    advice="roll back and switch autocommit on before a connection goes back",
)
def no_transaction_handed_on(subject: DjangoSubject) -> None:
    needs_a_pool(subject)
    subject.needs_transactions()
    subject.create_table()
    for number in (1, 2, 3):
        leaver = subject.loose()
        leaver.ensure_connection()
        leaver.set_autocommit(False)
        subject.insert(leaver, number * 10)
        left = underlying(leaver)
        leaver.close()
        subject.require_seen(number - 1, "after a connection was given back in a transaction")
        following = successor(subject, left)
        subject.insert(following, number)
        subject.require_seen(number, "after the next owner's INSERT")
        following.close()


@requirement(
    "DJPOOL-002",
    "A cursor that is held over close() reads nothing of the connection's next owner",
    reason="one customer's rows in another one's request",
    source="PEP 249, Cursor.close()",
    level=3,
    profile="django",
    after=("DJLIFE-001",),
    blame=LEASING,
    advice="close a lease's cursors when it is given back",
)
def cursors_end_with_the_lease(subject: DjangoSubject) -> None:
    needs_a_pool(subject)
    leaver = subject.loose()
    held = leaver.cursor()
    held.execute(select(leaver))
    leaver.close()
    following = subject.wrapper()
    following.ensure_connection()

    def use() -> None:
        held.execute(select(following))
        held.fetchone()

    subject.require(caught(use) is not None, "a cursor held over close() ran a query on the next owner's connection")


@requirement(
    "DJPOOL-003",
    "A connection is handed on without the temporary tables of its last owner",
    reason="session state is data too",
    source="the contract, section 2: reset",
    level=3,
    profile="strict",
    after=("DJLIFE-001",),
    blame=LEASING,
)
def no_session_state_handed_on(subject: DjangoSubject) -> None:
    needs_a_pool(subject)
    leaver = subject.loose()
    if caught(lambda: subject.execute(leaver, f"CREATE TEMPORARY TABLE {subject.TABLE}_t (id INTEGER)")) is not None:
        raise CouldNotRun("this database makes no temporary table in the words the kit knows")
    left = underlying(leaver)
    leaver.close()
    following = successor(subject, left)
    error = caught(lambda: subject.execute(following, f"SELECT * FROM {subject.TABLE}_t"))
    subject.require(error is not None, "the next owner of a connection sees the last one's temporary table")


@requirement(
    "DJPOOL-004",
    "An open that fails after the connection was taken gives it back",
    reason="each failure loses a slot, until nobody gets one any more",
    source="Django, BaseDatabaseWrapper.connect",
    level=3,
    profile="django",
    after=("DJLIFE-001",),
    blame=LEASING,
)
def failures_lose_no_slot(subject: DjangoSubject) -> None:
    needs_a_pool(subject)

    refusal = RuntimeError("refused by the kit")

    def refuse() -> None:
        raise refusal

    def fail_often() -> None:
        for _ in range(MOST):
            wrapper = subject.cls(subject.alias_settings(), "default")
            wrapper.init_connection_state = refuse
            error = caught(wrapper.ensure_connection)
            wrapper.close()
            del wrapper.init_connection_state
            if error is not None and error is not refusal and refusal not in (error.__cause__, error.__context__):
                raise error  # the next one would only wait as long again
        following = subject.cls(subject.alias_settings(), "default")
        subject.scalar(following, select(following))
        following.close()

    error = patiently(fail_often, "after failed initializations, an open")
    subject.require(error is None, f"after some failed initializations an open raised {type(error).__name__}: {error}")


@requirement(
    "DJPOOL-005",
    "A wrapper that is dropped without close() pins no slot for ever",
    reason="threads end without closing, and a pool of ten is empty after ten of them",
    source="Django, connections: one wrapper per thread",
    level=3,
    keyword="SHOULD",
    profile="django",
    after=("DJPOOL-004",),
    blame=LEASING,
)
def dropped_wrappers_pin_no_slot(subject: DjangoSubject) -> None:
    needs_a_pool(subject)

    def drop_often() -> None:
        for _ in range(MOST):
            wrapper = subject.cls(subject.alias_settings(), "default")
            subject.scalar(wrapper, select(wrapper))
            del wrapper
            gc.collect()

    error = patiently(drop_often, "after wrappers were dropped, an open")
    subject.require(error is None, f"after wrappers were dropped an open raised {type(error).__name__}: {error}")


@requirement(
    "DJPOOL-006",
    "A pool that has no connection left raises Django's error, not its library's",
    reason="the application catches Django's classes alone",
    source="Django docs, exceptions: database exceptions",
    level=3,
    profile="django",
    after=("DJERR-001",),
    blame=LEASING,
)
def exhaustion(subject: DjangoSubject) -> None:
    needs_a_pool(subject)
    wrappers: list[Any] = []

    def take_all() -> None:
        for _ in range(MOST):
            wrapper = subject.cls(subject.alias_settings(), "default")
            wrapper.inc_thread_sharing()
            wrapper.ensure_connection()
            wrappers.append(wrapper)

    try:
        error = patiently(take_all, "an open with no connection left")
    finally:
        for wrapper in wrappers:
            wrapper.close()
    if error is None:
        raise NotApplicable(f"the pool gave {MOST} connections at once")
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    subject.require(
        isinstance(error, subject.db.utils.Error), f"with no connection left, an open raised {kind}: {error}"
    )


@requirement(
    "DJPOOL-007",
    "A connection that is older than the pool's maximum lifetime is not handed on",
    reason="load balancers and password changes count on it",
    source="the engine's own options",
    level=3,
    profile="django",
    after=("DJLIFE-001",),
    blame=(*LEASING, "get_connection_params"),
)
def maximum_lifetime(subject: DjangoSubject) -> None:
    needs_a_pool(subject)
    changes: dict[str, Any] = subject.support("expired_pool")(subject.mapping)
    held: list[Any] = []
    for _ in range(2):
        wrapper = subject.loose("conformance_expired", **changes)  # a pool may be one per alias
        wrapper.ensure_connection()
        held.append(underlying(wrapper))
        wrapper.close()
    subject.require(held[0] is not held[1], "a connection was handed on after its maximum lifetime")


@requirement(
    "DJPOOL-008",
    "A connection whose session has ended is not handed on: never with CONN_HEALTH_CHECKS, else never once it failed",
    reason="one lost session fails one request after another, as often as the pool is deep",
    source="Django, BaseDatabaseWrapper.close",
    level=3,
    profile="django",
    after=("DJDEAD-009",),
    blame=(*LEASING, "is_usable"),
)
def the_dead_are_not_handed_on(subject: DjangoSubject) -> None:
    needs_a_pool(subject)
    for checked in (True, False):
        alias = f"checked {checked}"
        leaver = subject.loose(alias, CONN_HEALTH_CHECKS=checked)
        leaver.ensure_connection()
        left = underlying(leaver)
        subject.kill(leaver)
        if not checked:  # then it is the failure that tells
            caught(lambda: subject.scalar(leaver, select(leaver)))  # noqa: B023 - run at once
        caught(leaver.close)
        following = successor(subject, left, alias, CONN_HEALTH_CHECKS=checked)
        error = caught(lambda: subject.scalar(following, select(following)))  # noqa: B023 - run at once
        when = "with CONN_HEALTH_CHECKS, after a session's end" if checked else "after a query on an ended session"
        subject.require(error is None, f"{when}, the next owner got {type(error).__name__}: {error}")
        following.close()


@requirement(
    "DJPOOL-009",
    "What a connection is opened with decides who gets it, not the alias",
    reason="the alias 'default' leads elsewhere in a test, in another tenant, after a changed password",
    source="the contract, section 2: fingerprint",
    level=3,
    profile="strict",
    after=("DJLIFE-001",),
    blame=(*LEASING, "pool"),
)
def keyed_by_the_session(subject: DjangoSubject) -> None:
    needs_a_pool(subject)
    if not subject.has_two_databases:
        raise NotApplicable("the kit has one database here")
    subject.create_table()
    first = subject.loose()
    subject.insert(first, 1)
    first.close()
    other = subject.loose(NAME=str(subject.alias_settings("other")["NAME"]))
    error = caught(lambda: subject.own(other))
    subject.require(error is not None, "a wrapper with another NAME got a connection to the alias's first database")


@requirement(
    "DJPOOL-010",
    "An open that the database refuses loses no slot, be it in the place of a connection that had died",
    reason="a minute without the database, and the pool is empty for good",
    source="Django, BaseDatabaseWrapper.connect",
    level=3,
    profile="django",
    after=("DJPOOL-004", "DJPOOL-008"),
    blame=LEASING,
    advice="give the slot back when the open in it fails",
)
def refused_opens_lose_no_slot(subject: DjangoSubject) -> None:
    needs_a_pool(subject)
    driver = driver_of(subject.cls)
    if not callable(getattr(driver, "connect", None)):
        raise NotApplicable("the engine's Database has no connect() that could refuse")

    def refuse(*_arguments: object, **_named: object) -> None:
        raise driver.OperationalError("refused by the kit")

    settings = {**copy.deepcopy(subject.alias_settings()), "CONN_HEALTH_CHECKS": True}  # no dead one is handed on

    def fail_often() -> None:
        connect = driver.connect
        for _ in range(ROUNDS):
            dying, refused = (subject.cls(settings, "conformance_refused") for _ in range(2))
            dying.ensure_connection()
            subject.kill(dying)
            caught(dying.close)
            driver.connect = refuse
            caught(refused.ensure_connection)
            driver.connect = connect
            caught(refused.close)
        following = subject.cls(settings, "conformance_refused")
        following.ensure_connection()
        following.close()

    error = patiently(fail_often, "after opens that were refused, one more")
    if isinstance(error, CouldNotRun):
        raise error
    subject.require(error is None, f"after opens that were refused, one more raised {type(error).__name__}: {error}")
