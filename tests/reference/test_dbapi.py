"""The generic PEP 249 backend: paramstyles, transactions by the standard's means, drivers that nobody here wrote."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from pydantic import SecretStr

from backend_sdk import (
    CredentialSource,
    DatabaseError,
    DatabaseWrapper,
    DataError,
    ImproperlyConfigured,
    IntegrityError,
    OperationalError,
    ProgrammingError,
)
from reference_backends.dbapi import DBAPIBackend, DBAPISettings, OracleBackend, convert

EXAMPLE = Path(__file__).parents[2] / "examples" / "duckdb_backend"
Wrapper = DatabaseWrapper[Any, Any]


@pytest.mark.parametrize(
    ("source", "target", "statement", "params", "expected"),
    [
        ("qmark", "format", "a ? b ?", [1, 2], ("a %s b %s", [1, 2])),
        ("qmark", "numeric", "a ? b ?", [1, 2], ("a :1 b :2", [1, 2])),
        ("qmark", "named", "a ? b ?", [1, 2], ("a :p1 b :p2", {"p1": 1, "p2": 2})),
        ("qmark", "qmark", "a ?", (1,), ("a ?", [1])),
        ("named", "qmark", "a :x b :y c :x", {"x": 1, "y": 2}, ("a ? b ? c ?", [1, 2, 1])),
        ("named", "pyformat", "a :x", {"x": 1, "unused": 2}, ("a %(x)s", {"x": 1})),
        ("numeric", "qmark", "a :2 b :1 c :2", [1, 2], ("a ? b ? c ?", [2, 1, 2])),
        ("numeric", "named", "a :2 b :1", [1, 2], ("a :p2 b :p1", {"p2": 2, "p1": 1})),
        ("format", "qmark", "a %s LIKE '10%%'", [1], ("a ? LIKE '10%'", [1])),
        ("format", "pyformat", "a %s LIKE '10%%'", [1], ("a %(p1)s LIKE '10%%'", {"p1": 1})),
        ("pyformat", "named", "a %(x)s % %%", {"x": 1}, ("a :x % %", {"x": 1})),
        ("qmark", "format", "a ? % 2 LIKE '%'", [1], ("a %s %% 2 LIKE '%%'", [1])),
        (
            "qmark",
            "format",
            "'?' \"?\" -- ?\n /* ? */ 'it''s ?' ?",
            [1],
            ("'?' \"?\" -- ?\n /* ? */ 'it''s ?' %s", [1]),
        ),
        ("named", "qmark", "a::int, ':x', :x", {"x": 1}, ("a::int, ':x', ?", [1])),
    ],
)
def test_paramstyle_is_converted(
    source: Any, target: Any, statement: str, params: Any, expected: tuple[str, Any]
) -> None:
    assert convert(statement, params, source, target) == expected


def sqlite_settings(**options: object) -> DBAPISettings:
    return DBAPISettings.from_mapping({"NAME": ":memory:", "OPTIONS": {"module": "sqlite3", **options}})


def test_statements_are_written_in_the_style_asked_for() -> None:
    settings = sqlite_settings(paramstyle="pyformat", begin_statement="BEGIN", connect={"isolation_level": None})
    wrapper: Wrapper = DatabaseWrapper(DBAPIBackend(settings))
    with wrapper.cursor() as cursor:
        cursor.execute("CREATE TABLE t (id, name)")
        cursor.executemany("INSERT INTO t VALUES (%(id)s, %(name)s)", [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}])
        cursor.executemany("INSERT INTO t VALUES (%(id)s, %(name)s)", [])
        cursor.execute("SELECT name, '%' FROM t WHERE id = %(id)s", {"id": 2})
        assert cursor.description[0][0] == "name"
        assert cursor.fetchall() == [("b", "%")]
        cursor.execute("SELECT '%'")
        assert list(cursor) == [("%",)]
    wrapper.close()


def test_begin_statement_makes_transactions_of_a_driver_that_commits_by_itself() -> None:
    settings = sqlite_settings(begin_statement="BEGIN", connect={"isolation_level": None})
    wrapper: Wrapper = DatabaseWrapper(DBAPIBackend(settings))
    wrapper.cursor().execute("CREATE TABLE t (id int)")
    with pytest.raises(OperationalError), wrapper.atomic():
        wrapper.cursor().execute("INSERT INTO t VALUES (1)").execute("no such statement")
    with wrapper.atomic():
        wrapper.cursor().execute("INSERT INTO t VALUES (2)")
    assert wrapper.cursor().execute("SELECT id FROM t").fetchall() == [(2,)]
    assert wrapper.is_usable()
    wrapper.close()


def test_without_autocommit_the_standards_implicit_transactions_are_used() -> None:
    settings = sqlite_settings().derive(autocommit=False)
    wrapper: Wrapper = DatabaseWrapper(DBAPIBackend(settings))
    wrapper.cursor().execute("CREATE TABLE t (id int)")
    wrapper.commit()
    wrapper.cursor().execute("INSERT INTO t VALUES (1)")
    wrapper.rollback()
    wrapper.cursor().execute("INSERT INTO t VALUES (2)")
    wrapper.commit()
    assert wrapper.cursor().execute("SELECT id FROM t").fetchall() == [(2,)]
    wrapper.close()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "OPTIONS module is missing"),
        ({"module": "no_such_driver.dbapi"}, "pip install no_such_driver"),
        ({"module": "json"}, "none of PEP 249: it lacks connect"),
    ],
)
def test_module_that_is_none_is_refused(options: Mapping[str, object], complaint: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=complaint):
        DBAPIBackend(DBAPISettings.from_mapping({"NAME": "d", "OPTIONS": options}))


def test_secrets_among_the_connect_arguments_reach_the_driver_alone() -> None:
    settings = sqlite_settings(connect={"wallet": SecretStr("s3cret"), "x": 1})
    assert DBAPIBackend(settings).get_connection_params() == {"database": ":memory:", "wallet": "s3cret", "x": 1}
    assert "s3cret" not in repr(settings)
    assert "s3cret" in settings.secret_texts()


def test_expiring_password_is_declared_under_the_drivers_name_for_it() -> None:
    settings = sqlite_settings().derive(password=CredentialSource("vault", lambda: "now"))
    backend: DBAPIBackend = DBAPIBackend(settings)
    assert backend.expiring_params == {"password"}
    assert backend.get_connection_params()["password"] == "now"


# pg8000: a driver with an autocommit attribute and the format style


@pytest.fixture
def open_pg8000(postgresql_url: str) -> Iterator[Callable[..., Wrapper]]:
    pytest.importorskip("pg8000")
    url = urlsplit(postgresql_url)
    made: list[Wrapper] = []

    def make(**changes: object) -> Wrapper:
        settings = DBAPISettings.from_mapping(
            {
                "NAME": url.path[1:], "USER": url.username, "PASSWORD": url.password, "HOST": url.hostname,
                "PORT": url.port, "OPTIONS": {"module": "pg8000.dbapi", "paramstyle": "named"},
            }
        )  # fmt: skip
        made.append(DatabaseWrapper(DBAPIBackend(settings.derive(**changes))))
        return made[-1]

    yield make
    for wrapper in made:
        wrapper.close()


def test_pg8000_transactions_go_through_its_autocommit_attribute(open_pg8000: Callable[..., Wrapper]) -> None:
    wrapper, observer = open_pg8000(), open_pg8000()
    table = f"t{uuid4().hex}"
    wrapper.cursor().execute(f"CREATE TABLE {table} (id int)")

    def seen() -> object:
        with observer.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {table}")
            return cursor.fetchone()[0]

    with wrapper.atomic():
        wrapper.cursor().execute(f"INSERT INTO {table} VALUES (:id)", {"id": 1})
        assert seen() == 0
    assert seen() == 1
    with pytest.raises(DatabaseError, match="executemany on 'default'"), wrapper.atomic():
        wrapper.cursor().executemany(f"INSERT INTO {table} VALUES (:id)", [{"id": 2}, {"id": "none"}])
    wrapper.cursor().execute(f"INSERT INTO {table} VALUES (:id)", {"id": 3})
    assert seen() == 2
    assert wrapper.is_usable()
    wrapper.cursor().execute(f"DROP TABLE {table}")


def test_pg8000_without_autocommit_keeps_its_transaction_until_told(open_pg8000: Callable[..., Wrapper]) -> None:
    wrapper = open_pg8000(autocommit=False)
    wrapper.cursor().execute("CREATE TEMP TABLE t (id int)")
    wrapper.rollback()
    with pytest.raises(DatabaseError):
        wrapper.cursor().execute("SELECT * FROM t")
    wrapper.rollback()
    assert wrapper.is_usable()


def test_pg8000_wrong_password_is_one_clear_error(open_pg8000: Callable[..., Wrapper]) -> None:
    with pytest.raises(DatabaseError, match="connect on 'default'"):
        open_pg8000(password="wrong").connect()


# Oracle, without a server


def test_pg8000s_one_error_class_is_sorted_by_what_the_server_says(open_pg8000: Callable[..., Wrapper]) -> None:
    from examples.pg8000_backend import PG8000Backend

    settings = open_pg8000().settings
    wrapper: Wrapper = DatabaseWrapper(
        PG8000Backend(
            DBAPISettings(**{name: getattr(settings, name) for name in ("name", "user", "password", "host", "port")})
        )
    )
    refused: Wrapper = DatabaseWrapper(PG8000Backend(wrapper.backend.settings.derive(password="wrong")))
    with pytest.raises(OperationalError, match="connect on 'default'"):
        refused.connect()
    wrapper.cursor().execute("CREATE TEMP TABLE t (id int PRIMARY KEY REFERENCES t DEFERRABLE INITIALLY DEFERRED)")
    for statement, expected in (
        ("SELECT * FROM nowhere", ProgrammingError),
        ("INSERT INTO t VALUES ('x')", DataError),
        ("INSERT INTO t VALUES (NULL)", IntegrityError),
    ):
        with pytest.raises(expected, match="execute on 'default'"):
            wrapper.cursor().execute(statement)
    wrapper.close()


def test_oracle_is_wired_to_the_thin_driver() -> None:
    oracledb: Any = pytest.importorskip("oracledb")
    settings = DBAPISettings(name="orclpdb1", user="u", password=SecretStr("p"), host="127.0.0.1", port=1)
    backend = OracleBackend(settings)
    assert backend.get_connection_params() == {
        "service_name": "orclpdb1", "user": "u", "password": "p", "host": "127.0.0.1", "port": 1,
    }  # fmt: skip
    assert cast("Any", backend.driver_errors) is oracledb
    assert oracledb.is_thin_mode()
    with pytest.raises(DatabaseError, match="connect on 'default'"):
        DatabaseWrapper(backend).connect()


# DuckDB, as a package of its own


def test_duckdb_example_is_under_100_lines_and_passes_its_own_tests() -> None:
    pytest.importorskip("duckdb")
    assert len((EXAMPLE / "duckdb_backend.py").read_text().splitlines()) < 100
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "."],
        cwd=EXAMPLE, env={**os.environ, "PYTHONPATH": str(EXAMPLE.parents[1])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
