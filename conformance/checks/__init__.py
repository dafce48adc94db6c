"""One module per group of requirements; each requirement is written beside its check."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from ..register import registered

if TYPE_CHECKING:
    from ..register import Requirement

__all__ = ["load_register"]


def load_register() -> dict[str, Requirement]:
    """Every requirement by ID, in the order of the groups."""
    for name in (__name__, "conformance.dbapi.checks", "conformance.django.checks"):
        package = importlib.import_module(name)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{name}.{module.name}")
    return registered()
