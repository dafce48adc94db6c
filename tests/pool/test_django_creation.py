"""Test databases: made, cloned and destroyed with nothing of the pools left open on them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reference_backends.django_pooled import drain
from reference_backends.pooled import Pools
from tests.core.fakes import PATIENCE
from tests.pool.django_support import Database, database, execute, pool_of, scalar

from django.conf import settings as django_settings  # isort: skip  # configured above
from django.db import utils  # isort: skip


@pytest.fixture(params=["sqlite3", "postgresql", "mysql"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with database(request.param, tmp_path, request.getfixturevalue) as made:
        yield made


@pytest.fixture
def alias(db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A wrapper that Django knows as ``default``, with a test database to be."""
    name = str(tmp_path / "test_of.db") if db.wraps.endswith("sqlite3") else None
    db.settings["TEST"] = {**db.settings["TEST"], "NAME": name}
    wrapper = db.wrapper()
    monkeypatch.setitem(django_settings.DATABASES, "default", wrapper.settings_dict)
    return wrapper


def create(wrapper: Any) -> None:
    wrapper.creation.create_test_db(verbosity=0, autoclobber=True)


def leave_idle(db: Database, name: str) -> None:
    """Two connections to the present database that nobody holds: one closed, one left by a thread that died."""
    kept: list[Any] = []

    def work() -> None:
        for _ in range(2):
            wrapper = db.wrapper("default")
            wrapper.settings_dict["NAME"] = name
            wrapper.ensure_connection()
            kept.append(wrapper)
        kept[0].close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(PATIENCE)
    assert len(kept) == 2


def test_a_test_database_is_made_cloned_and_destroyed_under_idle_connections(db: Database, alias: Any) -> None:
    own = alias.settings_dict["NAME"]
    create(alias)
    name = alias.settings_dict["NAME"]
    assert name != own
    execute(alias, "CREATE TABLE mine (id INTEGER)")
    leave_idle(db, name)
    alias.creation.clone_test_db(suffix="1", verbosity=0, autoclobber=True)
    clone = alias.creation.get_test_db_clone_settings("1")["NAME"]
    leave_idle(db, clone)
    leave_idle(db, name)
    alias.creation.destroy_test_db(suffix="1", verbosity=0)
    alias.creation.destroy_test_db(own, verbosity=0)
    assert alias.settings_dict["NAME"] == own
    assert scalar(alias, "SELECT 1") == 1


def test_drain_ends_the_leases_of_the_dead_itself(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    observer = db.wrapper("observer")
    monkeypatch.setattr(Pools, "upkeep", lambda _: None)  # what goes on in the background, at a time of its own
    leave_idle(db, observer.settings_dict["NAME"])
    pool = pool_of(observer)
    assert pool.statistics().size > 0
    drain()
    assert pool.statistics().size == 0


def test_a_test_database_that_is_made_anew_is_not_reached_through_an_old_connection(db: Database, alias: Any) -> None:
    own = alias.settings_dict["NAME"]
    create(alias)
    execute(alias, "CREATE TABLE mine (id INTEGER)")
    alias.close()
    alias.settings_dict["NAME"] = own
    create(alias)
    with pytest.raises(utils.DatabaseError):
        execute(alias, "SELECT * FROM mine")
    alias.creation.destroy_test_db(own, verbosity=0)


def test_a_clone_s_name_reaches_the_wrappers_of_other_threads(db: Database, alias: Any) -> None:
    """As in a worker of the parallel test runner, which changes the settings in place."""
    later = db.wrapper("later")
    later.settings_dict = alias.settings_dict
    alias.settings_dict["NAME"] = alias.creation.get_test_db_clone_settings("7")["NAME"]
    assert pool_of(later) is pool_of(alias)


def test_the_signature_is_the_wrapped_engine_s(db: Database, alias: Any) -> None:
    stock = alias.wrapped_class({**alias.settings_dict, "ENGINE": db.wraps, "OPTIONS": {}}, "default")
    assert alias.creation.test_db_signature() == stock.creation.test_db_signature()
