"""Two runs side by side, and the differences that are expected, each with its reason."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .running import Outcomes

__all__ = ["Difference", "Expected", "differences", "judge", "load_expected", "module_of"]

EXPECTED = Path(__file__).parent / "expected_differences.toml"
ABSENT = ("absent", "")


@dataclass(frozen=True)
class Difference:
    """What became of *test* without the pool, and with it."""

    test: str
    without: str
    pooled: str
    detail: str = ""

    def __str__(self) -> str:
        last = self.detail.strip().splitlines()[-1:] or [""]
        return f"{self.test}: {self.without} without the pool, {self.pooled} with it  {last[0][:200]}"


@dataclass(frozen=True)
class Expected:
    """An entry of the file: where it holds, and why."""

    test: str
    engines: tuple[str, ...]
    djangos: tuple[str, ...]
    pooled: str
    reason: str

    def holds(self, engine: str, series: str) -> bool:
        return engine in self.engines and series in self.djangos

    def is_of(self, modules: Sequence[str]) -> bool:
        return not modules or module_of(self.test) in modules


def module_of(test: str) -> str:
    """Of a test's id, or of what stands for a class that could not be set up: ``setUpClass (basic.tests.Some)``."""
    return test.rpartition("(")[2].partition(".")[0]


def load_expected(path: Path = EXPECTED) -> list[Expected]:
    """Raises `ValueError` for an entry without a reason."""
    found = tomllib.loads(path.read_text()).get("difference", [])
    for entry in found:
        if not entry.get("reason"):
            raise ValueError(f"{path.name}: {entry.get('test')} has no reason")
    return [
        Expected(entry["test"], tuple(entry["engines"]), tuple(entry["djangos"]), entry["pooled"], entry["reason"])
        for entry in found
    ]


def differences(without: Outcomes, pooled: Outcomes) -> list[Difference]:
    tests = sorted(without.keys() | pooled.keys())
    pairs = ((test, without.get(test, ABSENT), pooled.get(test, ABSENT)) for test in tests)
    return [Difference(test, one[0], other[0], other[1]) for test, one, other in pairs if one[0] != other[0]]


def judge(
    found: Iterable[Difference], expected: Iterable[Expected], *, engine: str, series: str, modules: Sequence[str]
) -> list[str]:
    """What is wrong: differences that nobody has explained, and explanations of what is not there."""
    explained = {entry.test: entry for entry in expected if entry.holds(engine, series) and entry.is_of(modules)}
    wrong = []
    for difference in found:
        entry = explained.pop(difference.test, None)
        if entry is None or entry.pooled != difference.pooled:
            wrong.append(f"not explained: {difference}")
    return wrong + [f"stale: {test} is no difference; take its entry out" for test in sorted(explained)]
