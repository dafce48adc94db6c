"""django-database-pool 0.0.3, on MariaDB with PyMySQL."""

from __future__ import annotations

import copy

from . import pooling
from .plain import Bench, caught, query, run


def djlife_005(bench: Bench) -> str:
    query(bench.wrapper(), "SELECT 1")
    found = query(bench.wrapper("other"), "SELECT database()")
    return "" if found == bench.settings("other")["NAME"] else "the alias 'other' works on the database of 'default'"


def djopt_002(bench: Bench) -> str:
    before = copy.deepcopy(bench.settings().get("POOL"))
    bench.wrapper().get_connection_params()
    after = bench.settings().get("POOL")
    return "" if before == after else f"get_connection_params() made {before} of POOL into {after}"


def djopt_003(bench: Bench) -> str:
    wrapper = bench.wrapper()
    first, second = (wrapper.get_connection_params() for _ in range(2))
    changed = sorted(key for key in first if key in {"mincached", "maxcached"} and first[key] != second[key])
    return f"the second call gives another {', '.join(changed)}" if changed else ""


def djopt_007(bench: Bench) -> str:
    said = []
    for alias, number in (("first", 1), ("second", 2)):
        settings = {**bench.settings(), "OPTIONS": {"init_command": f"SET @confirmed = {number}"}}
        said.append(query(bench.cls(settings, alias), "SELECT @confirmed"))
    return "" if said == [1, 2] else f"the init_command of two wrappers has left {said} in their sessions"


def djdead_004(bench: Bench) -> str:
    with bench.table() as seen:
        wrapper = bench.wrapper()

        def block() -> None:
            with bench.atomic():
                query(wrapper, "INSERT INTO confirmed VALUES (1)")
                bench.kill(wrapper)
                query(wrapper, "INSERT INTO confirmed VALUES (2)")

        error = caught(block)
        return "" if error else f"a block that lost its session ended well and kept {seen()} of 2 rows"


def djpool_002(bench: Bench) -> str:
    return pooling.cursor_outlives_the_lease(bench)


def djpool_003(bench: Bench) -> str:
    return pooling.temporary_tables(bench)


def djpool_009(bench: Bench) -> str:
    return pooling.keyed_by_alias(bench)


if __name__ == "__main__":
    run(globals())
