"""The driver's error classes are asked for, usually its module; not the name of it."""

from typing_extensions import override

from backend_sdk import ErrorClasses
from reference_backends.sqlite3 import SQLiteBackend


class MyBackend(SQLiteBackend):
    @property
    @override
    def driver_errors(self) -> ErrorClasses:
        return "sqlite3"  # error: [return-value] expected "ErrorClasses"
