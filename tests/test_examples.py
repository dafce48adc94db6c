"""The examples do what their texts say: they type-check and run."""

from __future__ import annotations

import inspect
import re
import sqlite3
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import assert_type

import pytest

from backend_sdk import (
    ConnectionSettings,
    CursorWrapper,
    DatabaseWrapper,
    IntegrityError,
    NotSupportedError,
    OperationalError,
    make_backend,
)
from examples.browser_test import browser
from examples.structural_backend import StructuralBackend
from tests.typing.checkers import ROOT, checked_here, mypy_says

EXAMPLES = sorted([*(ROOT / "examples").glob("*.py"), *(ROOT / "examples" / "browser_test").glob("*.py")])


@pytest.fixture
def wrapper(tmp_path: Path) -> DatabaseWrapper[sqlite3.Connection, sqlite3.Cursor]:
    return DatabaseWrapper(StructuralBackend(ConnectionSettings(name=str(tmp_path / "example.db"))))


@checked_here
def test_examples_type_check() -> None:
    assert EXAMPLES
    assert mypy_says(EXAMPLES) == []


def test_commands_in_the_examples_name_what_is_there() -> None:
    texts = [path.read_text() for path in (*EXAMPLES, ROOT / "examples" / "README.md")]
    targets = [target for text in texts for target in re.findall(r"python -m conformance (\S+)", text)]
    assert "examples.structural_backend" in targets
    assert [target for target in targets if find_spec(target) is None] == []


def test_structural_backend_inherits_nothing_and_fits_twenty_lines() -> None:
    assert StructuralBackend.__mro__ == (StructuralBackend, object)
    assert len(inspect.getsourcelines(StructuralBackend)[0]) <= 20


def test_structural_backend_opens_initializes_and_answers(
    wrapper: DatabaseWrapper[sqlite3.Connection, sqlite3.Cursor],
) -> None:
    assert not wrapper.is_open
    assert_type(wrapper.cursor(), sqlite3.Cursor)
    assert wrapper.cursor().execute("SELECT 1, 'one'").fetchone() == (1, "one")
    assert wrapper.cursor().execute("PRAGMA foreign_keys").fetchone() == (1,)
    wrapper.close()
    assert not wrapper.is_open


def test_structural_backend_gets_its_cursors_wrapped_and_the_work_lasts(
    wrapper: DatabaseWrapper[sqlite3.Connection, sqlite3.Cursor],
) -> None:
    cursor = wrapper.cursor()
    assert isinstance(cursor, CursorWrapper)
    cursor.execute("CREATE TABLE note (text VARCHAR(100))")
    cursor.executemany("INSERT INTO note VALUES (?)", [("a",), ("b",)])
    assert cursor.rowcount == 2
    wrapper.close()
    assert list(wrapper.cursor().execute("SELECT text FROM note ORDER BY text")) == [("a",), ("b",)]
    wrapper.close()


def test_structural_backend_has_its_drivers_errors_translated(
    wrapper: DatabaseWrapper[sqlite3.Connection, sqlite3.Cursor],
) -> None:
    cursor = wrapper.cursor()
    cursor.execute("CREATE TABLE note (id INTEGER PRIMARY KEY)")
    cursor.execute("INSERT INTO note VALUES (1)")
    with pytest.raises(IntegrityError, match="UNIQUE") as caught:
        cursor.execute("INSERT INTO note VALUES (1)")
    assert isinstance(caught.value.__cause__, sqlite3.IntegrityError)
    assert (caught.value.step, caught.value.alias) == ("execute", "default")
    wrapper.close()


def test_structural_backend_that_cannot_connect_says_so(tmp_path: Path) -> None:
    wrapper = DatabaseWrapper(StructuralBackend(ConnectionSettings(name=str(tmp_path / "absent" / "example.db"))))
    with pytest.raises(OperationalError, match="connect on 'default'") as caught:
        wrapper.connect()
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    assert not wrapper.is_open


def test_structural_backend_is_refused_transactions_by_the_name_of_the_missing_ability(
    wrapper: DatabaseWrapper[sqlite3.Connection, sqlite3.Cursor],
) -> None:
    with pytest.raises(NotSupportedError, match="does not declare SupportsTransactions"), wrapper.atomic():
        pytest.fail("the block was entered")
    assert not wrapper.in_atomic_block
    wrapper.close()


def test_structural_backend_is_found_by_its_modules_name() -> None:
    made = make_backend({"ENGINE": "examples.structural_backend", "NAME": "example.db"})
    assert isinstance(made, StructuralBackend)
    assert made.settings.name == "example.db"
    assert made == make_backend({"ENGINE": "examples.structural_backend", "NAME": "example.db"})
    assert hash(made) == hash(make_backend({"ENGINE": "examples.structural_backend", "NAME": "example.db"}))


def test_a_browser_reads_a_page_over_the_tests_own_database() -> None:
    if browser.find() is None:
        pytest.skip("no headless browser is installed (make services)")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "examples/browser_test"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert "3 passed" in done.stdout, done.stdout + done.stderr
