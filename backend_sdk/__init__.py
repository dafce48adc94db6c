"""A typed SDK for database backends: contract, wrapper, settings. The face: import from here.

Names that need pydantic are loaded when first asked for, so that a hot module alone costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from . import errors
from .atomic import Atomic
from .backend import BaseBackend, DelegatingBackend, SQLSavepoints, declared_abilities, missing_members, normalize
from .connections import Connections, backend, configure, connection, connections
from .cursor import CheckedCursor, CursorWrapper
from .databases import Databases
from .errors import (
    BlockingCallError,
    ConnectionClosedError,
    DatabaseError,
    DatabaseErrorGroup,
    DataError,
    Error,
    ErrorClasses,
    ImproperlyConfigured,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    ScopeError,
    ThreadSharingError,
    TransactionManagementError,
    UnknownAliasError,
    UnknownEngineError,
)
from .frozen import FrozenDict
from .guard import ExecuteContext, ExecuteHook
from .handle import Handle, handle_of, handles_by_connection, park
from .local import allow_blocking
from .protocols import (
    ABILITIES,
    Backend,
    DBAPICursor,
    SupportsAutocommit,
    SupportsCancel,
    SupportsClose,
    SupportsConfigure,
    SupportsDisconnect,
    SupportsDriverErrors,
    SupportsExpiringCredentials,
    SupportsIsBroken,
    SupportsLeases,
    SupportsNamedCursor,
    SupportsPing,
    SupportsReadOnly,
    SupportsRenew,
    SupportsReset,
    SupportsSavepoints,
    SupportsServerVersion,
    SupportsThreadSafety,
    SupportsTransactionalDDL,
    SupportsTransactions,
    SupportsTransactionStatus,
    TransactionStatus,
)
from .querylog import QueryLog, QueryRecord
from .routing import Route, SeparateConnection, route_connections, separate_connection
from .scope import Scope, Scopes, Signal, scope, scope_finished, scope_started
from .wrapper import DatabaseWrapper

if TYPE_CHECKING:
    from .live import live_server
    from .middleware import ASGIRoute, ASGIScope, WSGIRoute, WSGIScope, atomic_requests
    from .models import ModelConnection, ModelDatabase, alias_for_model
    from .registry import engine_names, load_backend_class, make_backend, register, settings_class_of
    from .settings import ConnectionSettings, CredentialSource, Options
    from .urls import parse_url

__version__ = "0.1.0"

_LATER = {
    "ASGIRoute": "middleware",
    "ASGIScope": "middleware",
    "ConnectionSettings": "settings",
    "CredentialSource": "settings",
    "Options": "settings",
    "ModelConnection": "models",
    "ModelDatabase": "models",
    "WSGIRoute": "middleware",
    "WSGIScope": "middleware",
    "alias_for_model": "models",
    "live_server": "live",
    "atomic_requests": "middleware",
    "engine_names": "registry",
    "load_backend_class": "registry",
    "make_backend": "registry",
    "parse_url": "urls",
    "register": "registry",
    "settings_class_of": "registry",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f".{_LATER[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


__all__ = [
    "ABILITIES",
    "ASGIRoute",
    "ASGIScope",
    "Atomic",
    "Backend",
    "BaseBackend",
    "BlockingCallError",
    "CheckedCursor",
    "ConnectionClosedError",
    "ConnectionSettings",
    "Connections",
    "CredentialSource",
    "CursorWrapper",
    "DBAPICursor",
    "DataError",
    "DatabaseError",
    "DatabaseErrorGroup",
    "DatabaseWrapper",
    "Databases",
    "DelegatingBackend",
    "Error",
    "ErrorClasses",
    "ExecuteContext",
    "ExecuteHook",
    "FrozenDict",
    "Handle",
    "ImproperlyConfigured",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "ModelConnection",
    "ModelDatabase",
    "NotSupportedError",
    "OperationalError",
    "Options",
    "ProgrammingError",
    "QueryLog",
    "QueryRecord",
    "Route",
    "SQLSavepoints",
    "Scope",
    "ScopeError",
    "Scopes",
    "SeparateConnection",
    "Signal",
    "SupportsAutocommit",
    "SupportsCancel",
    "SupportsClose",
    "SupportsConfigure",
    "SupportsDisconnect",
    "SupportsDriverErrors",
    "SupportsExpiringCredentials",
    "SupportsIsBroken",
    "SupportsLeases",
    "SupportsNamedCursor",
    "SupportsPing",
    "SupportsReadOnly",
    "SupportsRenew",
    "SupportsReset",
    "SupportsSavepoints",
    "SupportsServerVersion",
    "SupportsThreadSafety",
    "SupportsTransactionStatus",
    "SupportsTransactionalDDL",
    "SupportsTransactions",
    "ThreadSharingError",
    "TransactionManagementError",
    "TransactionStatus",
    "UnknownAliasError",
    "UnknownEngineError",
    "WSGIRoute",
    "WSGIScope",
    "alias_for_model",
    "allow_blocking",
    "atomic_requests",
    "backend",
    "configure",
    "connection",
    "connections",
    "declared_abilities",
    "engine_names",
    "errors",
    "handle_of",
    "handles_by_connection",
    "live_server",
    "load_backend_class",
    "make_backend",
    "missing_members",
    "normalize",
    "park",
    "parse_url",
    "register",
    "route_connections",
    "scope",
    "scope_finished",
    "scope_started",
    "separate_connection",
    "settings_class_of",
]
