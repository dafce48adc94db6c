"""Each backend has options of its own."""

from backend_sdk import Options
from reference_backends.sqlite3 import SQLiteSettings


class OtherOptions(Options, frozen=True):
    sslmode: str = "prefer"


settings = SQLiteSettings(name=":memory:", options=OtherOptions())  # error: [arg-type] expected "SQLiteOptions"
# raises: ImproperlyConfigured: options
