"""Fresh databases under the aliases ``default`` and ``other``, and the wrappers made for them."""

from __future__ import annotations

import contextlib
import copy
import importlib
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..verdict import CouldNotRun, NotApplicable
from .engine import Engine
from .witness import Witness

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Aliases"]


class Aliases:
    """A context manager: a database is made when its alias is first asked for, and all are let go of at the end."""

    def __init__(self, target: Engine, workdir: Path) -> None:
        self.target = target
        self.cls = target.cls
        self.workdir = workdir
        self._unmade: set[str] = set()
        self.TABLE = f"conformance_{secrets.token_hex(4)}"
        self._stack = ExitStack()
        self._wrappers: list[Any] = []

    def __enter__(self) -> Self:
        self.db: Any = importlib.import_module("django.db")
        databases = {alias: dict(copy.deepcopy(table)) for alias, table in self.target.settings["DATABASES"].items()}
        if not databases.get("other"):
            databases["other"] = copy.deepcopy(databases["default"])
        for alias, table in databases.items():
            table.setdefault("ENGINE", self.target.engine)
            if alias in {"default", "other"} and getattr(getattr(self.cls, "Database", None), "sqlite_version", None):
                table.setdefault("OPTIONS", {"timeout": 5})  # one option at least, that can be seen to go
        handler = self.db.connections
        handler.settings = handler.configure_settings(databases)
        importlib.import_module("django.conf").settings.DATABASES = handler.settings
        self._unmade = {"default", "other"}
        return self

    def _make(self, alias: str, table: dict[str, Any]) -> None:
        """The database of *alias*, when it is first asked for: few checks need a second one."""
        self._unmade.discard(alias)
        folder = self.workdir / alias
        folder.mkdir()
        database = getattr(self.target.support, "database", None)
        if database is not None:
            try:
                table.update(self._stack.enter_context(database(dict(table), folder)))
            except (CouldNotRun, NotApplicable):
                raise
            except Exception as error:
                raise CouldNotRun(f"no fresh database could be made: {' '.join(str(error).split())}") from error
        elif not table.get("NAME"):
            table["NAME"] = str(folder / "conformance.db")

    def __exit__(self, *_exception: object) -> None:
        self.let_go()
        try:
            self._stack.close()
        except Exception as error:  # the verdict is on the engine, not on the tidying up
            print(f"what the check has made could not be removed: {error}")

    def let_go(self) -> None:
        """Close every wrapper that was made here, and Django's own pools."""
        for wrapper in self._wrappers:
            ends: list[Callable[[], object]] = [
                lambda: setattr(wrapper, "in_atomic_block", False),  # noqa: B023 - run at once
                wrapper.close,
                lambda: wrapper.close_pool(),  # noqa: B023 - Django's own pool, from 5.1 on
            ]
            for end in ends:
                with contextlib.suppress(Exception):
                    end()
        self._wrappers.clear()

    # What it is made of

    @property
    def mapping(self) -> dict[str, Any]:
        """The settings of the alias ``default``."""
        return self.alias_settings()

    @property
    def has_two_databases(self) -> bool:
        """Whether the alias ``other`` leads elsewhere."""
        keys = ("NAME", "HOST", "PORT")
        default, other = self.alias_settings(), self.alias_settings("other")
        return [default.get(key) for key in keys] != [other.get(key) for key in keys]

    @property
    def is_file(self) -> bool:
        """Whether the databases are files that the kit has made, one per alias."""
        return str(self.workdir) in str(self.mapping.get("NAME", ""))

    def alias_settings(self, alias: str = "default") -> dict[str, Any]:
        """The dict that Django hands to every wrapper of *alias*, in every thread. An unknown alias has default's."""
        known: dict[str, dict[str, Any]] = self.db.connections.settings
        found = known[alias if alias in known else "default"]
        if alias in self._unmade or (alias not in known and "default" in self._unmade):
            self._make(alias if alias in known else "default", found)
        return found

    def wrapper(self, alias: str = "default", **changes: Any) -> Any:
        """A new wrapper, as Django makes one, and this thread's for *alias*. *changes*: keys in upper case."""
        wrapper = self.loose(alias, **changes)
        self.db.connections[alias] = wrapper
        return wrapper

    def loose(self, alias: str = "default", **changes: Any) -> Any:
        """A new wrapper that `connections` does not know; with *changes*, its settings are a copy."""
        settings = self.alias_settings(alias)
        if changes:
            settings = {**copy.deepcopy(settings), **changes}
        wrapper = self.cls(settings, alias)
        self._wrappers.append(wrapper)
        return wrapper

    def forget(self, wrapper: Any) -> None:
        """The caller takes over: it is not closed at the end, nor kept alive till then."""
        self._wrappers = [other for other in self._wrappers if other is not wrapper]
        with contextlib.suppress(AttributeError):
            if self.db.connections[wrapper.alias] is wrapper:
                del self.db.connections[wrapper.alias]

    def witness(self, alias: str = "default") -> Witness:
        """A second session by the driver's own means."""
        settings = self.alias_settings(alias)
        made = getattr(self.target.support, "witness", None)
        if made is not None:
            return Witness(made(settings))
        database = getattr(self.cls, "Database", None)
        if not callable(getattr(database, "connect", None)):
            raise CouldNotRun("lacks witness(): the engine's Database has no connect(); give CONFORMANCE.test_support")
        params = dict(self.cls(copy.deepcopy(settings), alias).get_connection_params())
        params.pop("pool", None)
        return Witness(database.connect(**params))  # type: ignore[union-attr]  # a module that has connect()
