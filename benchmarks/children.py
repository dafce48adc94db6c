"""Contenders that need a process of their own: started, asked for samples through a pipe, and ended.

One that serves its samples calls `serve` in the child; the parent's source is `in_child`.
"""

import gc
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.connection import Connection

from benchmarks.measure import Loop, Sampler, quiet_collector, timed_sampler
from benchmarks.rows import WrongResultError

SAMPLE_NS = 20_000_000
"""Longer than without a server: the scheduler has a part in every round trip."""


@contextmanager
def in_child(target: Callable[..., None], *arguments: object) -> Iterator[Sampler]:
    """*target* with *arguments* and a pipe in a process of its own, which `serve`s: yields what asks for a sample."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=target, args=(*arguments, there), daemon=True)
    child.start()
    there.close()  # the child has its own; so its death ends the wait here
    try:
        _answer(here)
        yield lambda: _asked(here)
    finally:
        here.close()  # which ends the child
        child.join()


def serve(stage: AbstractContextManager[Loop], name: str, expected: object, pipe: "Connection[object, object]") -> None:
    """In the child: the calling thread's CPU time, a sample each time it is asked, until nobody asks any more."""
    try:
        with stage as loop, quiet_collector():
            result = loop(1)
            if result != expected:
                raise WrongResultError(f"{name}: expected {expected!r}, got {result!r}")
            sampler = timed_sampler(loop, time.thread_time_ns, SAMPLE_NS)
            pipe.send(0.0)
            while True:
                pipe.recv()
                gc.collect()
                pipe.send(sampler())
    except EOFError:
        pass
    except Exception as error:
        pipe.send(error)


def _asked(pipe: "Connection[object, object]") -> float:
    pipe.send(None)
    return _answer(pipe)


def _answer(pipe: "Connection[object, object]") -> float:
    """What the child has to say, an error included."""
    found = pipe.recv()
    if isinstance(found, Exception):
        raise found
    assert isinstance(found, float)
    return found
