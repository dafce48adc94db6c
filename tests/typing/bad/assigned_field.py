"""Settings are frozen; ``derive`` makes changed ones."""

from reference_backends.sqlite3 import SQLiteSettings

settings = SQLiteSettings(name=":memory:")
settings.name = "other.db"  # error: [misc] Property "name" defined in "SQLiteSettings" is read-only
# raises: ImproperlyConfigured: settings.derive(name=...)
