"""Who is compared, one small module each, imported only when a row asks for it.

A module offers ``OPERATIONS``: the name of an operation, and a context manager that sets the stage and
yields the loop to time. Each loop is written out inline, so that no call of ours is timed with it, and
in the way the peer's own users would write it.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from types import ModuleType

from benchmarks.measure import Loop
from benchmarks.rows import NotInstalledError

Opener = Callable[[], AbstractContextManager[Loop]]


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a contender lives, and the distribution without which it cannot be asked."""

    module: str
    distribution: str | None = None

    @property
    def installed(self) -> bool:
        """Whether its distribution can be imported; an error inside a peer is not an absence."""
        return self.distribution is None or importlib.util.find_spec(self.distribution) is not None

    def load(self) -> ModuleType:
        """The module, imported now."""
        if not self.installed:
            raise NotInstalledError(self.distribution)
        return importlib.import_module(self.module)

    def opener(self, operation: str) -> Opener:
        """The stage of one operation."""
        operations: Mapping[str, Opener] = self.load().OPERATIONS
        return operations[operation]

    def wrapper_maker(self) -> Callable[[], object]:
        """What makes unopened wrappers."""
        make: Callable[[], object] = self.load().wrapper_maker()
        return make


PEERS: Mapping[str, Peer] = {
    "raw": Peer("benchmarks.peers.raw"),
    "raw again": Peer("benchmarks.peers.raw"),
    "ours": Peer("benchmarks.ours"),
    "django": Peer("benchmarks.peers.django_peer", "django"),
    "sqlalchemy": Peer("benchmarks.peers.sqlalchemy_peer", "sqlalchemy"),
    "peewee": Peer("benchmarks.peers.peewee_peer", "peewee"),
}


def versions() -> Mapping[str, str]:
    """The version of each distribution compared here, or that it is not installed."""
    distributions = [peer.distribution for peer in PEERS.values() if peer.distribution]
    return {name: version(name) if importlib.util.find_spec(name) else "not installed" for name in distributions}
