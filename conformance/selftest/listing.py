"""The wrong engines and modules of the other kinds, read from their source: a Django engine cannot be imported
where there is no Django, and every catalogue must be listed everywhere."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from .mutants import Mutant

__all__ = ["listed", "wrong"]

T = TypeVar("T", bound=type)

_ROOT = Path(__file__).parent.parent


def wrong(kills: str, *, says: str) -> Callable[[T], T]:
    """Mark the decorated class as a wrong one; `listed` reads the mark, and both arguments must be plain texts."""
    assert kills, says
    return lambda cls: cls


def listed(kind: str) -> list[Mutant]:
    """The wrong ones of *kind*: those under ``conformance/<kind>/mutants``, or for ``kind-server`` a folder in it."""
    kind, _, server = kind.partition("-")
    package = f"{kind}.mutants.{server}" if server else f"{kind}.mutants"
    folder = _ROOT.joinpath(*package.split("."))
    found = [entry for file in sorted(folder.glob("*.py")) for entry in _in_file(kind, package, file)]
    return sorted(found, key=lambda entry: (entry.kills, entry.target))


def _in_file(kind: str, package: str, file: Path) -> Iterator[Mutant]:
    module = f"conformance.{package}.{file.stem}"
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id == "wrong":
                    kills, says = (ast.literal_eval(argument) for argument in (mark.args[0], mark.keywords[0].value))
                    defect = (ast.get_docstring(node) or node.name).strip().splitlines()[0]
                    yield Mutant(f"{kind}:{module}:{node.name}", kills, says, defect)
