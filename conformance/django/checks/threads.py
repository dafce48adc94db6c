"""Threads, and what is left when a wrapper is dropped."""

from __future__ import annotations

import gc
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from conformance.probes import at_once, in_thread, settles
from conformance.provoke import caught
from conformance.register import requirement

from .lifecycle import MOST_IDLE, pools

if TYPE_CHECKING:
    from ..subject import DjangoSubject

CHECKED = ("validate_thread_sharing", "allow_thread_sharing", "close", "commit", "rollback", "_cursor", "cursor",
           "_prepare_cursor", "make_cursor", "set_autocommit", "savepoint")  # fmt: skip


@requirement(
    "DJTHR-001",
    "Another thread is refused a cursor, commit, rollback and close, by Django's DatabaseError",
    reason="two threads in one session corrupt the protocol, or one another's transactions",
    source="Django, BaseDatabaseWrapper.validate_thread_sharing",
    level=2,
    profile="django",
    after=("DJLIFE-001",),
    blame=CHECKED,
)
def refuses(subject: DjangoSubject) -> None:
    wrapper = subject.wrapper()
    wrapper.ensure_connection()
    for name in ("cursor", "commit", "rollback", "close"):
        elsewhere = partial(in_thread, getattr(wrapper, name))
        subject.require_django_error(f"{name}() in another thread", elsewhere, "DatabaseError")


@requirement(
    "DJTHR-002",
    "A call that is refused for its thread has changed nothing",
    reason="a transaction rolled back, or a wrapper closed, by somebody who was told he may not",
    source="Django, BaseDatabaseWrapper.validate_thread_sharing",
    level=2,
    profile="django",
    after=("DJTHR-001", "DJTX-006"),
    blame=CHECKED,
    advice="call validate_thread_sharing() before anything else",
)
def changes_nothing(subject: DjangoSubject) -> None:
    subject.needs_transactions()
    subject.create_table()
    wrapper = subject.wrapper()
    wrapper.ensure_connection()
    wrapper.set_autocommit(False)
    subject.insert(wrapper, 1)
    held = wrapper.connection
    for name in ("commit", "rollback", "close", "cursor"):
        before = {
            key: value for key, value in vars(wrapper).items() if isinstance(value, bool | int | float | str | None)
        }
        caught(partial(in_thread, getattr(wrapper, name)))
        after = {key: vars(wrapper).get(key) for key in before}
        changed = [key for key in before if before[key] != after[key]]
        subject.require(wrapper.connection is held, f"a refused {name}() has taken the connection away", blame=name)
        subject.require(not changed, f"a refused {name}() has changed {', '.join(changed)}", blame=name)
        subject.require_seen(0, f"after a refused {name}()", blame=name)
        own = subject.own(wrapper)
        subject.require(own == 1, f"after a refused {name}() the owner sees {own} of his 1 row(s)", blame=name)
    wrapper.commit()
    subject.require_seen(1, "after the owner's commit()")


@requirement(
    "DJTHR-003",
    "While a wrapper is shared another thread can work with it, and afterwards cannot",
    reason="live-server tests share one, with all that the engine holds inside",
    source="Django, BaseDatabaseWrapper.inc_thread_sharing",
    level=2,
    profile="django",
    after=("DJTHR-001",),
    blame=("inc_thread_sharing", "dec_thread_sharing", *CHECKED),
    advice="hand sharing on to a wrapper that the engine holds inside",
)
def sharing(subject: DjangoSubject) -> None:
    wrapper = subject.wrapper()
    query = f"SELECT 1{wrapper.features.bare_select_suffix}"
    subject.scalar(wrapper, query)
    wrapper.inc_thread_sharing()
    try:
        found = in_thread(lambda: subject.scalar(wrapper, query))
        in_thread(wrapper.close)
        in_thread(wrapper.ensure_connection)
    except Exception as error:
        subject.fail(f"while the wrapper was shared another thread got {type(error).__name__}: {error}")
    subject.require(found == 1, f"another thread's SELECT 1 on a shared wrapper returned {found!r}")
    wrapper.dec_thread_sharing()
    subject.require_django_error("cursor() in another thread after sharing", lambda: in_thread(wrapper.cursor))


@requirement(
    "DJTHR-004",
    "Threads with wrappers of their own work at the same time",
    reason="it is how every server runs",
    source="Django docs, databases: connection management",
    level=2,
    profile="django",
    after=("DJLIFE-001",),
    blame=("get_new_connection", "connect", "get_connection_params"),
)
def side_by_side(subject: DjangoSubject) -> None:
    subject.create_table()
    own = subject.wrapper()
    subject.insert(own, 1)

    def work(_number: int) -> tuple[int, int]:
        wrapper = subject.cls(subject.alias_settings(), "default")
        held = 0
        for _ in range(5):
            held = subject.own(wrapper)
        identity = id(wrapper.connection)
        wrapper.close()
        return held, identity

    found = at_once(4, work)
    subject.require([held for held, _ in found] == [1] * 4, f"four threads counted {[held for held, _ in found]} rows")


@requirement(
    "DJTHR-005",
    "A thread that is refused has opened no connection",
    reason="sessions that belong to nobody stay open",
    source="the contract, section 3: ownership before action",
    level=2,
    profile="strict",
    after=("DJTHR-001",),
    blame=("_cursor", "cursor", "ensure_connection", "connect"),
)
def refused_before_opening(subject: DjangoSubject) -> None:
    found: list[str] = []
    for name in ("commit", "rollback", "close", "cursor", "ensure_connection"):
        wrapper = subject.wrapper()
        caught(partial(in_thread, getattr(wrapper, name)))
        if wrapper.connection is not None:
            found.append(f"another thread's {name}() has opened a connection")
    subject.require(not found, "; ".join(found))


@requirement(
    "DJGC-001",
    "A wrapper that was dropped is gone after a collection, and its session with it",
    reason="a list in a class keeps the sessions of threads that have long ended",
    source="Django, connections: one wrapper per thread",
    level=2,
    profile="django",
    after=("DJLIFE-001",),
    blame=("get_new_connection", "connect", "__init__"),
    advice="hold wrappers and connections by weak references, or not at all",
)
def collected(subject: DjangoSubject) -> None:
    # What a pool makes once, it has made now; what it keeps idle, it may open at any time.
    if pools(subject):
        before = max(subject.sessions(), MOST_IDLE)
    else:  # the wrappers that were just tried have ended, which a server notices a moment later
        before = 0 if settles(lambda: subject.sessions() == 0, 0.5) else subject.sessions()
    dropped = in_thread(lambda: _dropped(subject))
    gc.collect()
    subject.require(dropped() is None, f"a dropped wrapper is kept alive by {_holders(dropped())}", blame="connect")
    subject.require(
        settles(lambda: subject.sessions() <= before),
        f"a dropped wrapper has left {subject.sessions() - before} session(s)",
        blame="get_new_connection",
    )


@requirement(
    "DJGC-002",
    "Dropping the last reference frees a wrapper and its session at once, without the collector",
    reason="until the collector comes by, sessions of ended threads use up the server's limit",
    source="the contract, section 3: no cycles",
    level=2,
    profile="strict",
    after=("DJGC-001",),
    blame=("__init__",),
)
def freed_at_once(subject: DjangoSubject) -> None:
    from conformance.garbage import collected_by_hand

    from ..cycles import attributes_in_a_cycle

    with collected_by_hand():
        wrapper = _dropped(subject)()
        found = None if wrapper is None else attributes_in_a_cycle(wrapper)
        del wrapper
    if found is not None:
        cycle = "a dropped wrapper waits for the collector: it is part of a cycle"
        subject.fail("; ".join([cycle, *(f"its {name} refers back to it" for name in found)]))


@requirement(
    "DJGC-003",
    "What the wrappers of an alias share holds none of them, not even the first",
    reason="a pool that calls a method of the wrapper that made it keeps that wrapper, its session and all its errors",
    source="the contract, section 3: no cycles",
    level=2,
    profile="strict",
    after=("DJGC-001",),
    blame=("pool", "get_new_connection", "__init__"),
    advice="hand a pool plain functions, or methods by weak references",
)
def the_first_is_freed(subject: DjangoSubject) -> None:
    dropped = in_thread(lambda: _dropped(subject, close=True))
    gc.collect()
    subject.require(dropped() is None, f"the first wrapper of its alias is kept alive by {_holders(dropped())}")


def _dropped(subject: DjangoSubject, *, close: bool = False) -> weakref.ref[Any]:
    wrapper = subject.cls(subject.alias_settings(), "default")
    subject.scalar(wrapper, f"SELECT 1{wrapper.features.bare_select_suffix}")
    if close:
        wrapper.close()
    return weakref.ref(wrapper)


def _holders(wrapper: Any) -> str:
    """Empty where it is gone: the search for holders touches every object there is, strangers' proxies too."""
    from conformance.garbage import holders_of

    if wrapper is None:
        return ""
    return ", ".join(holders_of([wrapper])[:3])
