"""django-db-connection-pool 1.2.6, on PostgreSQL."""

from __future__ import annotations

import gc
import weakref

from . import pooling
from .plain import Bench, query, run


def djpool_002(bench: Bench) -> str:
    return pooling.cursor_outlives_the_lease(bench)


def djpool_003(bench: Bench) -> str:
    return pooling.temporary_tables(bench)


def djpool_006(bench: Bench) -> str:
    return pooling.exhaustion(bench)


def djpool_009(bench: Bench) -> str:
    return pooling.keyed_by_alias(bench)


def djgc_003(bench: Bench) -> str:
    wrapper = bench.cls(bench.settings(), "default")
    query(wrapper, "SELECT 1")
    wrapper.close()
    dropped = weakref.ref(wrapper)
    del wrapper
    gc.collect()
    return "" if dropped() is None else "the alias's first wrapper is kept by its pool"


if __name__ == "__main__":
    run(globals())
