"""A Django ENGINE that wraps any other and takes its connections from our pool.

    DATABASES = {
        "default": {
            "ENGINE": "reference_backends.django_pooled",
            "OPTIONS": {"WRAPS": "django.db.backends.postgresql", "POOL": {"max_size": 20, "timeout": 5}},
            ...
        }
    }

WRAPS names the engine; POOL has the pool's options (`PoolOptions`, and ``expiring_params``); every other option is the
wrapped engine's own, which sees neither. Closing a wrapper gives its connection back; the next user finds a session as
the wrapped engine opens it. What a connection is opened with decides whose pool it is from, never the alias.

RESET_WITH, for a driver that is not known here, names a backend of the SDK that can reset, or a function that takes
the driver's connection. Without any, ``POOL {"reset": "trusted"}`` leaves all but an open transaction to the
application.

Source: Django ticket 19274.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .sessions import DjangoPool

__all__ = ["drain", "pool_of"]


def pool_of(connection: Any) -> DjangoPool:
    """The pool that *connection*, one of ``django.db.connections``, takes from now: for its ``statistics()``.

    Raises `ImproperlyConfigured` of Django's for one that is not pooled.
    """
    from django.core.exceptions import ImproperlyConfigured
    from django.utils.connection import ConnectionProxy

    from .base import DatabaseWrapper

    if isinstance(connection, ConnectionProxy):
        connection = connection._connections[connection._alias]
    if not isinstance(connection, DatabaseWrapper) or not connection.is_pooled:
        raise ImproperlyConfigured(f"{connection!r} takes from no pool")
    return connection.pool_for(connection.get_connection_params())


def drain() -> None:
    """Close every connection of this process's pools of Django's: the idle now, the leased when they come back."""
    from .sessions import drain_all

    drain_all()
