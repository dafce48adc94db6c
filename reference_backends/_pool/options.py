"""What can be said about a pool, and its settings in the ``ENGINE "pooled"`` form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from backend_sdk import (
    Backend,
    ConnectionSettings,
    ImproperlyConfigured,
    Options,
    load_backend_class,
    settings_class_of,
)

__all__ = ["PoolOptions", "PooledOptions", "PooledSettings", "pooled_settings", "wrapped_backend"]


class PoolOptions(Options, frozen=True):
    """Times are seconds; None is never. ``timeout``: how long an acquisition waits for its turn.

    ``reset="full"`` resets and initializes a session after each lease, so that the next user finds what the settings
    ask and nothing else. ``"trusted"`` leaves all but an open transaction to the application, as other pools do.
    """

    min_size: int = Field(default=0, ge=0)
    max_size: int = Field(default=10, ge=1)
    timeout: float = Field(default=30.0, ge=0)
    max_idle: float | None = Field(default=600.0, gt=0)
    max_lifetime: float | None = Field(default=3600.0, gt=0)
    ping_after: float | None = Field(default=30.0, ge=0)
    reset: Literal["full", "trusted"] = "full"

    @model_validator(mode="after")
    def _min_within_max(self) -> Self:
        if self.min_size > self.max_size:
            raise ValueError(f"min_size {self.min_size} is more than max_size {self.max_size}")
        return self


class PooledOptions(Options, frozen=True, extra="allow"):
    """``wraps`` names the engine behind the pool; all but ``pool`` is that engine's own option."""

    wraps: str = Field(min_length=1)
    pool: PoolOptions = PoolOptions()


class PooledSettings(ConnectionSettings, frozen=True):
    """The wrapped database's settings, with ENGINE "pooled" and OPTIONS ``{"wraps": "postgresql", ...}``."""

    engine: str = "pooled"
    options: PooledOptions = Field(default={}, validate_default=True)  # so that what lacks is named: wraps


def wrapped_backend(settings: PooledSettings) -> Backend[Any, Any, Any]:
    """The backend behind the pool, made from a copy: the settings given stay as they are, ``wraps`` included."""
    options = settings.options
    place = f"{options.wraps}, wrapped by a pool"
    cls = load_backend_class(options.wraps)
    values: dict[str, object] = {
        name.upper(): getattr(settings, name) for name in ConnectionSettings.model_fields if name != "options"
    }
    own = settings_class_of(cls).from_mapping(
        {**values, "ENGINE": options.wraps, "OPTIONS": dict(options.model_extra or {})}, alias=place
    )
    make: Any = cls  # a backend is made from its settings alone
    made: Backend[Any, Any, Any] = make(own)
    return made


def pooled_settings(wrapped: Backend[Any, Any, Any], options: PoolOptions, engine: str) -> PooledSettings:
    """The settings of a pool around *wrapped*, which was made in code."""
    inside = wrapped.settings
    values = {name: getattr(inside, name) for name in ConnectionSettings.model_fields}
    own: Mapping[str, object] = {**_fields(inside.options), "wraps": inside.engine or "wrapped", "pool": options}
    return PooledSettings(**{**values, "engine": engine, "options": PooledOptions(**own)})  # type: ignore[arg-type]  # whatever the wrapped backend's options hold


def _fields(options: BaseModel) -> dict[str, object]:
    found = {name: getattr(options, name) for name in type(options).model_fields}
    clash = sorted({"wraps", "pool"} & found.keys())
    if clash:
        raise ImproperlyConfigured(f"the wrapped backend has an option {clash[0]!r} of its own, which a pool needs")
    return found
