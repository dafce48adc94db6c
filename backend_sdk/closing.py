"""Many closings, of which none may stop the others: one after the other here, or in the background of an event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import local
from .errors import raise_together

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["raise_collected", "run_all", "run_in_background"]


def raise_collected(message: str, errors: list[Exception]) -> None:
    """`raise_together`, emptying *errors*: an error's traceback holds the frames that hold the list."""
    found = errors.copy()
    errors.clear()
    try:
        raise_together(message, found)
    finally:
        del found


def run_all(closers: list[Callable[[], None]], errors: list[Exception]) -> None:
    """Call each, whatever the others do."""
    while closers:  # emptied, so that nothing is held once it is closed
        try:
            closers.pop(0)()
        except Exception as error:
            errors.append(error)


def run_in_background(closers: list[Callable[[], None]], errors: list[Exception] | None = None) -> Any:
    """Run *closers* in the running loop's executor; returns a future. Without *errors*, those are logged, by class."""

    def run() -> None:
        found: list[Exception] = [] if errors is None else errors
        run_all(closers, found)
        if errors is None and found:
            import logging

            kinds = ", ".join(type(error).__name__ for error in found)
            found.clear()
            logging.getLogger("backend_sdk").warning("closing connections in the background failed: %s", kinds)

    loop: Any = local.running_loop()
    try:
        return loop.run_in_executor(None, run)
    except RuntimeError:  # the loop is shutting its executor down
        import threading

        threading.Thread(target=run, name="backend_sdk closing").start()
        return None
