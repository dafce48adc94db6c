"""A backend is made from settings, not from Django's mapping; ``make_backend`` takes that."""

from reference_backends.sqlite3 import SQLiteBackend

backend = SQLiteBackend({"NAME": ":memory:"})  # error: [type-var] cannot be "dict[str, str]"
