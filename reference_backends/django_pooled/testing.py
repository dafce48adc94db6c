"""What the conformance kit has to know of the pool; of the database it knows by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["PoolSupport"]


class PoolSupport:
    """Named by the engine's ``test_support``."""

    def expired_pool(self, mapping: Mapping[str, Any]) -> Mapping[str, Any]:
        """Changes to the settings with which a connection is too old as soon as it is given back."""
        options = mapping["OPTIONS"]
        return {"OPTIONS": {**options, "POOL": {**options.get("POOL", {}), "max_lifetime": 1e-9}}}
