# pyright: strict
"""Params may be any class of the author's own; a driver that ships no types gives ``Any``."""

import importlib
from dataclasses import dataclass
from typing import Any

from typing_extensions import assert_type, override

from backend_sdk import BaseBackend, ConnectionSettings, DatabaseWrapper

untyped_driver: Any = importlib.import_module("sqlite3")


@dataclass(frozen=True)
class Target:
    database: str
    timeout: float = 5.0


class UntypedBackend(BaseBackend[ConnectionSettings, Target, Any, Any], vendor="untyped"):
    @override
    def get_connection_params(self) -> Target:
        return Target(self.settings.name)

    @override
    def get_new_connection(self, params: Target, /) -> Any:
        return untyped_driver.connect(params.database, timeout=params.timeout)

    @override
    def init_connection_state(self, connection: Any, /) -> None:
        connection.execute("PRAGMA foreign_keys = ON")

    @override
    def _cursor(self, connection: Any, /) -> Any:
        return connection.cursor()


backend = UntypedBackend(ConnectionSettings(name=":memory:"))
assert_type(backend.get_connection_params(), Target)
wrapper = DatabaseWrapper(backend)
assert_type(wrapper.connection, Any)
assert_type(wrapper.cursor(), Any)
wrapper.close()
