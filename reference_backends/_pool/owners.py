"""Who holds a lease: a thread, or a task under an event loop; and how a pool learns that it is gone."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["Owner", "current_owner", "current_task", "here", "running_tasks", "when_gone"]


class Owner:
    """A thread or task that has acquired something at some time."""

    __slots__ = ("gone", "label")

    def __init__(self, label: str) -> None:
        self.label = label
        self.gone = False


_listeners: list[Callable[[Owner], object]] = []


def when_gone(listener: Callable[[Owner], object]) -> None:
    """Call *listener* with each owner that ends: in a finalizer or a loop's callback, so it must not wait."""
    _listeners.append(listener)


def _end(owner: Owner, listeners: list[Callable[[Owner], object]] = _listeners) -> None:
    owner.gone = True
    for listener in listeners:
        listener(owner)


class _Sentinel:
    """Lives in a thread's local storage; its end is the thread's end."""

    __slots__ = ("owner",)

    def __init__(self, owner: Owner) -> None:
        self.owner = owner

    # Bound here: the main thread's storage outlives the modules' globals at the interpreter's exit.
    def __del__(self, end: Callable[[Owner], object] = _end, exiting: Callable[[], bool] = sys.is_finalizing) -> None:
        if not exiting():
            end(self.owner)


class _Here(threading.local):
    owner: Owner | None = None
    sentinel: _Sentinel | None = None


here = _Here()
"""``here.owner`` is this thread's, None before its first acquisition."""

_tasks: WeakKeyDictionary[Any, Owner] = WeakKeyDictionary()


class _AlwaysAsk:
    """True: stands for asyncio's table of running tasks where it cannot be looked at."""

    __slots__ = ()

    def __len__(self) -> int:
        return 1


def running_tasks() -> Any:
    """What is true while any task runs in this process. Looking at asyncio's own table is the cheapest way to ask.

    Until asyncio is imported, and on a Python without such a table, the answer is always true.
    """
    module = sys.modules.get("asyncio.tasks")
    if module is None or getattr(module.__spec__, "_initializing", False):
        return _AlwaysAsk()  # half imported, it has another table than the one it will end with
    table = getattr(module, "_current_tasks", None)
    return table if type(table) is dict and sys.version_info < (3, 14) else _AlwaysAsk()


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
        return here.owner or _thread_owner()
    owner = _tasks.get(task)
    if owner is None:
        name = task.get_name() if hasattr(task, "get_name") else "unnamed"
        owner = _tasks[task] = Owner(f"task {name!r}")
        ended = owner
        task.add_done_callback(lambda _: _end(ended))
    return owner


def _thread_owner() -> Owner:
    thread = threading.current_thread()
    owner = Owner(f"thread {thread.name!r}")
    here.sentinel = _Sentinel(owner)
    here.owner = owner
    return owner
