"""Settings from the command line: a file, a URL, single keys; all in Django's alias form."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from backend_sdk import ImproperlyConfigured, parse_url

__all__ = ["alias_mapping", "django_mapping"]

_OF_AN_ALIAS = {"ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS"}


def alias_mapping(file: str | None, url: str | None, single: Iterable[str]) -> dict[str, Any]:
    """One alias mapping without ENGINE; later sources override earlier ones. Raises `ImproperlyConfigured`."""
    mapping: dict[str, Any] = _from_file(Path(file)) if file else {}
    if url:
        mapping.update(parse_url(url))
    for assignment in single:
        _assign(mapping, assignment)
    mapping.pop("ENGINE", None)  # the target is the engine
    return mapping


def django_mapping(file: str | None, url: str | None, single: Iterable[str]) -> dict[str, Any]:
    """All settings of a Django project, the kit's table CONFORMANCE among them; URL and keys are for ``default``."""
    content = dict(_content(Path(file))) if file else {}
    if "DATABASES" not in content and "CONFORMANCE" not in content:
        if isinstance(content.get("default"), Mapping):
            content = {"DATABASES": content}
        elif _OF_AN_ALIAS & content.keys():
            content = {"DATABASES": {"default": content}}  # one alias alone, as for backends of this SDK
    databases = content.get("DATABASES", {})
    if not isinstance(databases, Mapping) or not all(isinstance(alias, Mapping) for alias in databases.values()):
        raise ImproperlyConfigured(f"settings file {file}: DATABASES must be a table of aliases")
    tables = {alias: dict(table) for alias, table in cast("Mapping[str, Mapping[str, Any]]", databases).items()}
    default = tables.setdefault("default", {})
    if url:
        default.update(parse_url(url))
    for assignment in single:
        _assign(default, assignment)
    default.pop("ENGINE", None)  # the target is the engine
    return {**content, "DATABASES": tables}


def _content(file: Path) -> Mapping[str, Any]:
    try:
        text = file.read_text()
    except OSError as error:
        raise ImproperlyConfigured(f"settings file {file}: {error.strerror}") from None
    try:
        content = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:
        raise ImproperlyConfigured(
            f"settings file {file}: not {'JSON' if file.suffix == '.json' else 'TOML'}: {error}"
        ) from None
    if not isinstance(content, Mapping):
        raise ImproperlyConfigured(f"settings file {file}: it has no table DATABASES; see the README, 'Settings'")
    return cast("Mapping[str, Any]", content)


def _from_file(file: Path) -> dict[str, Any]:
    content = _content(file)
    databases = content.get("DATABASES", content)
    if not isinstance(databases, Mapping):
        raise ImproperlyConfigured(f"settings file {file}: it has no table DATABASES; see the README, 'Settings'")
    tables = cast("Mapping[str, Any]", databases)
    chosen = tables.get("default", tables)
    if not isinstance(chosen, Mapping) or any(
        isinstance(value, Mapping) and not key.isupper() for key, value in chosen.items()
    ):
        raise ImproperlyConfigured(f"settings file {file}: DATABASES has no alias 'default'")
    return dict(cast("Mapping[str, Any]", chosen))


def _assign(mapping: dict[str, Any], assignment: str) -> None:
    """``NAME=x`` is a key of the alias; ``timeout=3`` or ``OPTIONS.timeout=3`` one of its OPTIONS."""
    key, equals, text = assignment.partition("=")
    if not equals or not key:
        raise ImproperlyConfigured(f"-o {assignment!r}: write it as key=value, as in -o NAME=test.db or -o timeout=3")
    value = _literal(text)
    if key.isupper():
        mapping[key] = value
    else:
        mapping["OPTIONS"] = {**mapping.get("OPTIONS", {}), key.removeprefix("OPTIONS."): value}


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
