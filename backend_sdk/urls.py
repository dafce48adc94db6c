"""Database URLs, in the form that SQLAlchemy, libpq and dj-database-url agree on.

Taken apart here rather than by ``urllib.parse.urlsplit``, which drops tabs and line ends without a word,
repeats the password in its errors, and whose rules for brackets differ from one Python to the next.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote

from .errors import ImproperlyConfigured

__all__ = ["parse_url"]

_FORM = "write it as scheme://user:password@host:port/name?option=value, special characters percent-encoded"

_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?]*)/?(?P<name>[^?]*)(?:\?(?P<query>.*))?",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST = re.compile(r"(?P<host>\[[^][]+]|[^][:]*)(?::(?P<port>.*))?")


class _Malformed(ValueError):
    """Says what is wrong, without a piece of the URL."""


def parse_url(url: str, *, alias: str | None = None) -> dict[str, object]:
    """*url* as an alias mapping: ``postgresql://u:p@h1:1,h2:2/db?sslmode=require``.

    SQLite's paths: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``sqlite://:memory:``. Query
    parameters become OPTIONS, or top-level keys where their name is in upper case (``?CONN_MAX_AGE=60``).
    Raises `ImproperlyConfigured`, which never repeats the URL: it may hold a password.
    """
    try:
        return _mapping(url.strip())
    except _Malformed as error:
        problem = str(error)
    except ValueError:  # what the percent-encoding stands for is no text, or a parameter has no value
        problem = "malformed database URL"
    place = "" if alias is None else f"settings of {alias!r}: "
    # Outside the except clauses, since the error handled there may repeat the URL.
    raise ImproperlyConfigured(f"{place}{problem}; {_FORM}")


def _mapping(url: str) -> dict[str, object]:
    found = _URL.fullmatch(url)
    if found is None or _CONTROL.search(url):
        raise _Malformed("a database URL is one line and starts with a scheme, as in sqlite:///file.db")
    authority, name, query = found["authority"], found["name"], found["query"] or ""
    if authority and "@" in name + query:
        raise _Malformed("database URL has an '@' after the host; write it as %40 (and '/' and '?' in a password too)")
    credentials, _, hosts = authority.rpartition("@")
    user, has_password, password = credentials.partition(":")
    mapping: dict[str, object] = {"ENGINE": found["scheme"].lower(), "NAME": _decoded(name)}
    if hosts == ":memory:" and not name:
        mapping["NAME"], hosts = hosts, ""
    if user:
        mapping["USER"] = _decoded(user)
    if has_password:
        mapping["PASSWORD"] = _decoded(password)
    mapping.update(_hosts_and_ports(hosts))
    return _with_query(mapping, query)


def _decoded(text: str) -> str:
    return unquote(text, errors="strict")


def _with_query(mapping: dict[str, object], query: str) -> dict[str, object]:
    pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), errors="strict")
    names = [key for key, _ in pairs]
    in_place = [key for key in names if mapping.get(key)]
    twice = sorted({key for key in names if names.count(key) > 1} | set(in_place))
    if twice:
        raise _Malformed(f"database URL gives {', '.join(twice)} more than once; keep one of each")
    if "OPTIONS" in names:
        raise _Malformed("database URL gives OPTIONS as one parameter; give each option as one of its own")
    options = {key: value for key, value in pairs if not key.isupper()}
    return {
        **mapping,
        **{key: value for key, value in pairs if key.isupper()},
        **({"OPTIONS": options} if options else {}),
    }


def _hosts_and_ports(authority: str) -> dict[str, object]:
    """``h1:1,[::1]:2,h3:3`` as HOST and PORT; a port missing among several is refused, not guessed."""
    if not authority:
        return {}
    hosts, ports = [], []
    for part in authority.split(","):
        match = _HOST.fullmatch(part)
        if match is None:
            raise _Malformed("malformed host in the database URL")
        hosts.append(_decoded(match["host"].strip("[]")))
        if match["port"]:
            ports.append(_port(match["port"]))
    if ports and len(ports) != len(hosts):
        raise _Malformed("database URL gives ports for some hosts only; give one for each, or ?PORT= for all of them")
    found: dict[str, object] = {"HOST": ",".join(hosts)}
    if ports:
        found["PORT"] = ports[0] if len(ports) == 1 else tuple(ports)
    return found


def _port(text: str) -> int:
    if not (re.fullmatch("[0-9]{1,5}", text) and 0 < int(text) < 65536):
        raise _Malformed("port in the database URL is not a number from 1 to 65535")
    return int(text)
