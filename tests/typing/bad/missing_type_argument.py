# mypy: allow-any-generics
"""Params are left out of the class's type arguments: an error outside of mypy's strict mode too."""

import sqlite3

from backend_sdk import BaseBackend, ConnectionSettings


class MyBackend(
    BaseBackend[ConnectionSettings, sqlite3.Connection, sqlite3.Cursor],  # error: [type-arg] expects 4 type arguments
    vendor="my",
): ...


# raises: TypeError: Too few arguments
