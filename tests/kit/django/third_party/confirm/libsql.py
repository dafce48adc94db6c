"""django-libsql-backend 0.1.3, on a local file."""

from __future__ import annotations

import tempfile
from typing import Any

from .plain import Bench, caught, kind, query, run

DEFERRED = "CREATE TABLE child (id INTEGER REFERENCES confirmed (id) DEFERRABLE INITIALLY DEFERRED)"


def djsig_001(bench: Bench) -> str:
    """As django.test.utils.teardown_databases calls it after a parallel run."""
    wrapper = bench.wrapper(NAME=tempfile.mkdtemp() + "/clone.sqlite3")
    error = caught(lambda: wrapper.creation.destroy_test_db(suffix="1", verbosity=0, keepdb=True))
    return f"destroy_test_db(suffix=...) raised {error}" if isinstance(error, TypeError) else ""


def djsig_003(bench: Bench) -> str:
    """As SQLCompiler.as_sql() calls it for a HAVING without GROUP BY."""
    error = caught(lambda: bench.wrapper().ops.force_group_by())
    return f"ops.force_group_by() raised {kind(error)}: {error}" if error else ""


def djopt_007(bench: Bench) -> str:
    found = query(bench.wrapper(OPTIONS={"timeout": 1}), "PRAGMA busy_timeout")
    return "" if found == 1000 else f"with timeout = 1 the session waits {found} ms for a lock"


def djerr_005(bench: Bench) -> str:
    """A deferred foreign key is refused by COMMIT."""
    with bench.table():
        bench.own(DEFERRED)
        wrapper = bench.wrapper()
        query(wrapper, "PRAGMA foreign_keys = ON")
        wrapper.set_autocommit(False)
        query(wrapper, "INSERT INTO child VALUES (7)")
        error = caught(wrapper.commit)
        wrapper.rollback()
        wrapper.close()
        bench.own("DROP TABLE child")
    return "" if isinstance(error, bench.django.IntegrityError) else f"commit() raised {kind(error)}"


def djerr_006(bench: Bench) -> str:
    """The driver's connection is closed behind the wrapper's back."""
    wrapper = bench.wrapper()
    wrapper.ensure_connection()
    wrapper.connection.close()
    error = caught(wrapper.rollback)
    return "" if isinstance(error, bench.django.Error) else f"rollback() raised {kind(error)}"


def _in_a_block(bench: Bench, wrapper: Any, call: Any) -> BaseException | None:
    errors = []

    def block() -> None:
        with bench.atomic():
            query(wrapper, "SELECT 1")
            errors.append(caught(call))
            raise ZeroDivisionError

    caught(block)
    return errors[0]


def djerr_011(bench: Bench) -> str:
    wrapper = bench.wrapper()
    error = _in_a_block(bench, wrapper, lambda: wrapper.savepoint_rollback("unknown"))
    return "" if isinstance(error, bench.django.Error) else f"savepoint_rollback() raised {kind(error)}"


def djerr_012(bench: Bench) -> str:
    wrapper = bench.wrapper()

    def lost() -> None:
        wrapper.connection.close()
        wrapper.savepoint()

    error = _in_a_block(bench, wrapper, lost)
    return "" if isinstance(error, bench.django.Error) else f"savepoint() raised {kind(error)}"


if __name__ == "__main__":
    run(globals())
