"""The PostGIS backend: PostgreSQL's own, with the extension made sure of."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import DictRow, RowFactory, dict_row
from typing_extensions import override

from backend_sdk import DatabaseWrapper, ImproperlyConfigured, SupportsConfigure, settings_class_of
from reference_backends.postgis import PostGISBackend, PostGISSettings
from reference_backends.postgresql import PostgreSQLBackend

POINT = "SELECT ST_AsText(ST_Point(1, 2)) AS point"


@pytest.fixture
def settings(postgresql_url: str) -> Iterator[PostGISSettings]:
    """A database of the test's own, without the extension."""
    name = f"d{uuid4().hex}"
    with psycopg.connect(postgresql_url, autocommit=True) as observer:
        if observer.execute("SELECT FROM pg_available_extensions WHERE name = 'postgis'").rowcount == 0:
            if os.environ.get("BACKEND_SDK_REQUIRE_SERVICES") == "1":
                pytest.fail("the server has no PostGIS: make services")
            pytest.skip("the server has no PostGIS: make services")
        observer.execute(f"CREATE DATABASE {name}".encode())
        yield PostGISSettings.from_url(postgresql_url).derive(name=name)
        observer.execute(f"DROP DATABASE {name} (FORCE)".encode())


def test_missing_extension_is_one_clear_error_and_leaves_nothing_open(settings: PostGISSettings) -> None:
    wrapper = DatabaseWrapper(PostGISBackend(settings))
    with pytest.raises(ImproperlyConfigured, match=f"'{settings.name}' has no PostGIS: install it"):
        wrapper.connect()
    assert not wrapper.is_open


@pytest.mark.parametrize("autocommit", [True, False])
def test_extension_is_created_where_asked_and_then_found(settings: PostGISSettings, autocommit: bool) -> None:
    for create in (True, False):
        changed = settings.derive(autocommit=autocommit, options={"create_extension": create, "search_path": "public"})
        wrapper = DatabaseWrapper(PostGISBackend(changed))
        assert wrapper.cursor().execute(POINT).fetchone() == ("POINT(1 2)",)
        wrapper.close()


def test_extension_may_be_created_by_several_at_once(settings: PostGISSettings) -> None:
    backend = PostGISBackend(settings.derive(options={"create_extension": True}))
    together = threading.Barrier(4)

    def use() -> object:
        wrapper = DatabaseWrapper(backend)
        together.wait(10)
        row = wrapper.cursor().execute(POINT).fetchone()
        wrapper.close()
        return row

    with ThreadPoolExecutor(4) as threads:
        results = [thread.result() for thread in [threads.submit(use) for _ in range(4)]]
    assert results == [("POINT(1 2)",)] * 4


def test_what_the_parent_can_is_kept(settings: PostGISSettings) -> None:
    class Named(PostGISBackend[PostGISSettings, DictRow]):
        @classmethod
        @override
        def row_factory(cls) -> RowFactory[DictRow]:
            return dict_row

    wrapper = DatabaseWrapper(Named(settings.derive(options={"create_extension": True})))
    with wrapper.atomic(), wrapper.named_cursor("n") as cursor:
        assert cursor.execute(POINT).fetchone() == {"point": "POINT(1 2)"}
    wrapper.backend.reset(wrapper.connection)
    assert wrapper.cursor().execute(POINT).fetchone() == {"point": "POINT(1 2)"}
    assert wrapper.vendor == PostgreSQLBackend.vendor
    assert wrapper.backend.abilities == PostgreSQLBackend(settings).abilities | {SupportsConfigure}
    wrapper.close()


def test_settings_class_is_its_own() -> None:
    assert settings_class_of(PostGISBackend) is PostGISSettings
