"""Who is calling: one token per thread, one per task, none of them ever inherited.

A thread's ident is reused by a later thread, so an owner is not an ident but a `Token`, which dies with
its thread. The hot test is ``not guard.fast() or local.running_loop()``; all else is slow.
"""

from __future__ import annotations

import sys
import threading
from _thread import get_ident
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterator

__all__ = [
    "NOBODY",
    "Token",
    "allow_blocking",
    "blocking_allowed",
    "current_task",
    "current_token",
    "get_ident",
    "running_loop",
]


class Token:
    """The identity of one thread or one task. ``ident`` is the thread's, 0 once it is dead, and always for a task.

    ``here()`` says whether the caller is that thread, alive: it asks a lock that the thread holds for good, which
    takes 13 ns where ``get_ident() ==`` takes 33. It is false for a task's token, which the slow way compares.
    """

    __slots__ = ("__weakref__", "_lock", "_task", "here", "ident", "label")

    def __init__(self, ident: int, label: str, task: Any = None) -> None:
        self.ident = ident
        self.label = label
        self._task = None if task is None else ref(task)
        self._lock = threading.RLock()
        self.here: Callable[[], bool] = getattr(self._lock, "_is_owned", None) or partial(_is_owned_by, self._lock)

    def hold(self) -> None:
        """The calling thread is this one, until `die`."""
        self._lock.acquire()

    def die(self) -> None:
        """Called as the last thing in the token's thread, before its ident can be reused."""
        self.ident = 0
        try:
            self._lock.release()
        except RuntimeError:  # in a forked child, for a thread that is not there: nothing is open there either
            self._lock = threading.RLock()

    @property
    def alive(self) -> bool:
        """Whether the thread, or the task, has not ended."""
        if self._task is None:
            return self.ident != 0
        task = self._task()
        ended = getattr(task, "done", None) or getattr(task, "is_closed", None)  # a loop, for its bare callbacks
        return ended is not None and not ended()

    def __repr__(self) -> str:
        return f"<Token of {self.label}>"


def _is_owned_by(lock: Any) -> bool:
    """``RLock._is_owned`` where an implementation has none: only who holds it may release it."""
    try:
        lock.release()
    except RuntimeError:
        return False
    lock.acquire()
    return True


NOBODY = Token(0, "nobody")
"""Is no caller: a guard that holds it sends every call through the slow path."""


class _Presence:
    """Lives in a thread's local storage; its end is the thread's end, before the ident can be reused."""

    __slots__ = ("token",)

    def __init__(self) -> None:
        ident = get_ident()
        thread = threading.current_thread()
        self.token = Token(ident, f"thread {thread.name!r} ({ident})")
        self.token.hold()

    def __del__(self) -> None:
        self.token.die()


class _Here(threading.local):
    def __init__(self) -> None:
        self.presence = _Presence()


_here = _Here()
_tasks: WeakKeyDictionary[Any, Token] = WeakKeyDictionary()

# Until asyncio is imported no loop can run, and importing it here would cost every synchronous program
# its start-up time. This C-level probe answers in 15 ns; `_loop` replaces it by asyncio's own.
running_loop: Callable[[], object] = partial(sys.modules.get, "asyncio.events")


def _loop() -> AbstractEventLoop | None:
    """The event loop running in this thread, or None."""
    global running_loop
    found: Any = running_loop()
    if found is None or not isinstance(found, type(sys)):
        return found  # asyncio's probe is bound: a loop or None
    if getattr(found.__spec__, "_initializing", False):
        return None  # half imported by another thread: the probe it has by now is not the one it will end with
    running_loop = found._get_running_loop
    return running_loop()  # type: ignore[return-value]  # the probe just bound


def current_task() -> Any | None:
    """The task that calls, or the loop itself in one of its bare callbacks; None outside of any event loop."""
    loop = _loop() if running_loop() else None
    if loop is None:
        return None
    from asyncio import current_task

    return current_task(loop) or loop


def current_token() -> Token:
    """The caller's token: its task's under a running event loop, else its thread's."""
    task = current_task() if running_loop() else None
    if task is None:
        return _here.presence.token
    token = _tasks.get(task)
    if token is None:
        name = task.get_name() if hasattr(task, "get_name") else "callback"
        token = _tasks[task] = Token(0, f"task {name!r} in {_here.presence.token.label}", task)
    return token


def is_task(token: Token) -> bool:
    """Whether *token* is a task's (or a loop callback's), not a thread's."""
    return token.label.startswith("task ")


_blocking: ContextVar[bool] = ContextVar("backend_sdk_allow_blocking", default=False)


def blocking_allowed() -> bool:
    """Whether a blocking call is all right here: no loop runs, or `allow_blocking` is in force."""
    return not running_loop() or _loop() is None or _blocking.get()


@contextmanager
def allow_blocking() -> Iterator[None]:
    """Permit blocking database calls under a running event loop, for this context and its tasks."""
    before = _blocking.get()
    _blocking.set(True)
    try:
        yield
    finally:
        _blocking.set(before)  # by value: a token cannot be reset in another context
