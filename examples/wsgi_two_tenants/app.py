"""One application, mounted twice under different settings in one server process.

``connection`` is imported once and never rebound; each request gets the database of the site that it was sent to,
in whatever thread it is served. Run it with ``pserve`` or any other PasteDeploy server: ``two_tenants.ini`` says
where each site is mounted and which database it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from backend_sdk import WSGIScope, connection

StartResponse = Callable[..., Any]
WSGIApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


def visits(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Counts its visitors, who may leave a name: ``/a?name=Ann``. It knows nothing of tenants."""
    with connection.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS visit (name TEXT)")
        cursor.execute("INSERT INTO visit VALUES (?)", (environ.get("QUERY_STRING", "").removeprefix("name="),))
        cursor.execute("SELECT name FROM visit ORDER BY rowid")
        names = [name for (name,) in cursor.fetchall()]
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{name}\n".encode() for name in names]


def make_site(global_config: dict[str, str], *, database: str) -> WSGIApp:
    """PasteDeploy's app factory: the same application under its own settings."""
    return WSGIScope(visits, {"default": database})


def mount(loader: Any, global_config: dict[str, str], **sites: str) -> WSGIApp:
    """PasteDeploy's composite factory: each path goes to its site."""
    apps: dict[str, WSGIApp] = {path: loader.get_app(name, global_conf=global_config) for path, name in sites.items()}

    def dispatch(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        app = apps.get(environ["PATH_INFO"])
        if app is None:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"no such site\n"]
        return app(environ, start_response)

    return dispatch
