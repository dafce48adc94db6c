# pyright: strict
"""What is written for every backend keeps the types of the one it is given."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any, TypeVar

from typing_extensions import assert_type

from backend_sdk import Backend, BaseBackend, DatabaseWrapper, DBAPICursor, SupportsPing, make_backend, normalize
from reference_backends.sqlite3 import SQLiteBackend, SQLiteCursor

ParamsT = TypeVar("ParamsT")
ConnT = TypeVar("ConnT")
CursorT = TypeVar("CursorT", bound=DBAPICursor)


def opened(backend: Backend[ParamsT, ConnT, CursorT]) -> ConnT:
    connection = backend.get_new_connection(backend.get_connection_params())
    view = normalize(backend)
    view.configure_connection(connection)
    view.init_connection_state(connection)
    return connection


def pinged(backend: SupportsPing[ConnT], connection: ConnT) -> ConnT:
    backend.ping(connection)
    return connection


def run(wrapper: DatabaseWrapper[ConnT, CursorT], sql: str, look: Callable[[CursorT], object]) -> CursorT:
    with closing(wrapper.cursor()) as cursor:
        cursor.execute(sql)
        look(cursor)
        return cursor


def widened(backend: Backend[Any, sqlite3.Connection, DBAPICursor]) -> DBAPICursor:
    return DatabaseWrapper(backend).cursor()


def known_to_the_checker(backend: SQLiteBackend) -> None:
    assert_type(opened(backend), sqlite3.Connection)
    assert_type(pinged(backend, opened(backend)), sqlite3.Connection)
    assert_type(run(DatabaseWrapper(backend), "SELECT 1", id), SQLiteCursor)
    assert_type(normalize(backend), BaseBackend[Any, Any, sqlite3.Connection, SQLiteCursor])
    assert_type(widened(backend), DBAPICursor)  # a cursor class is taken for any that it is a subclass of


def known_at_run_time() -> None:
    made = make_backend({"ENGINE": "sqlite3", "NAME": ":memory:"})
    assert_type(made, Backend[Any, Any, Any])
    assert_type(DatabaseWrapper(made).cursor(), Any)
