"""Wrong in their identity: equal where they are not, or holding what is not theirs."""

from __future__ import annotations

import sqlite3
import threading
from typing import Any, ClassVar

from typing_extensions import override

from ..baseline import BaselineBackend, BaselineCursor, BaselineParams, BaselineSettings
from . import mutant
from .typing_ import StructuralBackend


@mutant("ID-001", says="it cannot be hashed")
class EqualAndUnhashable(StructuralBackend):
    """It defines equality, and so loses its hash."""

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, EqualAndUnhashable) and other.settings == self.settings


@mutant("ID-001", says="its hash changed")
class HashOfItsState(StructuralBackend):
    """Its hash counts the connections that it has opened."""

    opened = 0

    @override
    def __hash__(self) -> int:
        return self.opened

    @override
    def __eq__(self, other: object) -> bool:
        return self is other

    @override
    def get_new_connection(self, params: dict[str, Any], /) -> sqlite3.Connection:
        self.opened += 1
        return super().get_new_connection(params)


@mutant("ID-001", says="two equal backends have different hashes")
class HashOfTheObject(StructuralBackend):
    """Its equality is by settings and its hash by object."""

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, HashOfTheObject) and other.settings == self.settings

    @override
    def __hash__(self) -> int:
        return id(self)


@mutant("ID-002", says="two backends of equal settings are not equal")
class EqualToItselfAlone(BaselineBackend):
    """It is equal to nothing but itself."""

    @override
    def _same_inside(self, other: object) -> bool:
        return self is other


@mutant("ID-003", says="a backend with another NAME is equal")
class EqualByClass(StructuralBackend):
    """It is equal to every other one of its class."""

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, EqualByClass)

    @override
    def __hash__(self) -> int:
        return 1


@mutant("ID-004", says="the connection in self._connection")
class KeepsConnection(BaselineBackend):
    """It keeps the last connection on itself."""

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        self._connection = super().get_new_connection(params)
        return self._connection


@mutant("ID-004", says="the connection in KeepsConnections.everything")
class KeepsConnections(BaselineBackend):
    """It keeps every connection in a list on the class."""

    everything: ClassVar[list[sqlite3.Connection]] = []

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        super().init_connection_state(connection)
        self.everything.append(connection)


@mutant("ID-004", says="a cursor in self._cursors")
class KeepsCursors(BaselineBackend):
    """It keeps the cursors it has made."""

    def __init__(self, settings: BaselineSettings) -> None:
        super().__init__(settings)
        self._cursors: dict[int, BaselineCursor] = {}

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        cursor = super()._cursor(connection)
        self._cursors[id(cursor)] = cursor
        return cursor


@mutant("ID-005", says="gave the params of the one made before it")
class ParamsOnTheClass(BaselineBackend):
    """It keeps its params on the class, so the first one's are everybody's."""

    _params: ClassVar[list[BaselineParams]] = []

    @override
    def get_connection_params(self) -> BaselineParams:
        if not self._params:
            self._params.append(super().get_connection_params())
        return self._params[0].copy()


@mutant("ID-005", says="a new one gave other params than before")
class OptionsOnTheClass(BaselineBackend):
    """It collects values of all its instances on the class."""

    _names: ClassVar[set[str]] = set()

    @override
    def get_connection_params(self) -> BaselineParams:
        self._names.add(self.settings.name)
        return {**super().get_connection_params(), "timeout": 5.0 + len(self._names)}


@mutant("ID-006", says="the first one saw 0 row(s) instead of 1")
class CursorOfTheLast(BaselineBackend):
    """_cursor takes the connection opened last, not the one it is given."""

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        self._last = connection
        super().init_connection_state(connection)

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return super()._cursor(getattr(self, "_last", connection))


@mutant("ID-007", says="in another thread it raised AttributeError")
class ThreadLocalParams(BaselineBackend):
    """It keeps its params in a threading.local, filled by the thread that made it."""

    def __init__(self, settings: BaselineSettings) -> None:
        super().__init__(settings)
        self._local = threading.local()
        self._local.params = super().get_connection_params()

    @override
    def get_connection_params(self) -> BaselineParams:
        params: BaselineParams = self._local.params.copy()
        return params


@mutant("ID-008", says="a copy of it has other settings")
class CopiesEmpty(BaselineBackend):
    """Its copy forgets the options."""

    def __copy__(self) -> CopiesEmpty:
        return CopiesEmpty(BaselineSettings(name=self.settings.name))


@mutant("ID-009", says="a Pickles was pickled")
class Pickles(BaselineBackend):
    """It can be pickled, settings and all."""

    @override
    def __reduce__(self) -> Any:
        return _unpickle, (self.settings.name,)


def _unpickle(name: str) -> Pickles:
    return Pickles(BaselineSettings(name=name))
