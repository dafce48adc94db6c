"""Ways to make things go wrong, and to see what a call does: refused opens, dead connections, steps, files, sockets."""

from __future__ import annotations

import inspect
import os
import socket
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from backend_sdk import ImproperlyConfigured

from .verdict import CouldNotRun

if TYPE_CHECKING:
    from backend_sdk import ConnectionSettings

    from .subject import AnyWrapper, Subject

__all__ = [
    "RefusedOpen",
    "accepted",
    "break_connection",
    "caught",
    "descriptors",
    "is_driver_error",
    "methods_called",
    "refused_open",
    "system_calls",
    "unreachable",
]  # fmt: skip


def caught(call: Callable[[], object]) -> BaseException | None:
    """What *call* raises, if anything, without its traceback.

    The traceback leads to the frames of the callers, this check's own among them: the check's error would hold
    its cursors, and a cursor its statement and lock.
    """
    try:
        call()
    except Exception as error:
        return _without_traceback(error)
    return None


def _without_traceback(error: Exception) -> Exception:
    current: BaseException | None = error
    while current is not None:
        current.__traceback__ = None
        current = current.__cause__ or current.__context__
    return error


def is_driver_error(error: BaseException | None) -> bool:
    """Whether *error* is of a PEP 249 driver, by the names of its classes and not by what the backend declares."""
    names = {"Error", "DatabaseError", "InterfaceError"}
    ours = type(error).__module__.partition(".")[0] == "backend_sdk"
    return not ours and any(cls.__name__ in names for cls in type(error).__mro__)


# Settings that no connection can be opened with


def accepted(subject: Subject, **changes: Any) -> ConnectionSettings | None:
    """The settings with *changes* (keys in upper case), or None where the backend refuses them as it should."""
    try:
        made: Any = subject.cls
        settings = subject.settings(**changes)
        made(settings).get_connection_params()
    except ImproperlyConfigured:
        return None
    return settings


def another_name(subject: Subject) -> str:
    """Another database's name; a file's is in the check's folder, since some backends open it as soon as made."""
    name = "conformance_other"
    return name if subject.mapping.get("HOST") else str(subject.workdir / name)


class RefusedOpen(NamedTuple):
    """A wrapper whose connection cannot be opened, and what its first attempt raised; ``text`` has the traceback."""

    wrapper: AnyWrapper
    error: BaseException
    text: str


def unreachable(subject: Subject, **changes: Any) -> Iterator[Mapping[str, Any]]:
    """Changes of the settings with which an open is likely to fail at once: a closed port, a missing folder."""
    closed = {"HOST": "127.0.0.1", "PORT": _closed_port()}
    missing = {"NAME": str(subject.workdir / "no such folder" / "database")}
    for candidate in (closed, missing) if subject.mapping.get("HOST") else (missing, closed):
        if accepted(subject, **{**candidate, **changes}) is not None:
            yield {**candidate, **changes}


def refused_open(subject: Subject, alias: str = "refused", **changes: Any) -> RefusedOpen:
    """An open that fails; raises `CouldNotRun` where the kit finds no settings for one."""
    for candidate in unreachable(subject, **changes):
        wrapper = subject.wrapper(alias, **candidate)
        try:
            wrapper.connect()
        except Exception as error:
            text = "".join(traceback.format_exception(error))
            return RefusedOpen(wrapper, _without_traceback(error), text)
        wrapper.close()
    raise CouldNotRun("the kit found no settings with which this backend cannot open a connection")


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def break_connection(connection: Any) -> None:
    """End the session by the driver's own ``close()``, behind the back of whoever holds it."""
    close = getattr(connection, "close", None)
    if close is None:
        raise CouldNotRun(f"a {type(connection).__name__} has no close() to end it behind the wrapper's back")
    close()


def descriptors() -> int:
    """How many files and sockets this process has open."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        if os.path.isdir(folder):
            return len(os.listdir(folder))
    raise CouldNotRun("this system does not tell which files a process has open")


# What a call does


def methods_called(subject: Subject, names: Iterable[str], call: Callable[[], object]) -> list[str]:
    """Which of the class's own methods *names* run during *call*, in order; those of its bases do not count."""
    codes = {}
    for name in names:
        function: Any = getattr(subject.cls, name, None)
        code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
        if code is not None and not function.__module__.startswith("backend_sdk"):  # the SDK's defaults do nothing
            codes[code] = name
    seen: list[str] = []

    def watch(frame: Any, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code in codes:
            seen.append(codes[frame.f_code])

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        call()
    finally:
        sys.setprofile(before)
    return seen


_watched: list[str] | None = None
_hooked = False
_IO = (
    "open", "os.listdir", "os.scandir", "os.system", "socket.connect", "socket.getaddrinfo", "socket.gethostbyname",
    "sqlite3.connect", "subprocess.Popen", "urllib.Request",
)  # fmt: skip


def system_calls(call: Callable[[], object]) -> list[str]:
    """What *call* opens, connects to or starts, as the interpreter's own audit events tell; imports not counted."""
    global _hooked, _watched
    if not _hooked:
        _hooked = True
        sys.addaudithook(_audit)
    found: list[str] = []
    _watched = found
    try:
        call()
    finally:
        _watched = None
    return found


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched is not None and event in _IO and not str(arguments[0]).endswith((".py", ".pyc", ".so")):
        _watched.append(f"{event} {arguments[0]!r}" if event == "open" else event)
