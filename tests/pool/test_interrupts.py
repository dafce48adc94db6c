"""An exception that a signal handler raises, at any point of the way, costs neither a slot, nor room, nor the pool.

An interpreter delivers signals after calls, at the entry of functions and at backward jumps. The tests raise at each
such point of the pool's own code in turn, by `sys.settrace`.
"""

from __future__ import annotations

import dis
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import pytest

from reference_backends.pooled import PoolTimeout
from tests.pool.support import Bench, Pooled, Thread, acquire, balanced, waiting

OURS = tuple(f"_pool/{name}.py" for name in ("line", "pool", "room", "sessions", "slots", "turns"))
AFTER = ("CALL", "PRECALL", "RESUME", "JUMP_BACKWARD")


class Interrupt(BaseException):
    """As KeyboardInterrupt, or what a task queue raises at its time limit."""


@contextmanager
def interrupted_at(number: int) -> Iterator[list[str]]:
    """Raise `Interrupt` at the point *number*, and swallow it; yields where, which is empty if there are fewer."""
    left, where = number, list[str]()
    last: dict[FrameType, str] = {}

    def trace(frame: FrameType, event: str, _argument: Any) -> Callable[..., Any] | None:
        nonlocal left
        if where or not frame.f_code.co_filename.endswith(OURS):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            before = last.get(frame, "")
            last[frame] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            left -= before.startswith(AFTER)
            if left < 0:
                where.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
                raise Interrupt
        return trace

    before = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # 3.12 has none anywhere else unless some frame wants them from the start
    sys.settrace(trace)
    try:
        with suppress(Interrupt):
            yield where
    finally:
        sys.settrace(before)
        last.clear()


def lease(backend: Pooled) -> None:
    backend.pool.release(backend.pool.acquire())


def lease_of_new(backend: Pooled) -> None:
    backend.pool.drain()
    lease(backend)


def lease_of_dropped(backend: Pooled) -> None:
    backend.pool.drop(backend.pool.acquire())
    lease(backend)


def wait_in_vain(backend: Pooled) -> None:
    held = backend.pool.acquire()
    try:
        with pytest.raises(PoolTimeout):
            backend.pool.acquire(0)
    finally:
        backend.pool.release(held)


def tend(backend: Pooled) -> None:
    backend.pool.drop(backend.pool.acquire())
    backend.pool.upkeep()


def give_back(backend: Pooled) -> None:
    """What the interrupted one had got: he would have given it back himself."""
    for slot in backend.pool._line.slots:
        if slot.owner is not None and slot.connection is not None:
            backend.pool.release(slot.connection)


@pytest.mark.parametrize("options", [{}, {"reset": "trusted"}, {"ping_after": 0}], ids=["reset", "trusted", "ping"])
@pytest.mark.parametrize("work", [lease, lease_of_new, lease_of_dropped, wait_in_vain, tend])
@pytest.mark.parametrize("limit", [None, 1])
def test_nothing_is_lost(work: Callable[[Pooled], None], options: dict[str, Any], limit: int | None) -> None:
    number = 0
    while True:
        bench = Bench(limit=limit)
        backend = bench.backend(max_size=1, timeout=0, **options)
        lease(backend)
        lease(backend)  # from now on by the short way
        with interrupted_at(number) as where:
            work(backend)
        if not where:
            assert number > 3, "hardly anything was tried"
            return
        give_back(backend)
        gc.collect(1)  # the tracer is in a cycle with the frames that it has traced, which hold what they held
        for _ in range(2):
            bench.pools.upkeep()
        assert balanced(backend), where
        assert not backend.pool.statistics().leased, where
        backend.pool.release(acquire(backend))  # with no time to wait
        number += 1


def test_who_waits_is_served_though_the_hand_over_was_interrupted() -> None:
    number = 0
    while True:
        bench = Bench()
        backend = bench.backend(max_size=1)
        held = acquire(backend)
        waiter = Thread(lambda backend=backend: lease(backend))  # type: ignore[misc]  # the default is what binds it
        waiting(backend, 1)
        with interrupted_at(number) as where:
            backend.pool.release(held)
        gc.collect(1)  # the tracer is in a cycle with the frames that it has traced, which hold what they held
        for _ in range(2):
            bench.pools.upkeep()
        waiter.finish()
        if not where:
            assert number > 3, "hardly anything was tried"
            return
        number += 1
