"""django-cymysql 3.2.0, on MariaDB."""

from __future__ import annotations

from .plain import Bench, caught, query, run


def djdead_002(bench: Bench) -> str:
    wrapper = bench.wrapper()
    wrapper.ensure_connection()
    bench.kill(wrapper)
    usable = wrapper.is_usable()
    error = caught(lambda: query(wrapper, "SELECT 1"))
    return f"is_usable() is {usable}, and the next query raised {type(error).__name__}" if usable and error else ""


if __name__ == "__main__":
    run(globals())
