"""django-db-geventpool 4.0.8, on PostgreSQL with psycopg 3."""

from __future__ import annotations

from . import pooling
from .plain import Bench, query, run


def djopt_009(bench: Bench) -> str:
    found = query(bench.wrapper(TIME_ZONE="Asia/Tokyo"), "SHOW timezone")
    return "" if found == "Asia/Tokyo" else f"with TIME_ZONE = 'Asia/Tokyo' the session's is {found!r}"


def djopt_010(bench: Bench) -> str:
    bench.own("CREATE ROLE confirmed_role")
    try:
        options = {**bench.settings().get("OPTIONS", {}), "assume_role": "confirmed_role"}
        wrapper = bench.wrapper(OPTIONS=options)
        found = query(wrapper, "SELECT current_user")
        query(wrapper, "RESET ROLE")
        wrapper.close()
    finally:
        bench.own("DROP ROLE confirmed_role")
    return "" if found == "confirmed_role" else "with assume_role the session works as the login role"


def djpool_002(bench: Bench) -> str:
    return pooling.cursor_outlives_the_lease(bench)


def djpool_003(bench: Bench) -> str:
    return pooling.temporary_tables(bench)


def djpool_006(bench: Bench) -> str:
    return pooling.exhaustion(bench)


def djpool_009(bench: Bench) -> str:
    return pooling.keyed_by_alias(bench)


if __name__ == "__main__":
    run(globals())
