"""django-pg8000 0.0.5, on PostgreSQL."""

from __future__ import annotations

from .plain import Bench, caught, kind, query, run


def djtx_014(bench: Bench) -> str:
    with bench.table() as seen:
        wrapper = bench.wrapper()
        with wrapper.chunked_cursor() as cursor:
            cursor.execute("SELECT id FROM confirmed")
            cursor.fetchmany(1)
        query(wrapper, "INSERT INTO confirmed VALUES (1)")
        found = seen()
        wrapper.close()
    return "" if found == 1 else "an INSERT after a chunked_cursor() was not committed, and close() lost it"


def djopt_009(bench: Bench) -> str:
    found = query(bench.wrapper(TIME_ZONE="Asia/Tokyo"), "SHOW timezone")
    return "" if found == "Asia/Tokyo" else f"with TIME_ZONE = 'Asia/Tokyo' the session's is {found!r}"


def djerr_002(bench: Bench) -> str:
    error = caught(lambda: query(bench.wrapper(), "SELECT 1 FROM no_such_table"))
    assert error is not None
    assert isinstance(error, bench.django.ProgrammingError), kind(error)
    is_drivers = isinstance(error.__cause__, bench.cls.Database.Error)
    return "" if is_drivers else f"{kind(error)} has the __cause__ {error.__cause__!r}"


def djdead_006(bench: Bench) -> str:
    wrapper = bench.wrapper(CONN_HEALTH_CHECKS=True, CONN_MAX_AGE=None)
    query(wrapper, "SELECT 1")
    wrapper.close_if_unusable_or_obsolete()
    bench.kill(wrapper)
    wrapper.close_if_unusable_or_obsolete()
    error = caught(lambda: query(wrapper, "SELECT 1"))
    return "" if error is None else f"the next request's first query raised {kind(error)}: {error}"


if __name__ == "__main__":
    run(globals())
