"""A settings file for a Django engine: what may stand in it, and what is said of a mistake, in one line."""

from __future__ import annotations

import importlib
import zoneinfo
from collections.abc import Mapping
from typing import Any

from backend_sdk import ImproperlyConfigured

__all__ = ["completed", "configure", "in_one_line", "loaded", "set_up"]

KIT_KEYS = {"bootstrap": str, "environment": Mapping, "test_support": str}


def completed(base: Mapping[str, Any]) -> dict[str, Any]:
    """All tables there; a mapping without DATABASES is one alias, as for other targets. Raises for a mistake."""
    known = {"DATABASES", "CONFORMANCE"}
    settings = dict(base) if known & set(base) else {"DATABASES": {"default": dict(base)}}
    kit = settings.setdefault("CONFORMANCE", {})
    _check_kit(kit)
    small = sorted(key for key in settings if not key.isupper())
    if small:
        raise ImproperlyConfigured(f"{small[0]!r} is no Django setting: settings are written in upper case")
    settings.setdefault("DATABASES", {}).setdefault("default", {})
    for alias, table in settings["DATABASES"].items():
        _check_alias(alias, table)
    _check_time_zone("TIME_ZONE", settings.get("TIME_ZONE"))
    if not isinstance(settings.get("INSTALLED_APPS", []), list | tuple):
        raise ImproperlyConfigured("INSTALLED_APPS must be a list of names")
    return settings


def _check_kit(kit: object) -> None:
    if not isinstance(kit, Mapping):
        raise ImproperlyConfigured(f"CONFORMANCE must be a table; known keys: {', '.join(sorted(KIT_KEYS))}")
    for key, value in kit.items():
        if key not in KIT_KEYS:
            raise ImproperlyConfigured(f"CONFORMANCE.{key} is unknown; known: {', '.join(sorted(KIT_KEYS))}")
        if key == "environment" and not isinstance(value, Mapping):
            raise ImproperlyConfigured("CONFORMANCE.environment must be a table of texts")
        if key == "bootstrap" and not isinstance(value, str):
            raise ImproperlyConfigured("CONFORMANCE.bootstrap must be a module's name")
        if key == "test_support" and not isinstance(value, str | type):
            raise ImproperlyConfigured("CONFORMANCE.test_support must be a path, as in 'my_package.testing:Support'")
    for key, value in kit.get("environment", {}).items():
        if not isinstance(value, str):
            raise ImproperlyConfigured(f"CONFORMANCE.environment.{key} must be a text")


def _check_alias(alias: str, table: Mapping[str, Any]) -> None:
    small = sorted(key for key in table if not key.isupper())
    if small:
        raise ImproperlyConfigured(
            f"DATABASES.{alias}.{small[0]}: keys are written in upper case; an option goes into OPTIONS"
        )
    if not isinstance(table.get("OPTIONS", {}), Mapping):
        raise ImproperlyConfigured(f"DATABASES.{alias}.OPTIONS must be a table")
    _check_time_zone(f"DATABASES.{alias}.TIME_ZONE", table.get("TIME_ZONE"))


def _check_time_zone(key: str, zone: object) -> None:
    if zone is None:
        return
    try:
        zoneinfo.ZoneInfo(str(zone))
    except (ValueError, zoneinfo.ZoneInfoNotFoundError):
        raise ImproperlyConfigured(f"{key} = {zone!r} is no time zone that Python knows") from None


def configure(settings: Mapping[str, Any], engine: str) -> None:
    """Hand them to Django, once per process."""
    from django.conf import settings as djangos

    values = {key: value for key, value in settings.items() if key not in {"CONFORMANCE", "DATABASES"}}
    aliases = {alias: {"ENGINE": engine, **table} for alias, table in settings["DATABASES"].items()}
    values.setdefault("SECRET_KEY", "conformance")
    if not djangos.configured:
        djangos.configure(**values, DATABASES=aliases)
    for alias, table in settings["DATABASES"].items():
        if table.get("TIME_ZONE") is not None and not djangos.USE_TZ:
            raise ImproperlyConfigured(f"DATABASES.{alias}.TIME_ZONE is refused by Django unless USE_TZ is true")


def loaded(path: str, key: str) -> Any:
    """The module, or what ``module:name`` names in it. Raises `ImproperlyConfigured` where there is none."""
    module, _, attribute = path.partition(":")
    try:
        found = importlib.import_module(module)
        return getattr(found, attribute) if attribute else found
    except (ModuleNotFoundError, AttributeError) as error:
        raise ImproperlyConfigured(f"{key} = {path!r} cannot be loaded: {error}") from None


def set_up() -> None:
    """`django.setup()`; an application that is not there is the file's mistake."""
    import django
    from django.conf import settings as djangos
    from django.core.exceptions import ImproperlyConfigured as Refused

    try:
        django.setup()
    except (Refused, RuntimeError) as error:  # as of a model whose application is not among them
        raise ImproperlyConfigured(f"Django refuses the settings: {in_one_line(error)}") from None
    except ModuleNotFoundError as error:
        if any(f"{app}.".startswith(f"{error.name}.") for app in djangos.INSTALLED_APPS):
            raise ImproperlyConfigured(f"INSTALLED_APPS: there is no module {error.name!r}") from None
        raise


def in_one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
