"""From samples to one figure and how far it spreads."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.measure import Samples


@dataclass(frozen=True, slots=True)
class Spread:
    """A median between its quartiles."""

    low: float
    median: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """The median and the quartiles; a single value is all three."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(low, middle, high)


def paired_ratio(samples: Samples, over: str, under: str) -> Spread:
    """The spread of the ratios within each round, not the ratio of two spreads."""
    pairs = zip(samples[over], samples[under], strict=True)
    return spread([numerator / denominator for numerator, denominator in pairs])
