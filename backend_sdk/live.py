"""A live server in another thread on this thread's own connections: for tests with a browser.

Source: Django tickets 2879 and 17258.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from .connections import DEFAULT_ALIAS, Connections, connections
from .middleware import WSGIScope

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .middleware import WSGIApp

__all__ = ["live_server"]


@contextmanager
def live_server(
    app: WSGIApp,
    *,
    share: Iterable[str] = (DEFAULT_ALIAS,),
    host: str = "127.0.0.1",
    port: int = 0,
    connections: Connections = connections,
) -> Iterator[str]:
    """Serve the WSGI *app* in another thread for the length of the block; yields its URL.

    The aliases in *share* stand for this thread's own wrappers there: the same session, and so the same in-memory
    database and the same transaction. Each request is served under a scope, which leaves them open.
    """
    from wsgiref.simple_server import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: a test's output is its own."""

    wrappers = {alias: connections[alias] for alias in share}
    databases = connections.databases.with_(wrappers)
    with ExitStack() as stack:
        for wrapper in {id(wrapper): wrapper for wrapper in wrappers.values()}.values():
            wrapper.connect()  # here, since it belongs to this thread
            stack.enter_context(wrapper.shared())
        server = stack.enter_context(
            make_server(host, port, WSGIScope(app, databases, connections=connections), handler_class=Quiet)
        )
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="live server")
        thread.start()
        try:
            yield f"http://{host}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
