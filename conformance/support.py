"""What the author of a backend can tell the kit about his database: all of it optional.

Give a backend class an attribute ``test_support``: a class that has any of `TestSupport`'s methods, or its
path as text (``"my_package.testing:Support"``), so that nothing of it is imported in production. Nothing has to
be inherited. A method that is absent leaves the checks that need it as "could not run: lacks ...".
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TestSupport"]

ConnT = TypeVar("ConnT")


class TestSupport(Protocol[ConnT]):
    """Every member is optional; *mapping* is an alias mapping in Django's upper-case form, with its ENGINE."""

    __test__: bool = False  # pytest would take the name for a test class

    def server(self, workdir: Path, /) -> AbstractContextManager[Mapping[str, Any]]:
        """Find or start a server for the whole run; yields the alias mapping to reach it, without ENGINE.

        Called once, only where the user gave no settings. Raise `OSError` with one line if there is none to be had.
        """
        ...

    def database(self, mapping: Mapping[str, Any], workdir: Path, /) -> AbstractContextManager[Mapping[str, Any]]:
        """A fresh, empty database or schema for one check. Default: NAME, if not given, is a file in *workdir*."""
        ...

    def witness(self, mapping: Mapping[str, Any], /) -> ConnT:
        """A second session by the driver's own means, in autocommit. Default: by ``get_new_connection``."""
        ...

    def sessions(self, mapping: Mapping[str, Any], /) -> int:
        """How many sessions are open on the database now, the asking one not counted."""
        ...

    def terminate(self, mapping: Mapping[str, Any], connection: ConnT, /) -> None:
        """End *connection*'s session from outside, as an administrator or a lost network would."""
        ...

    def pool_limits(
        self, mapping: Mapping[str, Any], /, *, size: int = 0, timeout: float = 0.0, lifetime: float = 0.0
    ) -> Mapping[str, Any]:
        """Of a pool: *mapping* with the limits that are not 0. Times are seconds, which may be rounded up."""
        ...

    def sleep_statement(self, seconds: float, /) -> str:
        """A statement that takes *seconds* at the server."""
        ...

    def type_names(self) -> Mapping[str, str]:
        """SQL types for the kit's tables. Default: ``{"integer": "INTEGER", "text": "VARCHAR(100)"}``."""
        ...
