"""Pragmas: which the settings ask for, which there are, and what a reset does to them."""

from __future__ import annotations

import difflib
from functools import lru_cache
from typing import Any

from backend_sdk import ImproperlyConfigured

from .settings import SQLiteOptions

# What a user's session may have switched, for `SQLiteBackend.reset`. Left out: what lasts in the file itself, what ends
# with the transaction, and what holds for the whole process.
_SESSION_PRAGMAS = (
    "query_only", "foreign_keys", "synchronous", "recursive_triggers", "ignore_check_constraints", "read_uncommitted",
    "reverse_unordered_selects", "writable_schema", "trusted_schema", "legacy_alter_table", "automatic_index",
    "cell_size_check", "secure_delete", "fullfsync", "checkpoint_fullfsync", "wal_autocheckpoint", "analysis_limit",
    "journal_size_limit", "max_page_count", "cache_size", "threads", "count_changes", "empty_result_callbacks",
    "full_column_names", "short_column_names",
)  # fmt: skip
# Those that do not tell their value in a form that sets it. Another temp_store drops all temporary objects at once:
# tables, views, triggers, and what virtual tables keep, whichever of them refers to which.
_SESSION_PRAGMAS_AS_SET = ("cache_spill=1", "mmap_size=-1", "temp_store=2", "temp_store=0")


def pragmas_of(options: SQLiteOptions) -> dict[str, str | int]:
    """What `SQLiteBackend.init_connection_state` sets, by its name in lower case."""
    named = {
        "foreign_keys": None if options.foreign_keys is None else int(options.foreign_keys),
        "journal_mode": options.journal_mode,
        "synchronous": options.synchronous,
        **{name.lower(): value for name, value in options.pragmas.items()},
        "query_only": 1 if options.read_only else options.pragmas.get("query_only"),
    }
    return {name: value for name, value in named.items() if value is not None}


@lru_cache(maxsize=8)
def _known_pragmas(driver: Any) -> frozenset[str]:
    connection = driver.connect(":memory:")
    try:
        return frozenset(name for (name,) in connection.execute("PRAGMA pragma_list"))
    finally:
        connection.close()


def refuse_unknown_pragmas(driver: Any, options: SQLiteOptions) -> None:
    """SQLite ignores what it does not know. Other builds, that encrypt, know more than they list."""
    if not options.pragmas or options.driver not in {"sqlite3", "pysqlite3"}:
        return
    known = _known_pragmas(driver)
    for name in options.pragmas:
        if name.lower() not in known:
            near = difflib.get_close_matches(name.lower(), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "PRAGMA pragma_list tells which there are"
            raise ImproperlyConfigured(
                f"OPTIONS pragmas: SQLite {driver.sqlite_version} has no pragma {name!r}; {hint}"
            )


@lru_cache(maxsize=64)
def reset_script(driver: Any, set_anew: frozenset[str]) -> str:
    """Sets the session's pragmas to what a new connection has, which depends on how SQLite was built."""
    connection = driver.connect(":memory:")
    try:
        defaults = {name: connection.execute(f"PRAGMA {name}").fetchone() for name in _SESSION_PRAGMAS}
    finally:
        connection.close()
    as_read = (f"{name}={row[0]}" for name, row in defaults.items() if row is not None and name not in set_anew)
    return ";".join(f"PRAGMA {pragma}" for pragma in (*as_read, *_SESSION_PRAGMAS_AS_SET))
