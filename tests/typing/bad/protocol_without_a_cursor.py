"""What is written for backends asks for a cursor that no backend may have."""

import sqlite3

from backend_sdk import Backend


def columns(backend: Backend[str, sqlite3.Connection, list[str]]) -> int:  # error: [type-var] subtype of "DBAPICursor"
    return len(backend.get_connection_params())
