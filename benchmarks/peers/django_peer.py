"""Django's own SQLite backend, without a project: settings are configured here."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import repeat
from typing import Any

from benchmarks import loops, workload
from benchmarks.measure import Loop
from benchmarks.peers import Opener

django: Any = importlib.import_module("django")
settings: Any = importlib.import_module("django.conf").settings
utils: Any = importlib.import_module("django.db.utils")

if not settings.configured:
    settings.configure(DATABASES={})
    django.setup()  # otherwise every statement warns that the applications are not ready


def handler_for(path: str) -> Any:
    """A handler as a project's ``connections``."""
    return utils.ConnectionHandler({"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": path}})


def wrapper_for(path: str) -> Any:
    """A wrapper as a project's ``connections`` makes it, of a handler of its own."""
    return handler_for(path)["default"]


@contextmanager
def session(path: str) -> Iterator[loops.CursorSource]:
    """One open wrapper on that database."""
    with closing(wrapper_for(path)) as wrapper:
        yield wrapper


@contextmanager
def handler(path: str) -> Iterator[loops.Handler]:
    """A handler with that database."""
    connections = handler_for(path)
    yield connections
    connections.close_all()


@contextmanager
def fresh_connection() -> Iterator[Loop]:
    """Open one wrapper's connection to a file, and close it."""
    with workload.database_file() as path:
        wrapper = wrapper_for(path)

        def loop(count: int) -> None:
            for _ in repeat(None, count):
                wrapper.connect()
                wrapper.close()

        yield loop


def wrapper_maker() -> Callable[[], object]:
    """Makes unopened wrappers over one mapping of settings."""
    wrapper = wrapper_for(":memory:")
    return lambda: type(wrapper)(wrapper.settings_dict, alias="default")


OPERATIONS: Mapping[str, Opener] = {
    "cursor_close": loops.staged(session, loops.cursor_close),
    "connections_alias": loops.looked_up(handler, loops.ten_lookups),
    "select_with": loops.looked_up(handler, loops.select_with_alias),
    "fetchone_loop": loops.staged(session, loops.fetchone_loop),
    "iterate": loops.staged(session, loops.iterate),
    "integrity_error": loops.staged(session, loops.integrity_error(utils.IntegrityError), on_file=True),
    "integrity_error_in_memory": loops.staged(session, loops.integrity_error(utils.IntegrityError)),
    "fresh_connection": fresh_connection,
}
