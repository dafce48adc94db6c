"""What the kit has to know of the reference pools. What it has to know of the database, the wrapped one's says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["PooledSupport"]


class PooledSupport:
    """A pool whose limits are OPTIONS ``{"pool": {"max_size": ..., "timeout": ..., "max_lifetime": ...}}``."""

    def pool_limits(
        self, mapping: Mapping[str, Any], *, size: int = 0, timeout: float = 0.0, lifetime: float = 0.0
    ) -> Mapping[str, Any]:
        options = dict(mapping.get("OPTIONS") or {})
        limits = {"max_size": size, "timeout": timeout, "max_lifetime": lifetime}
        given = {name: value for name, value in limits.items() if value}
        return {**mapping, "OPTIONS": {**options, "pool": {**dict(options.get("pool") or {}), **given}}}
