"""Garbage collection: what is dropped is freed at once, and closes its session, without the collector."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from backend_sdk import DatabaseWrapper, Error, SupportsTransactions, ThreadSharingError

from ..garbage import DriverShare, alive, collected_by_hand, cycles_left_by, finalizers_of, holders_of
from ..probes import CountingBackend, in_thread, open_raw, settles
from ..register import requirement
from ..verdict import NotApplicable

if TYPE_CHECKING:
    from ..subject import AnyBackend, AnyWrapper, Subject

    State = Callable[[Subject, AnyWrapper], None]


def _never_opened(_subject: Subject, _wrapper: AnyWrapper) -> None:
    pass


def _open(_subject: Subject, wrapper: AnyWrapper) -> None:
    wrapper.connect()


def _closed(_subject: Subject, wrapper: AnyWrapper) -> None:
    wrapper.connect()
    wrapper.close()


def _after_error(subject: Subject, wrapper: AnyWrapper) -> None:
    try:
        subject.execute(wrapper, f"SELECT * FROM {subject.TABLE}_missing")
    except Error:
        pass


def _left_by_exception(subject: Subject, wrapper: AnyWrapper) -> None:
    try:
        with wrapper.atomic():
            subject.insert(wrapper, 1)
            raise LookupError
    except LookupError:
        pass


def _after_refusal(_subject: Subject, wrapper: AnyWrapper) -> None:
    wrapper.connect()
    try:
        in_thread(wrapper.cursor)
    except ThreadSharingError:
        pass


STATES: dict[str, State] = {
    "never opened": _never_opened,
    "open": _open,
    "closed": _closed,
    "after an SQL error": _after_error,
    "left by an exception inside atomic()": _left_by_exception,
    "after the refused call of another thread": _after_refusal,
}


def _states(subject: Subject) -> dict[str, State]:
    if subject.has(SupportsTransactions):
        return STATES
    return {name: state for name, state in STATES.items() if state is not _left_by_exception}


@requirement(
    "GC-001",
    "A wrapper is freed, and its connection closed, when its last reference is dropped, in whatever state it is",
    reason="a session that waits for the collector holds its locks and its place at the server",
    source="Django ticket 17258; the contract, section 3: no cycles",
    level=2,
    after=("LIFE-001",),
    blame=("is_disconnect", "_cursor", "init_connection_state", "close_connection"),
    advice="keep no error (its traceback holds the frames, and they hold the wrapper), no cursor and no connection",
)
def wrappers_are_freed(subject: Subject) -> None:
    subject.create_table()
    backend = subject.backend()
    for name, state in _states(subject).items():
        counting = CountingBackend(backend)
        with collected_by_hand():
            wrapper: AnyWrapper = DatabaseWrapper(counting)
            state(subject, wrapper)
            trace = weakref.ref(wrapper)
            del wrapper
            holders = _holders(trace)
        subject.require(not holders, f"dropped {name!r}, the wrapper is still held by {', '.join(holders)}")
        left = counting.opens - counting.closes
        subject.require(not left, f"dropped {name!r}, the wrapper left {left} connection(s) open", blame="_cursor")


def _holders(trace: weakref.ref[Any]) -> list[str]:
    """What still refers to the object of *trace*."""
    item = trace()
    return [] if item is None else holders_of([item])


def _share(subject: Subject) -> DriverShare:
    share = DriverShare.measured(subject)
    if not gc.is_tracked(subject.witness().connection):
        raise NotApplicable("the driver's connections are out of the collector's sight")
    return share


@requirement(
    "GC-002",
    "A connection that was closed is held by nobody",
    reason="a list of connections grows for as long as the process runs",
    source="the contract, section 1: the backend keeps no connection",
    level=2,
    after=("LIFE-001",),
    blame=("get_new_connection", "configure_connection", "init_connection_state", "_cursor", "close_connection"),
    advice="keep no connection on the backend, its class or its module; no lru_cache on a method that takes one",
)
def closed_is_not_held(subject: Subject) -> None:
    subject.create_table()
    with collected_by_hand():
        share = _share(subject)
        kind = _connection_class(subject)
        before = alive(kind)
        _use_and_close(subject)
        gc.collect()
        left = alive(kind) - before
        holders = _holders_of_class(kind) if left > 0 else ""
    if left > 0 and not share.freed_by_collection:
        raise NotApplicable("the driver, not your code, holds its connections for ever")
    subject.require(left <= 0, f"{left} closed connection(s) are still held, by {holders}")


def _connection_class(subject: Subject) -> type:
    wrapper = subject.wrapper()
    kind = type(wrapper.connection)
    wrapper.close()
    del wrapper
    gc.collect()
    return kind


def _use_and_close(subject: Subject) -> None:
    wrapper = subject.wrapper()
    subject.execute(wrapper, f"SELECT count(*) FROM {subject.TABLE}")
    wrapper.is_usable()
    wrapper.close()


def _holders_of_class(kind: type) -> str:
    return ", ".join(holders_of([item for item in gc.get_objects() if type(item) is kind]))


@requirement(
    "GC-003",
    "A connection that is dropped without being closed is freed as the bare driver's is",
    reason="a callback that refers to its own connection (create_function, a notice handler) is never freed",
    source="sqlite3 module: create_function with a closure over its connection survives gc.collect()",
    level=2,
    after=("GC-002",),
    blame=("configure_connection", "get_new_connection", "init_connection_state", "_cursor"),
    advice="give the driver plain functions; let none of them refer to a connection, a cursor or the backend",
)
def dropped_is_freed(subject: Subject) -> None:
    subject.create_table()
    with collected_by_hand():
        share = _share(subject)
        kind = _connection_class(subject)
        before = alive(kind)
        _use_and_drop(subject.view(), subject.TABLE)
        at_once = alive(kind) - before
        gc.collect()
        left = alive(kind) - before
        holders = _holders_of_class(kind) if left > 0 else ""
    if not share.freed_by_collection:
        raise NotApplicable("the driver, not your code, holds its connections for ever")
    subject.require(left <= 0, f"not even the collector frees it: it is held by {holders}")
    subject.require(
        at_once <= 0 or not share.freed_at_once, "the bare driver's is freed at once, this one only by the collector"
    )


def _use_and_drop(view: AnyBackend, table: str) -> None:
    connection = open_raw(view)
    view.execute_statement(connection, f"SELECT count(*) FROM {table}")


@requirement(
    "GC-004",
    "The backend adds no reference cycle to what the driver itself leaves",
    reason="what is in a cycle is freed late, in whatever thread the collector runs in; with __del__ it runs there too",
    source="the contract, section 3: no cycles",
    level=2,
    after=("GC-002",),
    blame=("get_new_connection", "configure_connection", "init_connection_state", "_cursor"),
    advice="hang nothing on a connection or cursor that refers back to it",
)
def no_cycles(subject: Subject) -> None:
    subject.create_table()
    with collected_by_hand():
        share = DriverShare.measured(subject)
        cycles = cycles_left_by(lambda: _use_and_close(subject))
        own = [cycle for cycle in cycles if not share.explains(cycle)]
    if own:
        members = " -> ".join(own[0].members[:8])
        subject.fail(f"using and closing a connection left {len(own)} cycle(s) for the collector: {members}")


@requirement(
    "GC-005",
    "Neither the backend nor its cursors define __del__",
    reason="a finalizer runs in any thread, at any time, after a fork twice; the SDK's handle has the only one",
    source="the contract, section 3: __del__ on one leaf at most",
    level=2,
    after=("LIFE-001",),
    blame=("__del__",),
    advice="remove __del__; the SDK closes what is dropped",
)
def no_finalizers(subject: Subject) -> None:
    wrapper = subject.wrapper()
    cursor: Any = wrapper.cursor()
    with_driver = set(finalizers_of(type(subject.witness().connection.cursor())))
    for what, cls in (("the backend", subject.cls), ("its cursor class", type(cursor))):
        owners = [
            owner for owner in finalizers_of(cls) if owner not in with_driver and owner not in _driver_classes(cursor)
        ]
        subject.require(not owners, f"{what} has a __del__, defined by {', '.join(owners)}")
    cursor.close()
    wrapper.close()


def _driver_classes(cursor: object) -> set[str]:
    """The bases of *cursor* that come from outside of the author's code: the driver's own finalizers are its affair."""
    from ..blame import is_author_file

    names: set[str] = set()
    for cls in type(cursor).__mro__:
        file = _file_of(cls)
        if not file or not is_author_file(file) or "site-packages" in file:
            names.add(f"{cls.__module__}.{cls.__qualname__}")
    return names


def _file_of(cls: type) -> str:
    import sys

    return getattr(sys.modules.get(cls.__module__), "__file__", None) or ""


@requirement(
    "GC-006",
    "A backend that nobody uses any more is freed at once",
    reason="a scope makes backends for its tenants, thousands of them",
    source="the contract, section 3: no cycles (a cached bound method refers to its own object)",
    level=2,
    after=("LIFE-001",),
    blame=("__init__",),
    advice="store no bound method on the instance; no lru_cache on methods; no registry of instances; no atexit",
)
def backends_are_freed(subject: Subject) -> None:
    subject.create_table()
    with collected_by_hand():
        backend = subject.backend()
        try:
            trace = weakref.ref(backend)
        except TypeError:
            raise NotApplicable("its instances cannot be referred to weakly") from None
        wrapper = DatabaseWrapper(backend)
        subject.execute(wrapper, f"SELECT count(*) FROM {subject.TABLE}")
        wrapper.is_usable()
        wrapper.close()
        del wrapper, backend
        holders = _holders(trace)
    subject.require(not holders, f"it is still held by {', '.join(holders)}")


@requirement(
    "GC-007",
    "When all wrappers are dropped the database counts no more sessions than before",
    reason="what is not closed at the server counts against its limit",
    source="the contract, section 3: no cycles",
    level=2,
    after=("LIFE-001",),
    blame=("close_connection", "get_new_connection", "_cursor"),
    advice="let close_connection end the driver's session; open no second one",
    leased="no more than were leased at once",
)
def sessions_end(subject: Subject) -> None:
    before = subject.sessions()
    subject.create_table()
    backend = subject.backend()
    with collected_by_hand():
        for state in _states(subject).values():
            wrapper = DatabaseWrapper(backend)
            state(subject, wrapper)
            del wrapper
        kept = int(subject.leases)  # one was leased at a time
        ended = settles(lambda: subject.sessions() <= before + kept)
        left = subject.sessions() - before - kept
    subject.require(ended, f"after {len(STATES)} wrappers there are {left} more session(s) than before")
