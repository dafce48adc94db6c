"""A pool of the sessions that a Django engine opens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from typing_extensions import override

from backend_sdk import ConnectionSettings, DelegatingBackend, FrozenDict, Options

from .._pool.owners import Owner
from .._pool.pool import Pool
from .._pool.registry import default_pools
from .drivers import Care, care_for
from .settings import Plan, copied

__all__ = ["DjangoPool", "DjangoSessions", "Known", "drain_all"]

# What tells two sessions apart, of an alias's settings: not how they are used, nor the alias.
_SESSION = ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT", "TIME_ZONE", "OPTIONS")

# What Django gives a connection when it opens it, on this side of the line. A reset gives it the driver's defaults.
_OF_THE_CLIENT = (
    "cursor_factory", "server_cursor_factory", "row_factory", "prepare_threshold", "prepared_max", "isolation_level",
    "read_only", "deferrable", "text_factory",
)  # fmt: skip

_KEPT_APART = {"connection", "settings_dict"}  # of what an opener's state has: never a wrapper's

Opening = tuple[Any, Any]


class SessionOptions(Options, frozen=True):
    """All that the sessions are opened with."""

    settings: Mapping[str, Any] = FrozenDict()
    params: Mapping[str, Any] = FrozenDict()
    reset_with: Any = None


class SessionSettings(ConnectionSettings, frozen=True):
    """For the fingerprint."""

    options: SessionOptions = SessionOptions()


class DjangoSessions(DelegatingBackend[SessionSettings, Opening, Any, Any], vendor="django"):
    """Opens as the Django engine does, and looks after what is open as the driver's *care* can."""

    def __init__(self, engine: Any, own: Mapping[str, Any], alias: str, params: Any, care: Care, plan: Plan) -> None:
        self._engine = engine
        self._care = care
        self._own = own
        self._alias = alias
        self._params = params
        self._expiring = frozenset(plan.options.expiring_params)
        self.noted: dict[str, Any] = {}
        """What the engine notes on its wrapper while it opens a connection: it is true of all from this pool."""
        self._of_the_client: dict[str, Any] = {}
        self._adapters: Any = None
        self._init_commands: list[str] = []
        told_apart = {key: own[key] for key in _SESSION if key in own}
        options = SessionOptions(settings=told_apart, params=_steady(params, plan), reset_with=plan.reset_with)
        super().__init__(care, SessionSettings(options=options))

    @override
    def __repr__(self) -> str:
        place = self._own.get("HOST") or "this machine"
        return f"<{self._own['ENGINE']} {self._own.get('NAME')!r} on {place}>"

    @override
    def get_connection_params(self) -> Opening:
        """A wrapper of the engine's own, which is nobody's, and what to open with."""
        opener = self._engine(copied(self._own), self._alias)
        now = opener.get_connection_params()  # also for what the engine notes on the way
        return opener, {**self._params, **{key: now[key] for key in self._expiring if key in now}}

    @override
    def get_new_connection(self, opening: Opening, /) -> Any:
        opener, params = opening
        before = dict(vars(opener))
        connection = opener.get_new_connection(params)
        self.noted = {
            name: value
            for name, value in vars(opener).items()
            if name not in _KEPT_APART and (name not in before or before[name] is not value)
        }
        self._of_the_client = {name: getattr(connection, name) for name in _OF_THE_CLIENT if hasattr(connection, name)}
        self._adapters = _copied_adapters(connection)
        self._init_commands = [text.strip() for text in getattr(opener, "init_commands", ()) if text.strip()]
        return connection

    @override
    def init_connection_state(self, connection: Any, /) -> None:
        """Each wrapper does it for itself, as Django has it."""

    @override
    def reset(self, connection: Any, /) -> None:
        self.renew(connection)

    @override
    def renew(self, connection: Any, /) -> None:
        """Make it what the engine's own ``get_new_connection`` returns."""
        self._care.renew(connection)
        for name, value in self._of_the_client.items():
            if getattr(connection, name) != value:
                setattr(connection, name, value)
        if self._adapters is not None:  # psycopg's, which has no public way to replace them
            connection._adapters = type(self._adapters)(self._adapters)
        for statement in self._init_commands:
            connection.execute(statement)


def _copied_adapters(connection: Any) -> Any:
    """The driver's adapters as the engine has made them, where it keeps any on the connection."""
    made = getattr(connection, "_adapters", None)
    return None if made is None else type(made)(made)


def _steady(params: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """What stays from one open to the next."""
    return {key: value for key, value in params.items() if key not in plan.options.expiring_params}


class DjangoPool(Pool[Any]):
    """A lease is the wrapper's owner's: not a task's, nor that of a thread which a wrapper is only lent to."""

    def acquire_for(self, owner: Owner) -> Any:
        """As `acquire`."""
        connection = self.acquire()
        slot = self._slot_of(connection)
        assert slot is not None
        slot.owner = owner
        return connection

    @property
    def sessions(self) -> DjangoSessions:
        backend = self._backend
        assert isinstance(backend, DjangoSessions)
        return backend


@dataclass(frozen=True)
class Known:
    """A pool, and what it was found by: so that a wrapper need not look for it at each connect."""

    pool: DjangoPool
    settings: Mapping[str, Any]
    params: Mapping[str, Any]
    plan: Plan

    def still_holds(self, own: Mapping[str, Any], params: Any) -> bool:
        same = all(own.get(key) == self.settings.get(key) for key in _SESSION)
        return same and _steady(params, self.plan) == self.params and not self.pool.is_closed

    @classmethod
    def of(cls, engine: Any, own: Mapping[str, Any], alias: str, params: Any, plan: Plan) -> Self:
        """The process's pool for this, made if need be."""
        care = care_for(engine, own, params, plan.reset_with, full=plan.options.reset == "full")
        kept = copied(params)
        sessions = DjangoSessions(engine, own, alias, kept, care, plan)
        pool = default_pools().pool_for(sessions, plan.options, DjangoPool)
        return cls(pool, own, _steady(kept, plan), plan)


def drain_all() -> None:
    """Close what is idle in every pool of this process, dead threads' leases included; the leased, on their return."""
    for pool in default_pools().pools:
        if isinstance(pool, DjangoPool):
            pool.upkeep()
            pool.drain()
