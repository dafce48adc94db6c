"""Identity: what is equal, what can be a key, what can be copied, and that a backend holds nothing."""

from __future__ import annotations

import copy
import gc
import pickle
import types
from collections import deque
from typing import TYPE_CHECKING, Any

from backend_sdk import DatabaseWrapper, Error, SupportsTransactions

from ..probes import in_thread, opened
from ..provoke import accepted, another_name, caught
from ..register import requirement, untested

if TYPE_CHECKING:
    from ..subject import AnyBackend, Subject


@requirement(
    "ID-001",
    "A backend can be hashed, its hash never changes, and equal backends have equal hashes",
    reason="pools and caches are kept in dictionaries by backend",
    source="the contract, section 1",
    level=1,
    after=("LIFE-001",),
    blame=("__hash__", "__eq__"),
    advice="leave equality and hash to BaseBackend, or derive both from the settings",
)
def hashable(subject: Subject) -> None:
    first, second = subject.backend(), subject.backend()
    refusal = caught(lambda: hash(first))
    subject.require(refusal is None, f"it cannot be hashed: {refusal}")
    before = hash(first)
    wrapper = DatabaseWrapper(first)
    wrapper.connect()
    during = hash(first)
    wrapper.close()
    subject.require(before == during == hash(first), "its hash changed with a connection's opening or closing")
    subject.require({first: 1}.get(first) == 1, "a dictionary does not find it again")
    if first == second:
        subject.require(hash(first) == hash(second), "two equal backends have different hashes")


@requirement(
    "ID-002",
    "Backends of equal settings are equal",
    reason="two aliases that mean the same database are to share one pool",
    source="the contract, section 1",
    level=1,
    keyword="SHOULD",
    after=("SET-001",),
    blame=("__eq__", "_same_inside", "__init__"),
    advice="inherit BaseBackend, or define __eq__ and __hash__ by class and settings",
)
def equal_settings(subject: Subject) -> None:
    subject.require(subject.backend() == subject.backend(), "two backends of equal settings are not equal")


@requirement(
    "ID-003",
    "Backends of different settings are different",
    reason="a cache would hand the connection of one tenant to another",
    source="the contract, section 1",
    level=1,
    after=("SET-001",),
    blame=("__eq__", "_same_inside"),
    advice="compare the settings, all of them",
)
def different_settings(subject: Subject) -> None:
    usual = subject.backend()
    for key, value in {"NAME": another_name(subject), "CONN_MAX_AGE": 77.0, "HOST": "conformance.invalid"}.items():
        if accepted(subject, **{key: value}) is not None and getattr(usual.settings, key.lower()) != value:
            subject.require(usual != subject.backend(**{key: value}), f"a backend with another {key} is equal")
    others: tuple[object, ...] = (object(), usual.settings)
    subject.require(all(usual != other for other in others), "a backend is equal to something else altogether")


@requirement(
    "ID-004",
    "A backend keeps no connection, cursor or wrapper",
    reason="it is shared by all threads and outlives its connections: what it keeps is used by others, or never closed",
    source="the contract, section 1: no connection, no thread, no wrapper, no mutable state",
    level=1,
    after=("LIFE-001",),
    blame=("get_new_connection", "init_connection_state", "_cursor", "configure_connection"),
    advice="keep nothing on self, the class or the module; the connection is always an argument",
    leased="the connections are the pool's, a lease's wrapper and cursors are not",
)
def holds_nothing(subject: Subject) -> None:
    view = subject.view()
    wrapper = DatabaseWrapper(view)
    connection, cursor = wrapper.connection, wrapper.cursor()
    wanted = {id(connection): "the connection", id(cursor): "a cursor", id(wrapper): "the wrapper"}
    if subject.leases:
        del wanted[id(connection)]
    found = _reachable(subject, view, wanted)
    cursor.close()
    wrapper.close()
    subject.require(not found, f"it holds {found}")


def _reachable(subject: Subject, view: AnyBackend, wanted: dict[int, str], limit: int = 20_000) -> str:
    """Which of *wanted*, by identity, the backend or its author's classes lead to, and by which attribute."""
    seen: set[int] = set()
    for name, root in _attributes(subject, view):
        todo: deque[Any] = deque([root])
        while todo and len(seen) < limit:
            item = todo.popleft()
            if id(item) in wanted:
                return f"{wanted[id(item)]} in {name}"
            if id(item) in seen or isinstance(item, type | types.ModuleType | types.FunctionType | types.CodeType):
                continue
            seen.add(id(item))
            todo.extend(gc.get_referents(item))
    return ""


def _attributes(subject: Subject, view: AnyBackend) -> list[tuple[str, Any]]:
    own = [(f"self.{name}", value) for name, value in vars(view).items()]
    authors = [cls for cls in subject.cls.__mro__ if cls.__module__.partition(".")[0] not in _NOT_THE_AUTHORS]
    return own + [(f"{cls.__name__}.{name}", value) for cls in authors for name, value in vars(cls).items()]


_NOT_THE_AUTHORS = {"backend_sdk", "builtins", "typing", "abc"}


@requirement(
    "ID-005",
    "What one backend does leaves the others of its class as they were",
    reason="a value kept on the class belongs to whoever came first",
    source="the contract, section 1: no mutable state",
    level=1,
    after=("LIFE-001",),
    blame=("get_connection_params", "get_new_connection", "__init__"),
    advice="keep what is worked out once on self, in __init__; never on the class",
)
def instances_apart(subject: Subject) -> None:
    expected = subject.view().get_connection_params()
    other = accepted(subject, NAME=another_name(subject))
    if other is not None:
        make: Any = subject.cls
        params, name = make(other).get_connection_params(), subject.settings().name
        taken_over = params == expected and len(name) > 3 and name in repr(params)
        subject.require(not taken_over, "a backend with another NAME gave the params of the one made before it")
    now = subject.view().get_connection_params()
    subject.require(
        _without_expiring(subject, now) == _without_expiring(subject, expected),
        "after a backend with another NAME was made, a new one gave other params than before",
    )


def _without_expiring(subject: Subject, params: Any) -> Any:
    expiring = subject.view().expiring_params
    return {key: params[key] for key in params if key not in expiring} if isinstance(params, dict) else params


@requirement(
    "ID-006",
    "One backend serves several connections at once, each method the one it is given",
    reason="every wrapper and every thread of a process uses the same backend",
    source="the contract, section 1: safe to use from any thread",
    level=1,
    after=("TX-001",),
    blame=("_cursor", "begin", "rollback", "init_connection_state"),
    advice="use the connection that is passed, never one that was kept",
)
def several_connections(subject: Subject) -> None:
    subject.needs(SupportsTransactions)
    table = subject.create_table()
    backend = subject.backend()
    first = DatabaseWrapper(backend, "first")
    with first.atomic():
        subject.insert(first, 1)
        second = DatabaseWrapper(backend, "second")
        second.connect()
        for name, wrapper, expected in (("first", first, 1), ("second", second, 0)):
            cursor = wrapper.cursor()
            cursor.execute(f"SELECT count(*) FROM {table}")
            seen = int(cursor.fetchone()[0])
            cursor.close()
            subject.require(seen == expected, f"of two wrappers the {name} one saw {seen} row(s) instead of {expected}")
        second.close()
    first.close()
    subject.require(subject.count_rows() == 1, "what the first of two wrappers committed is not there")


@requirement(
    "ID-007",
    "A backend can be used from a thread that did not make it",
    reason="a pool opens and tends connections from whichever thread needs one",
    source="the contract, section 1: safe to use from any thread",
    level=1,
    after=("LIFE-001",),
    blame=("__init__", "get_connection_params", "get_new_connection", "init_connection_state"),
    advice="keep nothing in a threading.local that __init__ fills",
)
def from_any_thread(subject: Subject) -> None:
    table, view = subject.create_table(), subject.view()

    def use() -> None:
        with opened(view) as connection:
            view.execute_statement(connection, f"SELECT count(*) FROM {table}")

    error = caught(lambda: in_thread(use))
    subject.require(error is None, f"in another thread it raised {type(error).__name__}: {error}")


@requirement(
    "ID-008",
    "A copy of a backend is equal to it and works by itself; a wrapper's copy has no connection of the other's",
    reason="settings and backends are copied by frameworks; two wrappers on one connection mix their transactions",
    source="Django ticket 17258: DatabaseWrapper.copy",
    level=1,
    after=("LIFE-001",),
    blame=("__copy__", "__reduce__", "__reduce_ex__", "__getstate__", "__init__"),
    advice="leave copying to Python: a backend is its settings",
)
def copies(subject: Subject) -> None:
    table = subject.create_table()
    wrapper = subject.wrapper()
    backend = copy.copy(subject.backend())
    subject.require(
        type(backend) is subject.cls and backend.settings == subject.settings(), "a copy of it has other settings"
    )
    copied = DatabaseWrapper(backend)
    subject.execute(copied, f"SELECT count(*) FROM {table}")
    copied.close()
    wrapper.connect()
    other = wrapper.copy()
    subject.require(not other.is_open, "a wrapper's copy is open from the start")
    subject.require(other.connection is not wrapper.connection, "a wrapper's copy has the same connection")
    other.close()
    subject.execute(wrapper, f"SELECT count(*) FROM {table}")
    wrapper.close()
    refusal = caught(lambda: copy.copy(wrapper))
    subject.require(isinstance(refusal, TypeError), f"copy.copy of a wrapper gave {refusal!r} instead of a refusal")


@requirement(
    "ID-009",
    "Settings, backends and wrappers refuse pickling",
    reason="a pickle would carry the password to a cache or a queue, and a connection nowhere",
    source="the contract, section 2: secrets never show",
    level=1,
    after=("SET-001",),
    blame=("__reduce__", "__reduce_ex__", "__getstate__"),
    advice="define no __reduce__ or __getstate__; pass the alias, or the source of the settings",
)
def no_pickles(subject: Subject) -> None:
    for thing in (subject.settings(), subject.backend(), subject.wrapper()):
        refusal = caught(lambda item=thing: pickle.dumps(item))  # type: ignore[misc]  # mypy does not infer a lambda's defaults
        name = type(thing).__name__
        subject.require(refusal is not None, f"a {name} was pickled")
        subject.require(
            isinstance(refusal, TypeError | pickle.PicklingError | Error | AttributeError),
            f"pickling a {name} raised {type(refusal).__name__} instead of a refusal: {refusal}",
        )


untested(
    "ID-010",
    "A backend has no state at all that changes, in whatever form",
    reason="it is used by many threads without a lock",
    source="the contract, section 1: no mutable state",
    why="closures, modules' globals and C objects cannot be looked through; the commonest forms are checked",
)
