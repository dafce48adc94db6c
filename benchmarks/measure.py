"""Sample contenders against one another under the same conditions.

A time on its own says more about the machine than about the code, so nothing here is compared with a
number of seconds. Every round samples each contender once, in an order drawn anew, and what counts is
the ratio of two samples of the same round: whatever slows the machine for a while slows both.

Samples are CPU time of this thread, so a busy neighbour costs little. The collector is emptied and
switched off meanwhile, because a collection lands on whoever happens to be running.
"""

import gc
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

Loop = Callable[[int], object]
"""Runs the operation that many times, inline, and returns the last result."""

Sampler = Callable[[], float]
"""Takes one sample: the quantity (nanoseconds, mostly) for one operation."""

Clock = Callable[[], int]
"""Nanoseconds spent so far."""

Samples = Mapping[str, Sequence[float]]
"""The samples of each contender, one for each round, in the order of the rounds."""

SAMPLE_NS = 4_000_000


def time_loop(loop: Loop, count: int, clock: Clock) -> int:
    """How long ``count`` operations took."""
    start = clock()
    loop(count)
    return clock() - start


def inner_count(loop: Loop, clock: Clock, sample_ns: int = SAMPLE_NS) -> int:
    """How many operations make a sample last ``sample_ns``; finding it out is the warm-up.

    The count is trusted only from a run of a tenth of the sample: a first call pays for caches.
    """
    count = 1
    while (spent := time_loop(loop, count, clock)) < sample_ns / 10:
        count *= 2
    return max(1, round(count * sample_ns / max(spent, 1)))


def timed_sampler(loop: Loop, clock: Clock, sample_ns: int = SAMPLE_NS) -> Sampler:
    """A sampler for a loop, which is warm once its inner count is chosen."""
    count = inner_count(loop, clock, sample_ns)
    return lambda: time_loop(loop, count, clock) / count


def interleave(
    samplers: Mapping[str, Sampler],
    rounds: int,
    rng: random.Random,
    before_sample: Callable[[], object] = gc.collect,
) -> Samples:
    """Sample every contender once a round, each round in an order of its own."""
    samples: dict[str, list[float]] = {name: [] for name in samplers}
    order = list(samplers)
    for _ in range(rounds):
        rng.shuffle(order)
        for name in order:
            before_sample()
            samples[name].append(samplers[name]())
    return samples


@contextmanager
def quiet_collector() -> Iterator[None]:
    """Collect, freeze and switch off the garbage collector; put it back as it was."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()  # all of it: 3.12 counts immortal objects among the frozen from the start
        if was_enabled:
            gc.enable()
