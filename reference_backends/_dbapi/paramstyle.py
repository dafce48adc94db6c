"""Statements written in one of PEP 249's parameter styles, for a driver that takes another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple, cast

__all__ = ["ConvertingCursor", "ParamStyle", "convert"]

ParamStyle = Literal["qmark", "numeric", "named", "format", "pyformat"]


class ConvertingCursor:
    """Around a driver's cursor: statements are written in one paramstyle and sent in another."""

    def __init__(self, cursor: Any, source: ParamStyle, target: ParamStyle) -> None:
        self.__dict__.update(_cursor=cursor, _source=source, _target=target)

    def execute(self, operation: str, params: Any = None) -> Any:
        given = (operation,) if params is None else convert(operation, params, self._source, self._target)
        result = self._cursor.execute(*given)
        return self if result is self._cursor else result  # or the caller's chain would leave the conversion behind

    def executemany(self, operation: str, params: Iterable[Any]) -> Any:
        converted = [convert(operation, each, self._source, self._target) for each in params]
        if converted:
            self._cursor.executemany(converted[0][0], [each for _, each in converted])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._cursor, name, value)


class _Parsed(NamedTuple):
    texts: tuple[str, ...]  # one more than there are keys
    keys: tuple[int | str, ...]


_QUOTED = r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/ | ::"""
_PLACEHOLDERS = {
    "qmark": r"(?P<key>\?)",
    "numeric": r":(?P<key>\d+)",
    "named": r":(?P<key>[A-Za-z_]\w*)",
    "format": r"%% | %(?P<key>s)",
    "pyformat": r"%% | %\((?P<key>\w+)\)s",
}


@lru_cache(maxsize=512)
def _parse(statement: str, style: ParamStyle) -> _Parsed:
    percent = style in {"format", "pyformat"}
    pattern = f"{_PLACEHOLDERS[style]} | {_QUOTED}"
    texts, keys, end = [""], list[int | str](), 0
    for match in re.finditer(pattern, statement, re.DOTALL | re.VERBOSE):
        key = match["key"]
        if key is None:
            continue
        texts[-1] += statement[end : match.start()]
        texts.append("")
        keys.append(key if style in {"named", "pyformat"} else int(key) - 1 if style == "numeric" else len(keys))
        end = match.end()
    texts[-1] += statement[end:]
    return _Parsed(tuple(text.replace("%%", "%") if percent else text for text in texts), tuple(keys))


def convert(statement: str, params: Any, source: ParamStyle, target: ParamStyle) -> tuple[str, Any]:
    """*statement* and *params*, written in *source*, as a driver of *target* takes them.

    What stands in quotes or comments is no placeholder; ``::`` is a cast. In ``format`` and ``pyformat`` a percent
    sign is written twice, everywhere.
    """
    texts, keys = _parse(statement, source)
    doubled = target in {"format", "pyformat"}
    parts = [text.replace("%", "%%") if doubled else text for text in texts]
    names = [key if isinstance(key, str) else f"p{key + 1}" for key in keys]
    marks = {
        "qmark": ["?"] * len(keys),
        "format": ["%s"] * len(keys),
        "numeric": [f":{number}" for number in range(1, len(keys) + 1)],
        "named": [f":{name}" for name in names],
        "pyformat": [f"%({name})s" for name in names],
    }[target]
    text = parts[0] + "".join(mark + part for mark, part in zip(marks, parts[1:], strict=True))
    values = [cast("Mapping[Any, Any] | Sequence[Any]", params)[cast("Any", key)] for key in keys]
    if target in {"named", "pyformat"}:
        return text, dict(zip(names, values, strict=True))
    return text, values
