"""Database URLs, in the form that SQLAlchemy, libpq and dj-database-url agree on."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

from .errors import ImproperlyConfigured

__all__ = ["parse_url"]

_FORM = "write it as scheme://user:password@host:port/name?option=value, special characters percent-encoded"


def parse_url(url: str) -> dict[str, object]:
    """*url* as an alias mapping: ``postgresql://u:p@h1:1,h2:2/db?sslmode=require``.

    SQLite's paths: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``sqlite://:memory:``. Query
    parameters become OPTIONS, or top-level keys where their name is in upper case (``?CONN_MAX_AGE=60``).
    Raises `ImproperlyConfigured`, which never repeats the URL: it may hold a password.
    """
    try:
        scheme, netloc, path, query, _ = urlsplit(url.replace("#", "%23"))
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ImproperlyConfigured(f"malformed database URL; {_FORM}") from None
    if not scheme or "://" not in url:
        raise ImproperlyConfigured(f"a database URL starts with a scheme, as in sqlite:///file.db; {_FORM}")
    credentials, _, hosts = netloc.rpartition("@")
    user, has_password, password = credentials.partition(":")
    mapping: dict[str, object] = {"ENGINE": scheme, "NAME": unquote(path.removeprefix("/"))}
    if hosts == ":memory:":
        mapping["NAME"], hosts = hosts, ""
    if user:
        mapping["USER"] = unquote(user)
    if has_password:
        mapping["PASSWORD"] = unquote(password)
    mapping.update(_hosts_and_ports(hosts))
    _check_unique(pairs)
    mapping.update({key: value for key, value in pairs if key.isupper()})
    options = {key: value for key, value in pairs if not key.isupper()}
    if options:
        mapping["OPTIONS"] = options
    return mapping


def _check_unique(pairs: list[tuple[str, str]]) -> None:
    names = [key for key, _ in pairs]
    twice = sorted({key for key in names if names.count(key) > 1})
    if twice:
        raise ImproperlyConfigured(f"database URL gives {', '.join(twice)} more than once; keep one of each")


def _hosts_and_ports(netloc: str) -> dict[str, object]:
    """``h1:1,[::1]:2,h3`` as HOST and PORT; a port missing among several is refused, not guessed."""
    if not netloc:
        return {}
    hosts, ports = [], []
    for part in netloc.split(","):
        bracketed, closing, rest = part.partition("]")
        host, port = (bracketed.lstrip("["), rest.removeprefix(":")) if closing else _split_port(part)
        hosts.append(unquote(host))
        if port:
            ports.append(_port(port))
    if ports and len(ports) not in (1, len(hosts)):
        raise ImproperlyConfigured("database URL gives ports for some hosts only; give one for each, or one for all")
    found: dict[str, object] = {"HOST": ",".join(hosts)}
    if ports:
        found["PORT"] = ports[0] if len(ports) == 1 else tuple(ports)
    return found


def _split_port(part: str) -> tuple[str, str]:
    host, _, port = part.partition(":")
    return host, port


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise ImproperlyConfigured(f"port in the database URL is not a number from 1 to 65535; {_FORM}")
    return int(text)
