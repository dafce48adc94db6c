"""A misspelt option."""

from reference_backends.sqlite3 import SQLiteOptions

options = SQLiteOptions(time_out=3)  # error: [call-arg] Unexpected keyword argument "time_out"
# raises: ImproperlyConfigured: time_out
