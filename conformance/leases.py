"""Instruments for checks of pools: the backend behind a pool, watched; what a user may leave in a session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

from backend_sdk import DelegatingBackend, Error, SupportsLeases

from .provoke import caught
from .verdict import NotApplicable

if TYPE_CHECKING:
    from .subject import AnyBackend, AnyWrapper, Subject

__all__ = [
    "MANY",
    "Behind",
    "behind",
    "needs_leases",
    "require_each_comes_back",
    "require_temporary_gone",
    "temporary_table",
    "works",
]

MANY = 24
"""More than most pools have places: what loses one each time has none left."""

_STEPS = (
    "get_connection_params", "get_new_connection", "configure_connection", "set_autocommit", "init_connection_state",
)  # fmt: skip


class Behind:
    """What the pool under test asks of the backend that it wraps.

    ``log`` has the methods' names; ``opened`` the connections, ``params`` what each was opened with. *fail_in* names
    a method that raises after the real one has done its work.
    """

    def __init__(self, subject: Subject) -> None:
        self.fail_in = ""
        self.log: list[str] = []
        self.opened: list[Any] = []
        self.params: list[Any] = []
        self._subject = subject

    def alive(self) -> int:
        """How many of the connections that it opened still run statements."""
        view = self._subject.opener()
        return sum(works(self._subject, view, connection) for connection in self.opened)

    def watching(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(backend: Any, *args: Any) -> Any:
            result = method(backend, *args)
            self.log.append(name)
            if name == "get_new_connection":
                self.opened.append(result)
                self.params.append(*args)
            if name == self.fail_in:
                raise RuntimeError("the kit's own failure behind the pool")
            return result

        return call


@contextmanager
def behind(subject: Subject) -> Iterator[Behind]:
    """Watch the class behind the pool: the pool knows its own instance, made before or after, by this process alone."""
    watched = Behind(subject)
    opener = subject.opener()
    cls: Any = type(opener.wrapped if isinstance(opener, DelegatingBackend) else opener)
    before = {name: vars(cls).get(name) for name in _STEPS}
    for name in _STEPS:
        if hasattr(cls, name):
            setattr(cls, name, watched.watching(name, getattr(cls, name)))
    try:
        yield watched
    finally:
        for name, method in before.items():
            if method is not None:
                setattr(cls, name, method)
            elif name in vars(cls):
                delattr(cls, name)


def works(subject: Subject, view: AnyBackend, connection: Any) -> bool:
    """Whether the raw *connection* runs statements."""
    return caught(lambda: view.execute_statement(connection, f"SELECT count(*) FROM {subject.TABLE}")) is None


def require_each_comes_back(subject: Subject, lease: Callable[[], None]) -> None:
    """*lease* takes one and ends it: as often as wanted, and always with the one session."""
    with behind(subject) as watched:
        for _ in range(MANY):
            error = caught(lease)
            subject.require(error is None, f"what was closed did not come back to the pool: {error}")
        left = watched.alive()
    subject.require(left <= 1, f"{MANY} leases, one after the other, left {left} sessions open")


def needs_leases(subject: Subject) -> None:
    """Raise `NotApplicable` for what opens a connection at each connect."""
    if SupportsLeases not in subject.view().abilities:
        raise NotApplicable("the backend opens a connection at each connect: it is no pool")


def temporary_table(subject: Subject, wrapper: AnyWrapper) -> str:
    """Leave a temporary table in the session; its name, empty where the database has none."""
    table = f"{subject.TABLE}_t"
    try:
        subject.execute(wrapper, f"CREATE TEMPORARY TABLE {table} (id {subject.type_name('integer')})")
    except Error:
        return ""
    return table


def require_temporary_gone(subject: Subject, table: str, wrapper: AnyWrapper) -> None:
    """The session of *wrapper* does not have the temporary *table* of its last user."""
    if table:
        error = caught(lambda: subject.execute(wrapper, f"SELECT id FROM {table}"))
        subject.require(error is not None, "the next lease can read the last one's temporary table", blame="reset")
