"""Test databases: nothing of the pools may be open on them while they are made, cloned or destroyed."""

from __future__ import annotations

from typing import Any

from .sessions import drain_all
from .settings import wrapped_name

__all__ = ["DrainingCreation"]


class DrainingCreation:
    """Goes before the wrapped engine's own creation class.

    PostgreSQL refuses to drop or to copy a database that anybody is connected to, and an idle connection to a file that
    was replaced would go on with the old one.
    """

    connection: Any

    def _create_test_db(self, *args: Any, **options: Any) -> Any:
        drain_all()
        return super()._create_test_db(*args, **options)  # type: ignore[misc]  # Django's class comes next

    def _clone_test_db(self, *args: Any, **options: Any) -> Any:
        drain_all()
        return super()._clone_test_db(*args, **options)  # type: ignore[misc]  # as above

    def _destroy_test_db(self, *args: Any, **options: Any) -> Any:
        drain_all()
        return super()._destroy_test_db(*args, **options)  # type: ignore[misc]  # as above

    def test_db_signature(self) -> Any:
        """As without a pool: an alias of the same database that has none must not make it a second time."""
        settings = self.connection.settings_dict
        ours, wraps = settings["ENGINE"], wrapped_name(settings, self.connection.alias)
        return tuple(wraps if part == ours else part for part in super().test_db_signature())  # type: ignore[misc]  # as above
