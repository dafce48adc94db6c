"""Databases that the checks of one run use one after the other, each by one process at a time.

A server takes a fifth of a second of a processor to make a database, which is more than most checks need.
"""

from __future__ import annotations

import fcntl
import itertools
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Place", "Shelf"]


class Place:
    """One database's name, and whether it has been made."""

    def __init__(self, name: str, file: Path) -> None:
        self.name = name
        self._file = file

    @property
    def is_made(self) -> bool:
        return self._file.stat().st_size > 0

    def made(self) -> None:
        self._file.write_text(self.name)


class Shelf:
    """The places, as files in *folder*, which the processes of one run share. A lock ends with its process."""

    def __init__(self, folder: Path) -> None:
        self.prefix = f"conformance_{secrets.token_hex(4)}_"
        self._folder = folder

    @contextmanager
    def place(self) -> Iterator[Place]:
        """The first place that nobody else has, for the length of the block."""
        for number in itertools.count():
            path = self._folder / f"database-{number}"
            with path.open("a") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                yield Place(f"{self.prefix}{number}", path)
                return

    def names(self) -> list[str]:
        """The databases that have been made."""
        return [text for path in sorted(self._folder.glob("database-*")) if (text := path.read_text())]
