"""Leases: what a pool owes to those who take turns with its connections. It is of the group pool."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from backend_sdk import (
    DatabaseWrapper,
    OperationalError,
    SupportsIsBroken,
    SupportsPing,
    SupportsReadOnly,
    SupportsRenew,
    SupportsReset,
    SupportsTransactions,
)

from ..leases import MANY, behind, needs_leases, require_temporary_gone, temporary_table, works
from ..probes import at_once, in_thread, settles
from ..provoke import caught
from ..register import requirement
from ..verdict import CouldNotRun

if TYPE_CHECKING:
    from ..subject import AnyWrapper, Subject

_PATIENCE = 2.0  # seconds a pool may let somebody wait who is to be served
_ROUND = 1.5  # seconds within which a pool looks for what the dead have left
_IMPATIENT = 0.2


def _taken(subject: Subject, changes: dict[str, Any], alias: str = "default") -> AnyWrapper:
    wrapper = subject.wrapper(alias, **changes)
    wrapper.connect()
    return wrapper


@requirement(
    "POOL-010",
    "renew leaves what reset, set_autocommit and init_connection_state leave",
    reason="a pool calls it in their place, between two users",
    source="the contract, section 2: SupportsRenew",
    level=3,
    after=("POOL-001", "POOL-002", "POOL-003"),
    blame=("renew", "reset", "init_connection_state"),
    advice="send all that the three send; a subclass that replaces one of them has the three called again",
)
def renews(subject: Subject) -> None:
    subject.needs(SupportsRenew, SupportsReset)
    subject.create_table()
    wrapper = subject.wrapper()
    view, connection = wrapper.backend, wrapper.connection
    left = temporary_table(subject, wrapper)
    if subject.has(SupportsReadOnly):
        wrapper.set_read_only(True)
        wrapper.set_read_only(False)
        view.set_read_only(connection, True)
    view.renew(connection)
    require_temporary_gone(subject, left, wrapper)
    if subject.has(SupportsTransactions):
        view.begin(connection)
        caught(lambda: subject.insert(wrapper, 1))
        view.renew(connection)
        subject.require(subject.count_rows() == 0, "it committed the last user's open transaction", blame="renew")
    error = caught(lambda: subject.insert(wrapper, 2))
    subject.require(error is None, f"after it the next user's INSERT is refused: {error}", blame="renew")
    subject.require(subject.count_rows() == 1, "after it an INSERT was not committed at once", blame="renew")
    wrapper.close()


@requirement(
    "POOL-011",
    "A lease is one user's alone, however many come at once, and there are no more than the pool is to have",
    reason="two users of one session read each other's rows; more sessions than agreed are refused by the server",
    source="Django ticket 19274; the contract, section 2: get_new_connection",
    level=3,
    after=("LIFE-009",),
    blame=("get_new_connection", "close_connection"),
    advice="take what is idle out of the store in one atomic step",
)
def leases_apart(subject: Subject) -> None:
    needs_leases(subject)
    subject.create_table()
    users, places = 6, 3
    backend = subject.backend(**subject.limited(size=places, timeout=_PATIENCE))
    held: set[int] = set()
    twice: list[AnyWrapper] = []
    lock, pause, most = threading.Lock(), threading.Event(), [0]

    def use(_number: int) -> None:
        wrapper = DatabaseWrapper(backend)
        for _ in range(8):
            connection = id(wrapper.connection)
            with lock:
                if twice or connection in held:
                    # Kept as it is, and nobody goes on: drivers crash where two threads talk on one connection.
                    twice.append(wrapper)
                    return
                held.add(connection)
                most[0] = max(most[0], len(held))
            subject.execute(wrapper, f"SELECT count(*) FROM {subject.TABLE}")
            pause.wait(0.002)
            with lock:
                held.discard(connection)
            wrapper.close()

    with behind(subject) as watched:
        error = caught(lambda: at_once(users, use))
        alive = watched.alive()
    subject.require(not twice, "one connection was leased to two at the same time", blame="get_new_connection")
    subject.require(error is None, f"with {users} users of {places} connections one got {error}")
    observed = max(most[0], alive)
    subject.require(observed <= places, f"a pool of {places} had {observed} connections", blame="get_new_connection")


@requirement(
    "POOL-012",
    "A wait for a connection that is too long ends in our OperationalError of the step acquire",
    reason="the error says whether the pool is too small or the server is away",
    source="the contract, section 2: waiting for the pool is not connecting",
    level=3,
    after=("LIFE-009",),
    blame=("get_new_connection",),
    advice='raise a subclass of OperationalError whose step is "acquire"; a library\'s own error is its cause',
)
def out_of_time(subject: Subject) -> None:
    needs_leases(subject)
    limits = subject.limited(size=1, timeout=_IMPATIENT)
    holder = _taken(subject, limits)
    other = subject.wrapper("other", **limits)
    error = caught(other.connect)
    subject.require(error is not None, "a pool of one gave a second connection while the first was held")
    subject.require(
        isinstance(error, OperationalError),
        f"it raised {type(error).__module__}.{type(error).__qualname__}, none of ours: {error}",
    )
    step = getattr(error, "step", None)
    subject.require(step == "acquire", f"the error's step is {step!r}, as if it had tried to open one")
    holder.close()
    error = caught(other.connect)
    subject.require(error is None, f"after the wait the pool gave nothing, though there was one: {error}")
    other.close()


@requirement(
    "POOL-013",
    "The connection used last is the first to be leased again",
    reason="the others become idle long enough to be closed, and what is used stays warm",
    source="the contract, section 7: LIFO",
    level=3,
    keyword="SHOULD",
    after=("LIFE-009",),
    blame=("get_new_connection", "close_connection"),
    advice="keep the idle ones on a stack",
)
def last_in_first_out(subject: Subject) -> None:
    needs_leases(subject)
    wrappers = [_taken(subject, {}, f"alias{number}") for number in range(3)]
    last = id(wrappers[1].connection)
    for wrapper in (wrappers[0], wrappers[2], wrappers[1]):
        wrapper.close()
    again = _taken(subject, {})
    subject.require(id(again.connection) == last, "another one than the one used last was leased")
    again.close()


@requirement(
    "POOL-014",
    "A connection past its greatest lifetime is not leased again",
    reason="servers leak per session, and addresses and certificates change behind a name",
    source="HikariCP's and psycopg_pool's manuals: max_lifetime",
    level=3,
    after=("LIFE-009",),
    blame=("close_connection", "get_new_connection"),
    advice="compare its age when it comes back or is asked for",
)
def lifetime_ends(subject: Subject) -> None:
    needs_leases(subject)
    subject.create_table()
    limits = subject.limited(size=1, timeout=_PATIENCE, lifetime=0.05)
    with behind(subject) as watched:

        def replaced() -> bool:
            _taken(subject, limits).close()
            return len(watched.opened) > 1

        subject.require(
            settles(replaced, 2.5), "2.5 s after it was opened it was leased again, its lifetime being 0.05 s"
        )
        alive = watched.alive()
    subject.require(alive <= 1, f"what was too old was not closed: {alive} connections are open")


@requirement(
    "POOL-015",
    "A connection given back twice is still leased to one at a time",
    reason="a double release is a mistake of one user that two others would pay for",
    source="the contract, section 2: get_new_connection returns what nobody else holds",
    level=3,
    after=("LIFE-009",),
    blame=("close_connection",),
    advice="know what is leased; refuse or ignore what is not",
)
def given_back_twice(subject: Subject) -> None:
    needs_leases(subject)
    view = subject.view()
    connection = view.get_new_connection(view.get_connection_params())
    view.close_connection(connection)
    caught(lambda: view.close_connection(connection))
    first, second = (view.get_new_connection(view.get_connection_params()) for _ in range(2))
    subject.require(first is not second, "what was given back twice was leased to two")
    for leased in (first, second):
        view.close_connection(leased)


@requirement(
    "POOL-016",
    "A lease comes back when its thread dies or its wrapper is dropped",
    reason="a pool that loses a place each time ends with none",
    source="the contract, section 2: SupportsLeases; Django ticket 17258",
    level=3,
    after=("LIFE-009",),
    blame=("drop_connection", "get_new_connection"),
    advice="note each lease's thread, by something that ends with it; put back in drop_connection",
)
def comes_back(subject: Subject) -> None:
    needs_leases(subject)
    subject.create_table()
    limits = subject.limited(size=1, timeout=_PATIENCE)
    backend = subject.backend(**limits)

    def next_is_served(when: str) -> None:
        wrapper = DatabaseWrapper(backend)
        error = caught(wrapper.connect)
        subject.require(error is None, f"after {when} its place in the pool was lost: {error}", blame="drop_connection")
        wrapper.close()

    dropped = DatabaseWrapper(backend)
    dropped.connect()
    del dropped
    next_is_served("a wrapper was dropped")
    kept: list[AnyWrapper] = []
    in_thread(lambda: kept.append(_taken_of(backend)))
    next_is_served("a thread died that had not closed its wrapper")
    subject.require(not kept[0].is_open, "the dead thread's wrapper says that it is open still")


def _taken_of(backend: Any) -> AnyWrapper:
    wrapper: AnyWrapper = DatabaseWrapper(backend)
    wrapper.connect()
    return wrapper


@requirement(
    "POOL-017",
    "A session that ended while it was idle is not leased",
    reason="after a restart of the server each user would fail once",
    source="the contract, section 2: SupportsIsBroken and SupportsPing",
    level=3,
    after=("LIFE-009", "AGE-003"),
    blame=("get_new_connection",),
    advice="ask is_broken() before each lease, and ping() what has been idle for long",
)
def dead_while_idle(subject: Subject) -> None:
    needs_leases(subject)
    if not (subject.has(SupportsIsBroken) or subject.has(SupportsPing)):
        raise CouldNotRun("lacks SupportsIsBroken and SupportsPing: nothing tells a dead session from a living one")
    subject.create_table()
    wrapper = subject.wrapper()
    idle = wrapper.connection
    wrapper.close()
    subject.terminate(idle)
    view = subject.opener()
    settles(lambda: view.is_broken(idle), 1.0)
    error = caught(lambda: subject.execute(wrapper, f"SELECT count(*) FROM {subject.TABLE}"))
    subject.require(error is None, f"a session that had ended while idle was leased: {error}")
    wrapper.close()


@requirement(
    "POOL-018",
    "A lease that breaks in use is closed, and its place is free",
    reason="the next user would get it, or nobody that place",
    source="the contract, section 2: SupportsIsBroken",
    level=3,
    after=("LIFE-009", "AGE-003"),
    blame=("close_connection",),
    advice="when it comes back broken, close it and give back the place",
)
def broken_in_use(subject: Subject) -> None:
    needs_leases(subject)
    subject.create_table()
    limits = subject.limited(size=2, timeout=_PATIENCE)
    wrapper = subject.wrapper(**limits)
    for _ in range(MANY // 4):
        lost = wrapper.connection
        subject.terminate(lost)
        caught(wrapper.close)
        error = caught(lambda: subject.execute(wrapper, f"SELECT count(*) FROM {subject.TABLE}"))
        subject.require(error is None, f"after a lease had broken in use the next one failed: {error}")
        wrapper.close()
        subject.require(not works(subject, subject.opener(), lost), "the kit could not end the session")


@requirement(
    "POOL-019",
    "A lease that a borrowing thread opened stays its wrapper's when that thread ends",
    reason="the owner's transaction would be rolled back under him, and his session be another's",
    source="the contract, section 3: sharing; section 2: SupportsLeases",
    level=3,
    after=("LIFE-009", "POOL-016"),
    blame=("get_new_connection",),
    advice="before a dead thread's lease is ended, ask its handle for the wrapper's owner, who may be alive",
)
def borrowed(subject: Subject) -> None:
    needs_leases(subject)
    subject.create_table()
    backend = subject.backend(**subject.limited(size=1, timeout=_ROUND))
    wrapper: AnyWrapper = DatabaseWrapper(backend)
    with wrapper.shared():
        in_thread(wrapper.connect)
    other: AnyWrapper = DatabaseWrapper(backend)
    caught(other.connect)  # who waits for the only place has the pool look for what the dead have left
    taken = other.is_open or not wrapper.is_open
    subject.require(not taken, "the owner's lease was ended when the thread had died that opened it for him")
    wrapper.close()
