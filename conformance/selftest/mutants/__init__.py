"""Wrong backends, one defect each. A module per group; each class says by `mutant` what must catch it, and how.

::

    @mutant("LIFE-009", says="got the same connection")
    class SharesConnection(BaselineBackend): ...
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Mutant", "load_mutants", "mutant"]

T = TypeVar("T", bound=type)


@dataclass(frozen=True)
class Mutant:
    """``kills``: the requirement that must catch it; ``says``: what its observation must contain."""

    target: str
    kills: str
    says: str
    defect: str


_mutants: list[Mutant] = []


def mutant(kills: str, *, says: str) -> Callable[[T], T]:
    """Register the decorated backend class; its docstring's first line is the defect."""

    def register(cls: T) -> T:
        defect = (cls.__doc__ or cls.__name__).strip().splitlines()[0]
        _mutants.append(Mutant(f"{cls.__module__}:{cls.__qualname__}", kills, says, defect))
        return cls

    return register


def load_mutants() -> list[Mutant]:
    """Every wrong backend of the catalogue, by target."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return sorted(_mutants, key=lambda entry: (entry.kills, entry.target))
