"""What an alias says about its pool, and the settings that the wrapped engine gets to see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured

from backend_sdk import ImproperlyConfigured as RefusedSettings

from .._pool.options import PoolOptions

__all__ = ["DjangoPoolOptions", "Plan", "copied", "own_settings", "plan_of", "wrapped_name"]

ENGINE = "reference_backends.django_pooled"

_OURS = ("WRAPS", "POOL", "RESET_WITH")


class DjangoPoolOptions(PoolOptions, frozen=True):
    """``expiring_params``: connection parameters that are asked for at each open and tell no sessions apart."""

    expiring_params: tuple[str, ...] = ()


class Plan(NamedTuple):
    """What OPTIONS say to us."""

    options: DjangoPoolOptions
    reset_with: Any


def wrapped_name(settings_dict: Mapping[str, Any], alias: str) -> str:
    """The engine to wrap. Raises Django's `ImproperlyConfigured`."""
    name = (settings_dict.get("OPTIONS") or {}).get("WRAPS")
    if not name or not isinstance(name, str):
        raise ImproperlyConfigured(
            f"{_place(alias)}: WRAPS is missing; name the engine behind the pool, "
            f'such as {{"WRAPS": "django.db.backends.postgresql"}}'
        )
    if name == settings_dict.get("ENGINE") or name == ENGINE:
        raise ImproperlyConfigured(f"{_place(alias)}: WRAPS names the pooled engine itself; name the one behind it")
    return name


def plan_of(settings_dict: Mapping[str, Any], alias: str) -> Plan:
    """What OPTIONS say to us, checked. Raises Django's `ImproperlyConfigured`."""
    options = settings_dict.get("OPTIONS") or {}
    given = options.get("POOL") or {}
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f'{_place(alias)}: POOL is a {type(given).__name__}; give {{"max_size": 10}} or so')
    try:
        checked = DjangoPoolOptions.model_validate(dict(given), context={"place": f"{_place(alias)}['POOL']"})
    except RefusedSettings as error:
        raise ImproperlyConfigured(str(error)) from None
    return Plan(checked, options.get("RESET_WITH"))


def own_settings(settings_dict: Mapping[str, Any], alias: str, wraps: str) -> dict[str, Any]:
    """A copy, as it would be without us: what the wrapped engine sees. Raises Django's `ImproperlyConfigured`."""
    options = settings_dict.get("OPTIONS") or {}
    if options.get("pool"):
        raise ImproperlyConfigured(
            f"{_place(alias)}: 'pool' is Django's own pool, and {ENGINE} is one already; keep one of the two "
            "(this one's options are under 'POOL')"
        )
    own = {key: value for key, value in options.items() if key not in _OURS}
    return {**settings_dict, "ENGINE": wraps, "OPTIONS": copied(own)}


def copied(value: Any) -> Any:
    """Mappings and lists anew, at every depth; what else is in them stays what it is, since not all can be copied."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    return [copied(item) for item in value] if type(value) is list else value


def _place(alias: str) -> str:
    return f"DATABASES[{alias!r}]['OPTIONS']"
