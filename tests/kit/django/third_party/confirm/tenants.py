"""django-tenants 4.0.1, on PostgreSQL."""

from __future__ import annotations

import copy

from .plain import Bench, run


def djopt_002(bench: Bench) -> str:
    before = copy.deepcopy(bench.settings())
    first = bench.wrapper()
    second = bench.cls(bench.settings(), "default")
    if hasattr(second, "set_schema"):
        second.set_schema("tenant_b")
    new = sorted(set(bench.settings()) - set(before))
    if not new:
        return ""
    seen = first.settings_dict["SCHEMA"]
    return f"{', '.join(new)} is new in the shared settings; one wrapper chose {seen!r}, and the other has it too"


if __name__ == "__main__":
    run(globals())
