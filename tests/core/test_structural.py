"""A backend that inherits nothing, over a driver that knows nothing of the SDK, does everywhere a wrapper does."""

from __future__ import annotations

import gc
import sqlite3
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from backend_sdk import (
    ConnectionSettings,
    CursorWrapper,
    DatabaseWrapper,
    ImproperlyConfigured,
    IntegrityError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    SupportsPing,
    SupportsThreadSafety,
    SupportsTransactions,
    SupportsTransactionStatus,
    ThreadSharingError,
    TransactionManagementError,
    TransactionStatus,
)
from tests.core.fakes import in_thread

Wrapper = DatabaseWrapper[sqlite3.Connection, sqlite3.Cursor]


class Plain:
    """The four methods and the settings, no more."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = settings

    @property
    def settings(self) -> ConnectionSettings:
        return self._settings

    def get_connection_params(self) -> dict[str, Any]:
        return {"database": self.settings.name, "isolation_level": None, "check_same_thread": False}

    def get_new_connection(self, params: dict[str, Any], /) -> sqlite3.Connection:
        connection: sqlite3.Connection = sqlite3.connect(**params)
        return connection

    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        connection.execute("CREATE TEMP TABLE t (i INTEGER PRIMARY KEY)").close()

    def _cursor(self, connection: sqlite3.Connection, /) -> sqlite3.Cursor:
        return connection.cursor()


class Transacting(
    SupportsTransactions[sqlite3.Connection],
    SupportsTransactionStatus[sqlite3.Connection],
    SupportsPing[sqlite3.Connection],
    SupportsThreadSafety,
    Plain,
):
    """The same with some abilities, declared by inheriting their protocols."""

    pings = 0

    def begin(self, connection: sqlite3.Connection, /) -> None:
        connection.execute("BEGIN").close()

    def commit(self, connection: sqlite3.Connection, /) -> None:
        connection.commit()

    def rollback(self, connection: sqlite3.Connection, /) -> None:
        connection.rollback()

    def transaction_status(self, connection: sqlite3.Connection, /) -> TransactionStatus:
        return TransactionStatus.IN_TRANSACTION if connection.in_transaction else TransactionStatus.IDLE

    def ping(self, connection: sqlite3.Connection, /) -> None:
        self.pings += 1
        connection.execute("SELECT 1").close()

    @property
    def threadsafety(self) -> int:
        return 3


SETTINGS = ConnectionSettings(name=":memory:")


@pytest.fixture
def wrapper() -> Iterator[Wrapper]:
    made = DatabaseWrapper(Plain(SETTINGS), "plain")
    yield made
    made.close()


@pytest.fixture
def transacting() -> Iterator[Wrapper]:
    made = DatabaseWrapper(Transacting(SETTINGS), "plain")
    yield made
    made.close()


class TestWithoutAnyAbility:
    def test_it_opens_works_and_closes(self, wrapper: Wrapper) -> None:
        cursor = wrapper.cursor()
        cursor.execute("INSERT INTO t VALUES (?)", (1,))
        assert cursor.execute("SELECT i FROM t").fetchall() == [(1,)]
        assert list(cursor.execute("SELECT i FROM t")) == [(1,)]
        raw = wrapper.connection
        wrapper.close()
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            raw.cursor()

    def test_its_cursors_are_guarded(self, wrapper: Wrapper) -> None:
        cursor = wrapper.cursor()
        assert isinstance(cursor, CursorWrapper)
        with pytest.raises(ThreadSharingError):
            in_thread(cursor.execute, "SELECT 1")
        with pytest.raises(ThreadSharingError):
            in_thread(wrapper.cursor)

    def test_its_drivers_errors_are_found_without_being_declared(self, wrapper: Wrapper) -> None:
        cursor = wrapper.cursor()
        cursor.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(IntegrityError, match="execute on 'plain'") as caught:
            cursor.execute("INSERT INTO t VALUES (1)")
        assert isinstance(caught.value.__cause__, sqlite3.IntegrityError)
        with pytest.raises(ProgrammingError):
            cursor.execute("SELECT ?", ())

    def test_so_are_those_of_connecting(self) -> None:
        wrapper = DatabaseWrapper(Plain(ConnectionSettings(name="/no/such/folder/db")), "plain")
        with pytest.raises(OperationalError, match="connect on 'plain'") as caught:
            wrapper.cursor()
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)

    def test_what_needs_an_ability_says_which(self, wrapper: Wrapper) -> None:
        wrapper.connect()
        cases: dict[str, Callable[[], object]] = {
            "SupportsTransactions": lambda: wrapper.atomic().__enter__(),
            "SupportsReadOnly": lambda: wrapper.set_read_only(True),
            "SupportsNamedCursor": lambda: wrapper.named_cursor("n"),
            "SupportsServerVersion": lambda: wrapper.server_version,
            "SupportsCancel": wrapper.cancel,
        }
        for ability, use in cases.items():
            with pytest.raises(NotSupportedError, match=f"does not declare {ability}"):
                use()
        assert not wrapper.in_atomic_block

    def test_switching_autocommit_off_is_a_matter_of_configuration(self, wrapper: Wrapper) -> None:
        with pytest.raises(ImproperlyConfigured, match="SupportsAutocommit"):
            wrapper.set_autocommit(False)
        refused = DatabaseWrapper(Plain(SETTINGS.derive(autocommit=False)))
        with pytest.raises(ImproperlyConfigured, match="SupportsAutocommit"):
            refused.connect()
        assert not refused.is_open

    def test_it_counts_as_usable_while_open(self, wrapper: Wrapper) -> None:
        wrapper.connect()
        assert wrapper.is_usable()

    def test_its_driver_is_taken_to_need_turns(self, wrapper: Wrapper) -> None:
        assert wrapper.backend.threadsafety == 1


class TestWithDeclaredAbilities:
    def test_they_are_used(self, transacting: Wrapper) -> None:
        with transacting.atomic():
            transacting.cursor().execute("INSERT INTO t VALUES (1)")
        with pytest.raises(ValueError, match="no"), transacting.atomic():  # noqa: PT012
            transacting.cursor().execute("INSERT INTO t VALUES (2)")
            raise ValueError("no")
        assert transacting.cursor().execute("SELECT i FROM t").fetchall() == [(1,)]

    def test_the_status_is_compared(self, transacting: Wrapper) -> None:
        with pytest.raises(TransactionManagementError, match="by itself"), transacting.atomic():
            transacting.cursor().execute("COMMIT")

    def test_what_is_not_among_them_is_missing_still(self, transacting: Wrapper) -> None:
        with transacting.atomic():
            with pytest.raises(NotSupportedError, match="SupportsSavepoints"):
                transacting.atomic().__enter__()
            with transacting.atomic(savepoint=False):
                transacting.cursor().execute("INSERT INTO t VALUES (1)")
        assert transacting.cursor().execute("SELECT i FROM t").fetchall() == [(1,)]

    def test_a_ping_is_asked(self) -> None:
        backend = Transacting(SETTINGS)
        wrapper = DatabaseWrapper(backend)
        wrapper.connect()
        assert (wrapper.is_usable(), backend.pings) == (True, 1)
        wrapper.close()


class TestWhatIsNone:
    def test_a_method_that_is_not_declared_is_not_used(self) -> None:
        class Undeclared(Plain):
            def ping(self, connection: sqlite3.Connection, /) -> None:
                raise AssertionError("not declared")

        wrapper = DatabaseWrapper(Undeclared(SETTINGS))
        wrapper.connect()
        assert wrapper.is_usable()
        wrapper.close()

    def test_a_class_that_lacks_members_is_named_with_them(self) -> None:
        class Half:
            settings = SETTINGS

            def get_connection_params(self) -> None: ...

        with pytest.raises(ImproperlyConfigured, match="Half is not a backend: it lacks get_new_connection, init_"):
            DatabaseWrapper(Half())  # type: ignore[arg-type]  # the typing error is the point

    @pytest.mark.parametrize("kind", [ImproperlyConfigured, NotSupportedError])
    def test_an_error_of_ours_from_an_authors_method_stays_as_it_is(self, kind: type[Exception]) -> None:
        original = kind("HOST is missing")

        class Picky(Plain):
            def get_connection_params(self) -> dict[str, Any]:
                raise original

        with pytest.raises(kind) as caught:
            DatabaseWrapper(Picky(SETTINGS)).connect()
        assert caught.value is original

    def test_a_driver_without_error_classes_has_nothing_translated(self) -> None:
        class Bare(Plain):
            def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
                raise ValueError("as it is")

        wrapper = DatabaseWrapper(Bare(SETTINGS))
        with pytest.raises(ValueError, match="as it is"):
            wrapper.connect()
        assert not wrapper.is_open


class TestFreedByReferenceCount:
    @pytest.mark.parametrize("state", ["new", "open", "failed", "in a block"])
    def test_as_any_other(self, state: str) -> None:
        gc.disable()
        try:
            wrapper = DatabaseWrapper(Transacting(SETTINGS))
            if state != "new":
                wrapper.connect()
            if state == "failed":
                with pytest.raises(OperationalError):
                    wrapper.cursor().execute("SELEKT")
            if state == "in a block":
                with pytest.raises(ValueError, match="no"), wrapper.atomic():
                    raise ValueError("no")
            raw = wrapper.connection if state != "new" else None
            gone = weakref.ref(wrapper)
            del wrapper
            assert gone() is None
            if raw is not None:
                with pytest.raises(sqlite3.ProgrammingError, match="closed"):
                    raw.cursor()
        finally:
            gc.enable()
