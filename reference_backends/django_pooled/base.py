"""What Django loads: a wrapper class for each engine that is wrapped, made when it is first named.

A connection comes and goes through ``get_connection_params``, ``get_new_connection``, ``init_connection_state`` and
``_close`` alone, so everything else is the wrapped engine's. The cursors are only noted, to be stopped with the lease.
"""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

from django.db import DEFAULT_DB_ALIAS, utils
from django.db.backends.base.base import NO_DB_ALIAS, BaseDatabaseWrapper
from django.utils.asyncio import async_unsafe

from backend_sdk import Error

from .._pool.owners import Owner, thread_owner
from .creation import DrainingCreation
from .lease import Gone, Lease
from .sessions import DjangoPool, Known
from .settings import Plan, own_settings, plan_of, wrapped_name

__all__ = ["DatabaseWrapper"]


class DatabaseWrapper(BaseDatabaseWrapper):
    """The wrapped engine's own wrapper, pooled: made from settings, it is of a class that derives from both."""

    settings_dict: dict[str, Any]
    connection: Any

    wrapped_class: ClassVar[type[Any] | None] = None
    """The wrapped engine's own wrapper class; this very class has none."""
    wraps: ClassVar[str] = ""
    test_support: ClassVar[str] = "reference_backends.django_pooled.testing:PoolSupport"

    _pooled_lease: Lease | None = None
    _pooled_known: Known | None = None
    _pooled_owner: Owner
    _pooled_plan: Plan

    def __new__(cls, *settings: Any, **named: Any) -> DatabaseWrapper:
        """Made from an alias's settings, which are checked; ``copy.copy`` gives none, to a class that is made already.

        There is no ``__init__``: Django's own dict stays the wrapper's, and is never altered. What Django changes in
        it, the name of a test database, all wrappers of the alias have to see.
        """
        if settings or named:
            return _made(cls, *settings, **named)
        copied: DatabaseWrapper = super().__new__(cls)
        return copied

    def get_connection_params(self) -> Any:
        given = self.settings_dict
        self.settings_dict = own_settings(given, self.alias, self.wraps)
        try:
            return super().get_connection_params()
        finally:
            self.settings_dict = given

    @async_unsafe  # type: ignore[untyped-decorator]  # Django's
    def get_new_connection(self, conn_params: Any) -> Any:
        if not self.is_pooled:
            return super().get_new_connection(conn_params)
        pool = self.pool_for(conn_params)
        try:
            connection = pool.acquire_for(self._pooled_owner)
        except Error as error:
            raise _djangos(error)(f"alias {self.alias!r}: {error}") from error
        try:
            self._pooled_lease = Lease(self, pool, connection)
        except BaseException:
            pool.release(connection)
            raise
        self.__dict__.update(pool.sessions.noted)
        return connection

    def init_connection_state(self) -> None:
        """The wrapped engine's. Where it fails the connection goes back: half made, it must not serve anybody."""
        try:
            super().init_connection_state()
        except BaseException:
            if self._pooled_lease is not None:
                self._close()
                self.connection = None
            raise

    def _close(self) -> None:
        lease = self._pooled_lease
        if lease is None or lease.connection is not self.connection:
            return super()._close()  # type: ignore[no-any-return]  # Django's
        self._pooled_lease = None
        if not self.in_atomic_block:
            self.connection = lease.end()
            return None
        try:
            super()._close()  # for good: Django leaves it in place, so that the rest of the block fails
        finally:
            lease.end()
        return None

    def make_cursor(self, cursor: Any) -> Any:
        return self._noted(super().make_cursor(cursor))

    def make_debug_cursor(self, cursor: Any) -> Any:
        return self._noted(super().make_debug_cursor(cursor))

    def _noted(self, cursor: Any) -> Any:
        return cursor if self._pooled_lease is None else self._pooled_lease.covers(cursor)

    # For our own modules

    @property
    def is_pooled(self) -> bool:
        """Not while there is no database yet, nor for one in memory, which is gone with its last connection."""
        in_memory = getattr(self, "is_in_memory_db", None)
        return self.alias != NO_DB_ALIAS and not (in_memory is not None and in_memory())

    def pool_for(self, conn_params: Any) -> DjangoPool:
        """The pool of the sessions that *conn_params* and the settings open, whatever the alias."""
        own = own_settings(self.settings_dict, self.alias, self.wraps)
        if self._pooled_known is None or not self._pooled_known.still_holds(own, conn_params):
            self._pooled_known = Known.of(self.wrapped_class, own, self.alias, conn_params, self._pooled_plan)
        return self._pooled_known.pool

    def lose_connection(self, gone: Gone) -> None:
        """The lease was ended from elsewhere: its thread is dead, or a fork has brought this wrapper here."""
        self._pooled_lease = None
        if self.in_atomic_block:  # nothing may run outside of the transaction
            self.connection = gone
            self.closed_in_transaction = self.needs_rollback = True
        else:
            self.connection = None


def _made(cls: type[DatabaseWrapper], settings_dict: dict[str, Any], alias: str = DEFAULT_DB_ALIAS) -> DatabaseWrapper:
    """A wrapper yet to be initialized. Raises Django's `ImproperlyConfigured`."""
    if cls.wrapped_class is None:
        cls = pooled_class(wrapped_name(settings_dict, alias))
    wrapper: DatabaseWrapper = object.__new__(cls)
    wrapper._pooled_plan = plan_of(settings_dict, alias)
    own_settings(settings_dict, alias, cls.wraps)  # refuses what does not go together
    wrapper._pooled_owner = thread_owner()
    return wrapper


@cache
def pooled_class(wraps: str) -> type[DatabaseWrapper]:
    """The class for the engine *wraps*. Raises Django's `ImproperlyConfigured` where there is no such engine."""
    wrapped: Any = utils.load_backend(wraps).DatabaseWrapper
    creation = type("DatabaseCreation", (DrainingCreation, wrapped.creation_class), {"__module__": __name__})
    members = {
        "__module__": __name__,
        "__doc__": f"{wraps}, with a pool.",
        "wraps": wraps,
        "wrapped_class": wrapped,
        "creation_class": creation,
    }
    return type("DatabaseWrapper", (DatabaseWrapper, wrapped), members)


def _djangos(error: Error) -> type[Exception]:
    """Django's class for one of ours."""
    names = (cls.__name__ for cls in type(error).__mro__)
    found: type[Exception] = next(getattr(utils, name) for name in names if hasattr(utils, name))
    return found
