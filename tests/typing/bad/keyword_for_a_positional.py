"""Arguments are positional only, so that each backend may name its own."""

from reference_backends.sqlite3 import SQLiteBackend, SQLiteSettings

backend = SQLiteBackend(SQLiteSettings(name=":memory:"))
params = backend.get_connection_params()
connection = backend.get_new_connection(params=params)  # error: [call-arg] Unexpected keyword argument "params"
# raises: TypeError: positional-only
