"""Who holds a lease: a thread, or a task under an event loop; and how a pool learns that it is gone."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial
from operator import contains
from typing import Any
from weakref import WeakKeyDictionary

__all__ = [
    "NOBODY",
    "Owner",
    "current_owner",
    "current_task",
    "forget_listeners",
    "here",
    "running_tasks",
    "thread_owner",
    "when_gone",
]


class Owner:
    """A thread or task that has acquired something at some time."""

    __slots__ = ("gone", "ident", "label", "lock")

    def __init__(self, label: str, ident: int) -> None:
        self.label = label
        self.ident = ident
        """The thread's; -1 for a task."""
        self.gone = False
        self.lock: Any = threading.RLock()
        """Held by the thread as long as it lives: whether it is the caller's is the cheapest way to ask who calls."""


NOBODY = Owner("nobody", -1)

_listeners: list[Callable[[Owner], object]] = []


def when_gone(listener: Callable[[Owner], object]) -> None:
    """Call *listener* with each owner that ends: in a finalizer or a loop's callback, so it must not wait."""
    _listeners.append(listener)


def forget_listeners() -> None:
    """Nobody is to be told any more: the interpreter is about to end."""
    _listeners.clear()


class _Sentinel:
    """Lives in a thread's local storage, or in a task's callback; its end is the thread's or task's end."""

    __slots__ = ("_exiting", "_listeners", "_owner")

    def __init__(self, owner: Owner) -> None:
        # All that the end needs is held here: a thread's storage can outlive the globals of the modules, which the
        # interpreter sets to None at its exit.
        self._owner = owner
        self._listeners = _listeners
        self._exiting = sys.is_finalizing

    def __del__(self) -> None:
        if not self._exiting() and not self._owner.gone:
            self.end()

    def end(self) -> None:
        self._owner.gone = True
        if self._owner.lock._is_owned():  # before the thread's ident is another's
            self._owner.lock.release()
        for listener in self._listeners:
            listener(self._owner)


class _Here(threading.local):
    owner: Owner | None = None
    sentinel: _Sentinel | None = None


here = _Here()
"""``here.owner`` is this thread's, None before its first acquisition."""

_tasks: WeakKeyDictionary[Any, Owner] = WeakKeyDictionary()


class _OnceImported:
    """True from when asyncio is imported, without which no task runs. Asked in C, a third of what a method takes."""

    __slots__ = ()

    __bool__ = staticmethod(partial(contains, sys.modules, "asyncio.tasks"))


def running_tasks() -> Any:
    """What is true while any task runs in this process. Looking at asyncio's own table is the cheapest way to ask.

    Until asyncio is imported, and on a Python without such a table, the answer is true more often than that.
    """
    module = sys.modules.get("asyncio.tasks")
    if module is None or getattr(module.__spec__, "_initializing", False):
        return _OnceImported()  # half imported, it has another table than the one it will end with
    table = getattr(module, "_current_tasks", None)
    return table if type(table) is dict and sys.version_info < (3, 14) else _OnceImported()


def current_task() -> Any | None:
    """The task that calls; None outside of any event loop. Raises nothing on the way: that would cost a microsecond."""
    events: Any = sys.modules.get("asyncio.events")
    probe = getattr(events, "_get_running_loop", None)  # none while it is half imported
    loop = probe() if probe is not None else None
    return None if loop is None else sys.modules["asyncio.tasks"].current_task(loop)


def current_owner() -> Owner:
    """The calling task's owner, or the thread's; noted, so that its end is heard of."""
    task = current_task()
    if task is None:
        return thread_owner()
    owner = _tasks.get(task)
    if owner is None:
        name = task.get_name() if hasattr(task, "get_name") else "unnamed"
        owner = _tasks[task] = Owner(f"task {name!r}", -1)
        sentinel = _Sentinel(owner)
        task.add_done_callback(lambda _: sentinel.end())
    return owner


def thread_owner() -> Owner:
    """The calling thread's owner, under an event loop too."""
    return here.owner or _new_thread_owner()


def _new_thread_owner() -> Owner:
    thread = threading.current_thread()
    owner = Owner(f"thread {thread.name!r}", threading.get_ident())
    owner.lock.acquire()
    here.sentinel = _Sentinel(owner)
    here.owner = owner
    return owner
