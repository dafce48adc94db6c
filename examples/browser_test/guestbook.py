"""A page that a browser has to put together: its names come from the database by a script of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from backend_sdk import connection

PAGE = """<!DOCTYPE html>
<title>Guestbook</title>
<ul id="names"></ul>
<script src="/names.js"></script>
<script>
  for (const name of names) {
    const item = document.createElement("li");
    item.textContent = name;
    document.getElementById("names").append(item);
  }
</script>
"""


def guestbook(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Serves the page, and its names as a script. It knows nothing of tests."""
    if environ["PATH_INFO"] != "/names.js":
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [PAGE.encode()]
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM guest ORDER BY name")
        names = [name for (name,) in cursor.fetchall()]
    start_response("200 OK", [("Content-Type", "text/javascript; charset=utf-8")])
    return [f"const names = {json.dumps(names)};".encode()]
