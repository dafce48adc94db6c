"""django-mysql-geventpool 0.2.5, on MariaDB with PyMySQL."""

from __future__ import annotations

import copy

from . import pooling
from .plain import Bench, query, run


def djtx_008(bench: Bench) -> str:
    with bench.table():
        leaver = bench.wrapper()
        leaver.ensure_connection()
        leaver.set_autocommit(False)
        query(leaver, "INSERT INTO confirmed VALUES (1)")
        leaver.close()
        following = bench.wrapper()
        found = query(following, "SELECT count(*) FROM confirmed")
        query(following, "ROLLBACK")
        following.close()
    return f"the next user of a connection sees {found} uncommitted row of the one before" if found else ""


def djpool_001(bench: Bench) -> str:
    with bench.table() as seen:
        leaver = bench.wrapper()
        leaver.ensure_connection()
        leaver.set_autocommit(False)
        query(leaver, "INSERT INTO confirmed VALUES (1)")
        leaver.close()
        following = bench.wrapper()
        query(following, "INSERT INTO confirmed VALUES (2)")
        found = seen()
        following.close()
    return f"the next owner's INSERT committed {found} rows, one of them its predecessor's" if found != 1 else ""


def djopt_001(bench: Bench) -> str:
    before = copy.deepcopy(bench.settings()["OPTIONS"])
    bench.wrapper()
    gone = sorted(set(before) - set(bench.settings()["OPTIONS"]))
    return f"making a wrapper has taken {', '.join(gone)} out of OPTIONS" if gone else ""


def djopt_002(bench: Bench) -> str:
    before = bench.settings()["CONN_MAX_AGE"]
    bench.wrapper()
    after = bench.settings()["CONN_MAX_AGE"]
    return f"making a wrapper made CONN_MAX_AGE {after} out of {before}" if after != before else ""


def djpool_002(bench: Bench) -> str:
    return pooling.cursor_outlives_the_lease(bench)


def djpool_003(bench: Bench) -> str:
    return pooling.temporary_tables(bench)


def djpool_005(bench: Bench) -> str:
    return pooling.dropped_wrappers(bench)


def djpool_006(bench: Bench) -> str:
    return pooling.exhaustion(bench)


def djpool_009(bench: Bench) -> str:
    return pooling.keyed_by_alias(bench)


def djpool_010(bench: Bench) -> str:
    return pooling.refused_opens(bench)


if __name__ == "__main__":
    run(globals())
