"""What Django's settings say to the pool, what is refused, and which settings share a pool."""

from __future__ import annotations

import copy
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from backend_sdk import BaseBackend, ConnectionSettings, InterfaceError, OperationalError
from tests.pool.django_support import Database, DatabaseWrapper, database, execute, pool_of, scalar

from django.core.exceptions import ImproperlyConfigured  # isort: skip  # configured above
from django.db import connections, utils  # isort: skip

OURS = "reference_backends.django_pooled"


class WithoutReset(BaseBackend[ConnectionSettings, None, Any, Any], vendor="none"):
    """A right backend that cannot reset."""

    @override
    def get_connection_params(self) -> None:
        raise NotImplementedError

    @override
    def get_new_connection(self, params: None, /) -> Any:
        raise NotImplementedError

    @override
    def init_connection_state(self, connection: Any, /) -> None:
        raise NotImplementedError

    @override
    def _cursor(self, connection: Any, /) -> Any:
        raise NotImplementedError


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Database]:
    with database("sqlite3", tmp_path, str) as made:
        yield made


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({}, r"DATABASES\['default'\]\['OPTIONS'\]: WRAPS is missing; name the engine behind the pool"),
            ({"WRAPS": OURS}, "WRAPS names the pooled engine itself"),
            ({"WRAPS": "django.db.backends.sqlite4"}, "django.db.backends.sqlite4"),
            ({"WRAPS": "django.db.backends.sqlite3", "POOL": {"max_sise": 2}}, "did you mean 'max_size'"),
            ({"WRAPS": "django.db.backends.sqlite3", "POOL": {"max_size": 0}}, "max_size"),
            ({"WRAPS": "django.db.backends.sqlite3", "POOL": {"min_size": 3, "max_size": 2}}, "more than max_size 2"),
            ({"WRAPS": "django.db.backends.sqlite3", "POOL": 5}, "POOL is a int"),
            ({"WRAPS": "django.db.backends.sqlite3", "pool": True}, "'pool' is Django's own pool"),
        ],
    )
    def test_a_mistake_in_the_options_is_named_when_the_wrapper_is_made(
        self, options: dict[str, Any], says: str, file: Database
    ) -> None:
        with pytest.raises(ImproperlyConfigured, match=says):
            DatabaseWrapper({**file.settings, "OPTIONS": options}, "default")

    def test_django_s_own_pool_is_refused_when_it_is_added_later(self, file: Database) -> None:
        wrapper = file.wrapper()
        wrapper.settings_dict["OPTIONS"]["pool"] = {"min_size": 2}
        with pytest.raises(ImproperlyConfigured, match="keep one of the two"):
            wrapper.ensure_connection()

    def test_a_password_in_the_settings_is_in_no_text(self, file: Database) -> None:
        file.settings["PASSWORD"] = "hunter2secret"
        wrapper = file.wrapper(pool={"max_size": 1, "timeout": 0})
        wrapper.ensure_connection()
        with pytest.raises(utils.OperationalError) as raised:
            file.wrapper("other", pool={"max_size": 1, "timeout": 0}).ensure_connection()
        pool = pool_of(wrapper)
        shown = f"{raised.value} {raised.value.__cause__!r} {pool!r} {pool.sessions!r} {pool.sessions.settings!r}"
        assert "hunter2secret" not in shown


class TestErrors:
    def test_an_exhausted_pool_tells_its_size_and_who_holds_longest(self, file: Database) -> None:
        holder = file.wrapper(pool={"max_size": 1, "timeout": 0})
        holder.ensure_connection()
        with pytest.raises(utils.OperationalError) as raised:
            file.wrapper("reports", pool={"max_size": 1, "timeout": 0}).ensure_connection()
        text = str(raised.value)
        assert text.startswith("alias 'reports': acquire: no connection of <django.db.backends.sqlite3 ")
        assert "size 1 of 1, 0 idle, 1 waiting; held longest by thread 'MainThread' for 0.0 s" in text
        assert isinstance(raised.value.__cause__, OperationalError)
        assert raised.value.__cause__.step == "acquire"

    def test_a_closed_pool_is_replaced_and_one_that_closes_meanwhile_raises_django_s_error(
        self, file: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wrapper = file.wrapper()
        pool = pool_of(wrapper)
        pool.close()
        monkeypatch.setattr(type(wrapper), "pool_for", lambda *_: pool)
        with pytest.raises(utils.InterfaceError, match="is closed") as raised:
            wrapper.ensure_connection()
        assert isinstance(raised.value.__cause__, InterfaceError)
        monkeypatch.undo()
        assert pool_of(wrapper) is not pool
        assert scalar(wrapper, "SELECT 1") == 1

    def test_the_driver_s_error_at_the_open_is_django_s_and_loses_no_slot(self, file: Database, tmp_path: Path) -> None:
        file.settings["NAME"] = str(tmp_path / "no such folder" / "x")
        wrapper = file.wrapper(pool={"max_size": 2})
        for _ in range(5):
            with pytest.raises(utils.OperationalError, match="unable to open") as raised:
                wrapper.ensure_connection()
            assert type(raised.value.__cause__).__module__ == "sqlite3"
        assert pool_of(wrapper).statistics().size == 0


class TestWhoseSettings:
    def test_the_caller_s_dict_stays_as_it_is_and_the_wrapped_engine_sees_none_of_ours(self, file: Database) -> None:
        options = {"WRAPS": file.wraps, "POOL": {"max_size": 3}, "timeout": 4}
        given = {**file.settings, "OPTIONS": options}
        before = copy.deepcopy(given)
        wrapper: Any = DatabaseWrapper(given, "default")
        params = wrapper.get_connection_params()
        assert "WRAPS" not in params
        assert "POOL" not in params
        assert params["timeout"] == 4
        wrapper.ensure_connection()
        wrapper.close()
        assert given == before
        assert wrapper.settings_dict is given

    def test_a_copy_has_settings_of_its_own_and_the_same_pool(self, file: Database) -> None:
        wrapper = file.wrapper(pool={"max_size": 3})
        made = wrapper.copy(alias="copied")
        assert type(made) is type(wrapper)
        assert made.settings_dict == wrapper.settings_dict
        assert made.settings_dict["OPTIONS"] is not wrapper.settings_dict["OPTIONS"]
        assert pool_of(made) is pool_of(wrapper)

    def test_an_engine_of_the_project_s_own_may_derive_from_a_pooled_one(self, file: Database) -> None:
        mine: Any = type("Mine", (type(file.wrapper()),), {"display_name": "mine"})
        made = mine(file.wrapper().settings_dict, "default")
        assert type(made) is mine
        assert scalar(made, "SELECT 1") == 1
        made.close()


class TestKeyedByWhatItConnectsWith:
    def test_another_name_under_the_same_alias_gets_the_other_database(self, file: Database, tmp_path: Path) -> None:
        names = [str(tmp_path / "first.db"), str(tmp_path / "second.db")]
        for number, name in enumerate(names):
            file.settings["NAME"] = name
            wrapper = file.wrapper()
            execute(wrapper, "CREATE TABLE mine (number INTEGER)")
            execute(wrapper, f"INSERT INTO mine VALUES ({number})")
            wrapper.close()
        for _ in range(2):
            for number, name in enumerate(names):
                file.settings["NAME"] = name
                wrapper = file.wrapper()
                assert scalar(wrapper, "SELECT number FROM mine") == number
                wrapper.close()

    def test_a_name_that_is_changed_in_place_counts_at_the_next_connect(self, file: Database, tmp_path: Path) -> None:
        wrapper = file.wrapper()
        execute(wrapper, "CREATE TABLE first (id INTEGER)")
        wrapper.close()
        wrapper.settings_dict["NAME"] = str(tmp_path / "other.db")
        with pytest.raises(utils.OperationalError, match="no such table"):
            execute(wrapper, "SELECT * FROM first")

    @pytest.mark.parametrize("key", ["USER", "PASSWORD", "HOST", "PORT", "TIME_ZONE"])
    def test_another_user_server_or_time_zone_is_another_pool(self, key: str, file: Database) -> None:
        first = pool_of(file.wrapper())
        file.settings[key] = "UTC" if key == "TIME_ZONE" else "another"
        assert pool_of(file.wrapper()) is not first

    def test_other_options_are_another_pool_nested_ones_too(self, file: Database) -> None:
        wrapper = file.wrapper(timeout=3, factory_options={"deep": [1]})
        first = pool_of_settings(wrapper)
        wrapper.settings_dict["OPTIONS"]["factory_options"]["deep"].append(2)
        assert pool_of_settings(wrapper) is not first

    def test_another_pool_option_is_another_pool(self, file: Database) -> None:
        assert pool_of(file.wrapper(pool={"max_size": 3})) is not pool_of(file.wrapper(pool={"max_size": 4}))

    def test_a_parameter_that_expires_is_fetched_at_each_open_and_tells_no_pools_apart(
        self, file: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[int] = []
        engine = _engine_with_tokens(monkeypatch, asked)
        file.wraps = engine
        options = {"max_size": 2, "expiring_params": ["cached_statements"]}
        first, second = file.wrapper(pool=options), file.wrapper("other", pool=options)
        first.ensure_connection()
        second.ensure_connection()
        assert pool_of(first) is pool_of(second)
        opened = [number for number in asked if number < 0]
        assert len(set(opened)) == 2  # each connection was opened with a token of its own
        without = {"max_size": 2}
        assert pool_of(file.wrapper(pool=without)) is not pool_of(file.wrapper(pool=without))


class TestNotPooled:
    @pytest.mark.parametrize("name", [":memory:", "file:memorydb_djpool?mode=memory&cache=shared"])
    def test_a_database_in_memory_is_its_wrapper_s_alone(self, name: str, file: Database) -> None:
        file.settings["NAME"] = name
        wrapper = file.wrapper()
        execute(wrapper, "CREATE TABLE mine (id INTEGER)")
        wrapper.close()  # which Django does not do to one in memory
        assert scalar(wrapper, "SELECT count(*) FROM mine") == 0
        with pytest.raises(ImproperlyConfigured, match="takes from no pool"):
            pool_of(wrapper)
        wrapper.connection.close()
        wrapper.connection = None

    def test_the_connection_that_makes_databases_is_not(self, file: Database) -> None:
        assert not DatabaseWrapper(file.wrapper().settings_dict, "__no_db__").is_pooled

    def test_pool_of_takes_django_s_proxy_too(self, file: Database) -> None:
        from django.db import connection

        wrapper = file.wrapper()
        assert connections["default"] is wrapper
        assert pool_of(connection) is pool_of(wrapper)


class TestOtherDrivers:
    def test_one_that_nobody_knows_is_refused_with_the_way_out(
        self, file: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file.wraps = _engine_of_another_driver(monkeypatch)
        with pytest.raises(
            ImproperlyConfigured, match=r"driver 'strange'.* RESET_WITH .* POOL {\"reset\": \"trusted\"}"
        ):
            file.wrapper().ensure_connection()

    def test_it_may_be_trusted_and_is_rolled_back_all_the_same(
        self, file: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file.wraps = _engine_of_another_driver(monkeypatch)
        leaver = file.wrapper(pool={"reset": "trusted"})
        execute(leaver, "CREATE TABLE note (id INTEGER)")
        leaver.set_autocommit(False)
        execute(leaver, "INSERT INTO note VALUES (1)")
        held = leaver.connection
        leaver.close()
        following = file.wrapper(pool={"reset": "trusted"})
        assert scalar(following, "SELECT count(*) FROM note") == 0
        assert following.connection is held

    @pytest.mark.parametrize("reset_with", ["sqlite3", "reference_backends.sqlite3:SQLiteBackend"])
    def test_it_may_be_reset_with_a_backend_of_the_sdk(
        self, reset_with: str, file: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file.wraps = _engine_of_another_driver(monkeypatch)
        assert self._temporary_table_is_gone(file, reset_with)

    def test_it_may_be_reset_with_a_function(self, file: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[Any] = []

        def clean(connection: Any) -> None:
            seen.append(connection)
            connection.execute("DROP TABLE IF EXISTS temp.mine")

        module = types.ModuleType("djpool_cleaning")
        monkeypatch.setattr(module, "clean", clean, raising=False)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        file.wraps = _engine_of_another_driver(monkeypatch)
        assert self._temporary_table_is_gone(file, "djpool_cleaning.clean")
        assert len(seen) == 1

    @pytest.mark.parametrize(
        ("reset_with", "says"),
        [(WithoutReset, "WithoutReset does not declare SupportsReset"), ("no_such.backend", "no_such"), (5, "5")],
    )
    def test_what_cannot_reset_is_refused(self, reset_with: object, says: str, file: Database) -> None:
        with pytest.raises(ImproperlyConfigured, match=says):
            file.wrapper(RESET_WITH=reset_with).ensure_connection()

    def _temporary_table_is_gone(self, file: Database, reset_with: str) -> bool:
        leaver = file.wrapper(RESET_WITH=reset_with)
        execute(leaver, "CREATE TEMPORARY TABLE mine (id INTEGER)")
        held = leaver.connection
        leaver.close()
        following = file.wrapper(RESET_WITH=reset_with)
        following.ensure_connection()
        assert following.connection is held
        return bool(scalar(following, "SELECT count(*) FROM sqlite_temp_master") == 0)


def pool_of_settings(wrapper: Any) -> Any:
    """As `pool_of`, for options that the driver would refuse: nothing is opened."""
    return wrapper.pool_for({"database": wrapper.settings_dict["NAME"]})


def _engine(monkeypatch: pytest.MonkeyPatch, name: str, cls: Any) -> str:
    package, base = types.ModuleType(name), types.ModuleType(f"{name}.base")
    package.__path__ = []
    monkeypatch.setattr(base, "DatabaseWrapper", cls, raising=False)
    monkeypatch.setitem(sys.modules, name, package)
    monkeypatch.setitem(sys.modules, base.__name__, base)
    from reference_backends.django_pooled.base import pooled_class

    pooled_class.cache_clear()
    return name


def _engine_of_another_driver(monkeypatch: pytest.MonkeyPatch) -> str:
    from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite

    strange = types.ModuleType("strange.driver")
    vars(strange).update({name: value for name, value in vars(SQLite.Database).items() if name != "__name__"})
    return _engine(monkeypatch, "djpool_strange", type("Strange", (SQLite,), {"Database": strange}))


def _engine_with_tokens(monkeypatch: pytest.MonkeyPatch, asked: list[int]) -> str:
    """One that makes up a new parameter each time it is asked, and notes (negated) which it opened with."""
    from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite

    class Tokens(SQLite):
        def get_connection_params(self) -> Any:
            asked.append(len(asked) + 1)
            return {**super().get_connection_params(), "cached_statements": 100 + len(asked)}

        def get_new_connection(self, conn_params: Any) -> Any:
            asked.append(-conn_params["cached_statements"])
            return super().get_new_connection(conn_params)

    return _engine(monkeypatch, "djpool_tokens", Tokens)
