"""Connections that have died: noticed, dropped, and never revived in the midst of a block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.provoke import caught
from conformance.register import requirement
from conformance.verdict import CouldNotRun, NotApplicable

from .errors import closes_the_drivers, refusing
from .lifecycle import pools

if TYPE_CHECKING:
    from ..subject import DjangoSubject

CHECKING = ("is_usable", "close_if_unusable_or_obsolete", "close_if_health_check_failed", "close", "_close")


def select(wrapper: Any) -> str:
    return f"SELECT 1{wrapper.features.bare_select_suffix}"


def persistent(subject: DjangoSubject, **changes: Any) -> Any:
    """A wrapper whose connection outlives a request; some pools refuse to have any such."""
    from django.core.exceptions import ImproperlyConfigured

    wrapper = subject.wrapper(CONN_MAX_AGE=None, **changes)
    error = caught(wrapper.ensure_connection)
    if isinstance(error, ImproperlyConfigured):
        raise NotApplicable(f"the engine has no persistent connections: {error}")
    works(subject, wrapper, "at first")
    return wrapper


def works(subject: DjangoSubject, wrapper: Any, when: str, *, blame: str = "close") -> None:
    error = caught(lambda: subject.scalar(wrapper, select(wrapper)))
    subject.require(error is None, f"{when} a query raised {type(error).__name__}: {error}", blame=blame)


@requirement(
    "DJDEAD-001",
    "is_usable() is true for a connection that works",
    reason="false alarms reconnect at every request",
    source="Django, BaseDatabaseWrapper.is_usable",
    level=1,
    profile="django",
    after=("DJLIFE-001",),
    blame=("is_usable",),
)
def usable(subject: DjangoSubject) -> None:
    wrapper = subject.wrapper()
    wrapper.ensure_connection()
    subject.require(wrapper.is_usable(), "is_usable() is false for a connection that works")
    works(subject, wrapper, "after is_usable()", blame="is_usable")


@requirement(
    "DJDEAD-002",
    "is_usable() is false for a session that has ended, and raises nothing",
    reason="it is what health checks and the recycling of connections ask",
    source="Django, BaseDatabaseWrapper.is_usable",
    level=1,
    profile="django",
    after=("DJDEAD-001",),
    blame=("is_usable",),
    advice="run a query on the driver's connection and catch Database.Error",
)
def unusable(subject: DjangoSubject) -> None:
    subject.needs_a_session_to_lose()
    wrapper = subject.wrapper()
    wrapper.ensure_connection()
    subject.kill(wrapper)
    try:
        answer = wrapper.is_usable()
    except Exception as error:
        subject.fail(
            f"is_usable() of a session that has ended raised {type(error).__name__}: {error}", blame="is_usable"
        )
    subject.require(not answer, "is_usable() is true for a session that has ended", blame="is_usable")


@requirement(
    "DJDEAD-003",
    "A close that the driver refuses leaves no connection, and the next request works",
    reason="a dead connection that cannot be closed would fail every request from then on",
    source="Django, BaseDatabaseWrapper.close",
    level=1,
    profile="django",
    after=("DJLIFE-001",),
    blame=("close", "_close"),
    advice="set self.connection = None in a finally",
)
def failing_close(subject: DjangoSubject) -> None:
    closes_the_drivers(subject)
    wrapper = subject.wrapper()
    wrapper.ensure_connection()
    refusing(subject, wrapper, "close")
    caught(wrapper.close)
    subject.require(
        wrapper.connection is None, "after a close that the driver refused, the connection is kept", blame="close"
    )
    works(subject, wrapper, "after a close that the driver refused,")


@requirement(
    "DJDEAD-004",
    "In an atomic block a statement after the session's end fails, and none of the block is kept",
    reason="a silent reconnect commits the second half of the work without the first",
    source="Django docs, transactions: atomic",
    level=1,
    profile="django",
    after=("DJTX-003",),
    blame=("_cursor", "cursor", "create_cursor", "ensure_connection", "connect", "make_cursor", "_prepare_cursor"),
    advice="reconnect only where self.in_atomic_block is false",
)
def no_reconnect_in_a_block(subject: DjangoSubject) -> None:
    subject.needs_transactions()
    subject.create_table()
    wrapper = subject.wrapper()
    second: list[BaseException | None] = []

    def block() -> None:
        with subject.atomic(wrapper):
            subject.insert(wrapper, 1)
            subject.kill(wrapper)
            second.append(caught(lambda: subject.insert(wrapper, 2)))
            if second[0] is not None:
                raise second[0]

    error = caught(block)
    if error is not None and not second:  # the session could not be ended, or the first INSERT failed
        raise error
    seen = subject.seen()
    subject.require(
        second[0] is not None, f"after the session's end in a block an INSERT was run; {seen} row(s) were kept"
    )
    subject.require(error is not None, "a block that lost its session ended as if nothing had happened")
    subject.require(seen == 0, f"of a block that lost its session {seen} row(s) were kept")


@requirement(
    "DJDEAD-005",
    "After a block lost its session, the next request works",
    reason="one lost connection must cost one request",
    source="Django, Atomic.__exit__",
    level=1,
    profile="django",
    after=("DJDEAD-004",),
    blame=("close", "_close", "connect", "ensure_connection", "_rollback", "rollback", "is_usable"),
)
def after_a_lost_block(subject: DjangoSubject) -> None:
    subject.needs_transactions()
    subject.create_table()
    wrapper = subject.wrapper()

    def block() -> None:
        with subject.atomic(wrapper):
            subject.insert(wrapper, 1)
            subject.kill(wrapper)
            subject.insert(wrapper, 2)

    error = caught(block)
    if isinstance(error, CouldNotRun):
        raise error
    caught(wrapper.close_if_unusable_or_obsolete)
    works(subject, wrapper, "in the request after a block that lost its session")
    with subject.atomic(wrapper):
        subject.insert(wrapper, 3)
    subject.require_seen(1, "after the block that followed one that lost its session")


@requirement(
    "DJDEAD-006",
    "With CONN_HEALTH_CHECKS a session that ended between two requests is replaced before its next use",
    reason="it is what the setting is for",
    source="Django docs, settings: CONN_HEALTH_CHECKS",
    level=1,
    profile="django",
    after=("DJDEAD-002",),
    blame=(*CHECKING, "_cursor", "cursor", "connect"),
)
def health_checks(subject: DjangoSubject) -> None:
    subject.needs_a_session_to_lose()
    wrapper = persistent(subject, CONN_HEALTH_CHECKS=True)
    held = wrapper.connection
    wrapper.close_if_unusable_or_obsolete()
    subject.kill(wrapper, held)
    works(subject, wrapper, "with CONN_HEALTH_CHECKS, after the session's end between two requests,", blame="is_usable")


@requirement(
    "DJDEAD-007",
    "After an error on a session that has ended, the next request gets a new one",
    reason="without health checks this is all that heals",
    source="Django, BaseDatabaseWrapper.close_if_unusable_or_obsolete",
    level=1,
    profile="django",
    after=("DJDEAD-002", "DJERR-010"),
    blame=CHECKING,
)
def recycling(subject: DjangoSubject) -> None:
    subject.needs_a_session_to_lose()
    wrapper = persistent(subject)
    subject.kill(wrapper)
    caught(lambda: subject.scalar(wrapper, select(wrapper)))
    error = caught(wrapper.close_if_unusable_or_obsolete)
    subject.require(error is None, f"close_if_unusable_or_obsolete() raised {type(error).__name__}: {error}")
    works(subject, wrapper, "in the request after an error on a session that has ended")


@requirement(
    "DJDEAD-008",
    "CONN_MAX_AGE holds: 0 closes at a request's end, None never, and an age that has passed closes",
    reason="load balancers cut what is too old",
    source="Django docs, settings: CONN_MAX_AGE",
    level=1,
    profile="django",
    after=("DJLIFE-001",),
    blame=("close_if_unusable_or_obsolete", "connect", "ensure_connection", "close"),
)
def maximum_age(subject: DjangoSubject) -> None:
    import time

    for age, stays in ((0, False), (None, True), (3600, True)):
        wrapper = subject.wrapper(CONN_MAX_AGE=age)
        works(subject, wrapper, "at first")
        wrapper.ensure_connection()  # some pools take it back after each query
        held = wrapper.connection
        wrapper.close_if_unusable_or_obsolete()
        kept = wrapper.connection is held
        if stays and wrapper.connection is None and pools(subject):
            continue  # given back, not closed; how long a pool keeps connections is its own affair
        subject.require(
            kept == stays,
            f"with CONN_MAX_AGE = {age} the connection is {'kept' if kept else 'closed'} at a request's end",
        )
        if age:
            clock = time.monotonic
            time.monotonic = lambda: clock() + 4000  # noqa: B023 - called in this turn of the loop
            try:
                wrapper.close_if_unusable_or_obsolete()
            finally:
                time.monotonic = clock
            subject.require(wrapper.connection is None, f"with CONN_MAX_AGE = {age} a connection of 4000 s is kept")
        wrapper.close()


@requirement(
    "DJDEAD-009",
    "close() of a session that has ended leaves no connection, whether it raises or not",
    reason="the next request would get the dead one",
    source="Django, BaseDatabaseWrapper.close",
    level=1,
    profile="django",
    after=("DJLIFE-001",),
    blame=("close", "_close"),
)
def closing_the_dead(subject: DjangoSubject) -> None:
    wrapper = subject.wrapper()
    wrapper.ensure_connection()
    subject.kill(wrapper)
    error = caught(wrapper.close)
    subject.require(
        error is None or isinstance(error, subject.db.utils.Error),
        f"close() of a session that has ended raised {type(error).__module__}.{type(error).__qualname__}",
    )
    subject.require(wrapper.connection is None, "after close() of a session that has ended, the connection is kept")
    works(subject, wrapper, "after close() of a session that has ended,")
