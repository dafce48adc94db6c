"""What both servers have in common."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

__all__ = ["ServerSupport"]

_OF_THE_WAY = ("ssl", "gss", "channel_binding", "service", "passfile", "read_default", "unix_socket", "charset")
"""Options that say how the server is reached, by their beginnings: a second session needs them too."""


class ServerSupport:
    """A database of its own for each check, and the driver's connect arguments."""

    options: ClassVar[Mapping[str, Any]] = {}
    """One option at least, that can be seen to go."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    @contextmanager
    def database(self, mapping: Mapping[str, Any], _workdir: Path) -> Iterator[Mapping[str, Any]]:
        """One of its own for each check; where the user may make none, the one that the settings name."""
        name = f"conformance_{secrets.token_hex(4)}"
        try:
            self.create(mapping, name)
        except self.driver.Error:
            with closing(self.witness(mapping)):  # the server answers, so it was the right to make one
                yield {"OPTIONS": self.given_options(mapping)}
            return
        try:
            yield {"NAME": name, "OPTIONS": self.given_options(mapping)}
        finally:
            self.drop(mapping, name)

    def given_options(self, mapping: Mapping[str, Any]) -> dict[str, Any]:
        return dict(mapping.get("OPTIONS") or self.options)

    def create(self, mapping: Mapping[str, Any], name: str) -> None:
        raise NotImplementedError

    def drop(self, mapping: Mapping[str, Any], name: str) -> None:
        raise NotImplementedError

    def witness(self, mapping: Mapping[str, Any]) -> Any:
        raise NotImplementedError

    def arguments(self, mapping: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
        """The driver's connect arguments. Empty is absent: an empty host is another one than none."""
        given = {argument: mapping.get(key) for key, argument in names.items()}
        options = mapping.get("OPTIONS") or {}
        way = {key: value for key, value in options.items() if key.startswith(_OF_THE_WAY)}
        return way | {argument: value for argument, value in given.items() if value}

    def scalar(self, mapping: Mapping[str, Any], statement: str) -> Any:
        with closing(self.witness(mapping)) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(statement)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None
