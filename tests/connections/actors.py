"""Threads and tasks that do one thing after another as they are told, each in a context of its own."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from tests.core.fakes import PATIENCE

R = TypeVar("R")
Order = tuple[Callable[[], Any], "Future[Any]"]


class Actor(Protocol):
    def do(self, function: Callable[[], R]) -> R: ...


class ThreadActor:
    def __init__(self, name: str) -> None:
        self._orders: SimpleQueue[Order | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (order := self._orders.get()) is not None:
            _obey(order)
            del order

    def do(self, function: Callable[[], R]) -> R:
        waiting: list[Future[R]] = [Future()]  # emptied before it raises: the traceback holds this frame
        self._orders.put((function, waiting[0]))
        return _outcome(waiting.pop())

    def stop(self) -> None:
        self._orders.put(None)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


def _obey(order: Order) -> None:
    function, done = order
    try:
        done.set_result(function())
    except BaseException as error:
        done.set_exception(error)
    finally:
        del order, function, done  # the error's traceback holds this frame


def _outcome(done: Future[R]) -> R:
    try:
        return done.result(PATIENCE)
    finally:
        del done


class TaskActor:
    def __init__(self, loop: asyncio.AbstractEventLoop, orders: asyncio.Queue[Order | None]) -> None:
        self._loop = loop
        self._orders = orders

    def do(self, function: Callable[[], R]) -> R:
        """What *function* returns; if that is awaitable, what comes of it."""
        waiting: list[Future[R]] = [Future()]
        self._loop.call_soon_threadsafe(self._orders.put_nowait, (function, waiting[0]))
        return _outcome(waiting.pop())


class Tasks:
    """An event loop in a thread of its own, with *count* tasks."""

    def __init__(self, count: int) -> None:
        self.actors: list[TaskActor] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main(count)), name="loop", daemon=True)
        self._thread.start()
        assert self._ready.wait(PATIENCE)

    async def _main(self, count: int) -> None:
        queues: list[asyncio.Queue[Order | None]] = [asyncio.Queue() for _ in range(count)]
        self.actors = [TaskActor(asyncio.get_running_loop(), queue) for queue in queues]
        self._ready.set()
        await asyncio.gather(*(self._serve(queue) for queue in queues))

    async def _serve(self, queue: asyncio.Queue[Order | None]) -> None:
        while (order := await queue.get()) is not None:
            function, done = order
            try:
                result = function()
                done.set_result(await result if inspect.isawaitable(result) else result)
                del result
            except BaseException as error:
                done.set_exception(error)
            finally:
                del order, function, done

    def stop(self) -> None:
        for actor in self.actors:
            actor._loop.call_soon_threadsafe(actor._orders.put_nowait, None)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
