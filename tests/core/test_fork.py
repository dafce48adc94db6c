"""A forked child neither uses nor frees what its parent has open, and opens its own.

Each scenario runs in an interpreter of its own, forks there, and fails by raising or by a word on the error stream.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import multiprocessing
import os
import signal
import sqlite3
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from backend_sdk import (
    ConnectionClosedError,
    ThreadSharingError,
    TransactionManagementError,
    allow_blocking,
)
from conformance.probes import of_lasting_threads
from tests.core.fakes import (
    PATIENCE,
    CheckedFakeCursor,
    Driver,
    FakeConnection,
    FakeCursor,
    FakeWrapper,
    Worker,
    fake_wrapper,
    in_interpreter,
    sqlite_wrapper,
)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")

JOURNALS = ["DELETE", "WAL"]
ENDINGS = ["at once", "by an exit of the interpreter", "as multiprocessing does"]
ROWS = 300


class SomethingElse(Exception):
    """Nobody's but the test's."""


def in_child(work: Callable[[], object], ending: str = "at once") -> None:
    """Fork, run *work* in the child, end that as *ending* says, and wait. Fails if the child does."""
    if ending == "as multiprocessing does":
        process = multiprocessing.get_context("fork").Process(target=work)
        process.start()
        process.join(PATIENCE)
        assert process.exitcode == 0, process.exitcode
        return
    child = os.fork()
    if child == 0:
        signal.alarm(int(PATIENCE))  # a child that hangs ends by itself
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        if ending == "at once":
            os._exit(0)
        sys.exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, status


@contextmanager
def noted(*facts: str) -> Iterator[None]:
    """Several cases in one interpreter: an error says in which."""
    try:
        yield
    except BaseException as error:
        error.add_note(", ".join(facts))
        raise


def refused(kind: type[Exception], use: Callable[[], object]) -> None:
    try:
        use()
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")


# A write transaction with pages in the file already, so that the hot journal is all that keeps it whole.


class Writing:
    """A wrapper inside a block that has written more than the cache holds, and what a child may do to it."""

    def __init__(self, journal: str, path: str) -> None:
        self.path = path
        options = {"journal_mode": journal, "pragmas": {"cache_size": 5}}
        self.wrapper = sqlite_wrapper(path, options=options)
        self.wrapper.cursor().execute("CREATE TABLE t (i INTEGER PRIMARY KEY, filling BLOB)")
        self.block = self.wrapper.atomic()
        self.block.__enter__()
        self.cursor = self.wrapper.cursor()
        self.fill()
        self.cursor.execute("SELECT i FROM t")
        assert self.cursor.fetchone() is not None  # half-stepped
        self.iteration = iter(self.wrapper.cursor().execute("SELECT i FROM t"))
        next(self.iteration)
        self.journal = Path(f"{path}-{'journal' if journal == 'DELETE' else 'wal'}")
        assert self.journal.stat().st_size > 0

    def fill(self) -> None:
        cursor = self.wrapper.cursor()
        cursor.executemany("INSERT INTO t (filling) VALUES (randomblob(2000))", [()] * ROWS)

    def commit(self) -> None:
        assert self.journal.exists(), "the journal is gone"
        assert len(list(self.iteration)) == ROWS - 1
        assert len(self.cursor.fetchall()) == ROWS - 1
        self.fill()
        self.block.__exit__(None, None, None)
        self.wrapper.close()
        with closing(sqlite3.connect(self.path)) as other:
            assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert other.execute("SELECT count(*) FROM t").fetchone() == (2 * ROWS,)

    # What a child may do

    def nothing(self) -> None: ...

    def drop(self) -> None:
        del self.wrapper, self.block, self.cursor, self.iteration
        gc.collect()

    def drop_the_cursors(self) -> None:
        del self.cursor, self.iteration
        gc.collect()

    def close(self) -> None:
        self.cursor.close()
        self.wrapper.close()

    def use(self) -> None:
        refused(TransactionManagementError, self.wrapper.cursor)
        refused(ConnectionClosedError, lambda: self.cursor.execute("DELETE FROM t"))
        refused(ConnectionClosedError, lambda: next(self.iteration))
        refused(ConnectionClosedError, lambda: self.cursor.executescript("DELETE FROM t"))
        refused(TransactionManagementError, self.wrapper.commit)
        refused(TransactionManagementError, self.wrapper.rollback)

    def leave_the_block(self) -> None:
        refused(TransactionManagementError, lambda: self.block.__exit__(None, None, None))

    def leave_the_block_by_an_error(self) -> None:
        self.block.__exit__(SomethingElse, SomethingElse(), None)
        assert self.wrapper.cursor().execute("SELECT count(*) FROM t").fetchone() == (0,)

    def read_by_itself(self) -> None:
        refused(TransactionManagementError, lambda: self.block.__exit__(None, None, None))
        with self.wrapper.atomic():
            assert self.wrapper.cursor().execute("SELECT count(*) FROM t").fetchone() == (0,)
        self.wrapper.close()


# While pages of an uncommitted transaction are in the file, another session cannot read it; with a WAL it can.
DEEDS = [
    Writing.nothing,
    Writing.drop,
    Writing.drop_the_cursors,
    Writing.close,
    Writing.use,
    Writing.leave_the_block,
]
READING_DEEDS = [Writing.leave_the_block_by_an_error, Writing.read_by_itself]


def children_of_a_writer(folder: str, journals: str, *deeds: str) -> None:
    for number, (journal, ending, deed) in enumerate(itertools.product(journals.split(), ENDINGS, deeds)):
        with noted(journal, ending, deed):
            writing = Writing(journal, f"{folder}/{number}")
            in_child(getattr(writing, deed), ending)
            writing.commit()


@pytest.mark.parametrize("deed", [deed.__name__ for deed in DEEDS])
def test_a_write_transaction_survives_what_a_child_does_and_how_it_ends(deed: str, tmp_path: Path) -> None:
    in_interpreter(children_of_a_writer, tmp_path, " ".join(JOURNALS), deed)


def test_a_child_leaves_the_inherited_block_and_reads_by_itself(tmp_path: Path) -> None:
    in_interpreter(children_of_a_writer, tmp_path, "WAL", *(deed.__name__ for deed in READING_DEEDS))


def the_exit_of_a_child_inside_the_block(path: str) -> None:
    """``sys.exit`` in the child unwinds the parent's own ``with`` statements there."""
    writing = Writing("DELETE", path)
    with writing.wrapper.atomic(), writing.wrapper.cursor() as cursor:
        cursor.execute("SELECT 1 UNION SELECT 2")
        cursor.fetchone()
        in_child(lambda: None, "by an exit of the interpreter")
    writing.commit()


def test_a_child_that_exits_inside_the_parents_blocks_ends_nothing(tmp_path: Path) -> None:
    in_interpreter(the_exit_of_a_child_inside_the_block, tmp_path / "db")


# A statement that writes and is not stepped to its end commits when it is reset, in whatever process.


HALF_STEPPED = [
    (ENDINGS[0], "drop"),
    (ENDINGS[0], "drop iteration"),
    (ENDINGS[0], "close"),
    (ENDINGS[0], "leave a with block"),
    (ENDINGS[1], "nothing"),
    (ENDINGS[2], "nothing"),
]


def children_with_a_half_stepped_write(folder: str, journal: str) -> None:
    for number, (ending, deed) in enumerate(HALF_STEPPED):
        with noted(journal, ending, deed):
            a_child_with_a_half_stepped_write(journal, ending, deed, f"{folder}/{number}")


def a_child_with_a_half_stepped_write(journal: str, ending: str, deed: str, path: str) -> None:
    wrapper = sqlite_wrapper(path, options={"journal_mode": journal})
    wrapper.cursor().execute("CREATE TABLE t (i INTEGER PRIMARY KEY)")
    cursor = wrapper.cursor()
    numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) SELECT i FROM n"
    held: list[Any] = [cursor.execute(f"INSERT INTO t {numbers} RETURNING i")]
    assert held[0].fetchone() == (1,)
    if deed == "drop iteration":
        held.append(iter(cursor))
        next(held[1])
    del cursor

    def work() -> None:
        if deed.startswith("drop"):
            held.clear()
            gc.collect()
        elif deed == "close":
            held[0].close()
            held[0].close()
        elif deed == "leave a with block":
            held[0].__exit__(None, None, None)

    in_child(work, ending)
    if journal == "DELETE":
        assert Path(f"{path}-journal").exists(), "the child has committed"
    else:
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("SELECT count(*) FROM t").fetchone() == (0,), "the child has committed"
    held[0].fetchall()
    wrapper.close()
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT count(*) FROM t").fetchone() == (100,)
        assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.skipif(sqlite3.sqlite_version_info < (3, 35), reason="RETURNING came with SQLite 3.35")
@pytest.mark.parametrize("journal", JOURNALS)
def test_a_half_stepped_write_is_not_committed_by_the_child(journal: str, tmp_path: Path) -> None:
    in_interpreter(children_with_a_half_stepped_write, tmp_path, journal)


# What the child opens


def a_child_that_uses_the_wrapper(path: str) -> None:
    wrapper = sqlite_wrapper(path)
    cursor = wrapper.cursor().execute("CREATE TEMP TABLE mine (i)")
    parents = wrapper.connection

    def work() -> None:
        assert not wrapper.is_open
        for use in (cursor.fetchone, lambda: cursor.execute("SELECT 1"), lambda: next(cursor)):
            refused(ConnectionClosedError, use)
        assert wrapper.cursor().execute("SELECT name FROM sqlite_temp_master").fetchall() == []
        assert wrapper.is_open
        assert wrapper.connection is not parents
        cursor.close()
        with wrapper.atomic():
            wrapper.cursor().execute("CREATE TABLE childs (i)")
        in_child(work_of_a_grandchild)
        wrapper.cursor().execute("INSERT INTO childs VALUES (1)")
        wrapper.close()

    def work_of_a_grandchild() -> None:
        assert not wrapper.is_open
        assert wrapper.cursor().execute("SELECT * FROM childs").fetchall() == []

    in_child(work)
    assert wrapper.connection is parents
    assert cursor.execute("SELECT name FROM sqlite_temp_master").fetchall() == [("mine",)]
    assert cursor.execute("SELECT * FROM childs").fetchall() == [(1,)]


def test_the_child_opens_its_own_session_and_so_does_its_child(tmp_path: Path) -> None:
    in_interpreter(a_child_that_uses_the_wrapper, tmp_path / "db")


# That nothing is sent, with a driver that notes all


class Talkative(FakeConnection):
    """Complains on the error stream, which fails the scenario, when another process talks through it."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(driver)
        self.process = os.getpid()

    @override
    def do(self, *args: Any, **options: Any) -> None:
        if os.getpid() != self.process:
            os.write(2, f"{args[0]} sent by a child\n".encode())
        super().do(*args, **options)

    def __del__(self) -> None:
        if os.getpid() != self.process and not self.closed:
            os.write(2, b"freed by a child\n")


def talkative_driver() -> Driver:
    driver = Driver()
    driver.connection_class = Talkative
    return driver


def talkative_wrapper(cursor_class: type[FakeCursor] = FakeCursor) -> FakeWrapper:
    return fake_wrapper(talkative_driver(), cursor_class=cursor_class)


class Unlisted(CheckedFakeCursor):
    """As SQLite's: its ``close`` is the driver's own."""

    close = FakeCursor.close


def children_that_leave_an_inherited_block(mixin: str) -> None:
    for ending in ENDINGS:
        with noted(ending):
            a_child_that_leaves_an_inherited_block(ending, Unlisted if mixin == "True" else FakeCursor)


def a_child_that_leaves_an_inherited_block(ending: str, cursor_class: type[FakeCursor]) -> None:
    wrapper = talkative_wrapper(cursor_class)
    held: list[Any] = []

    def work() -> None:
        assert wrapper.in_atomic_block
        cursor = held[0]
        with pytest.raises(TransactionManagementError, match="parent process's"):
            wrapper.cursor()
        uses: list[Callable[[], object]] = [
            cursor.fetchone,
            cursor.fetchall,
            lambda: cursor.execute("SELECT 1"),
            lambda: cursor.executemany("SELECT 1", []),
            lambda: cursor.callproc("p"),
            lambda: next(iter(cursor)),
        ]
        for use in uses:
            refused(ConnectionClosedError, use)
        cursor.close()
        with cursor:
            pass
        wrapper.close()
        with pytest.raises(TransactionManagementError, match="parent process's"):
            inner.__exit__(None, None, None)
        with pytest.raises(TransactionManagementError, match="parent process's"):
            outer.__exit__(None, None, None)
        assert hooks == []
        assert not wrapper.in_atomic_block
        with wrapper.atomic():
            wrapper.on_commit(lambda: hooks.append("child"))
        assert hooks == ["child"]
        held.clear()

    hooks: list[str] = []
    outer, inner = wrapper.atomic(), wrapper.atomic()
    outer.__enter__()
    wrapper.on_commit(lambda: hooks.append("parent"))
    inner.__enter__()
    held.append(wrapper.cursor().execute("SELECT 1"))
    in_child(work, ending)
    assert held[0].fetchone() == (1,)
    inner.__exit__(None, None, None)
    outer.__exit__(None, None, None)
    assert hooks == ["parent"]


@pytest.mark.parametrize("mixin", [False, True])
def test_an_inherited_block_is_broken_and_sends_nothing(mixin: bool) -> None:
    in_interpreter(children_that_leave_an_inherited_block, mixin)


def a_child_with_a_wrapper_in_another_threads_local() -> None:
    ready, done = threading.Event(), threading.Event()
    local = threading.local()

    def hold() -> None:
        local.wrapper = talkative_wrapper()
        local.wrapper.connect()
        ready.set()
        assert done.wait(PATIENCE)
        local.wrapper.cursor().execute("SELECT 1")

    worker = Worker(hold)
    assert ready.wait(PATIENCE)
    for ending in ENDINGS[::2]:
        in_child(gc.collect, ending)
    done.set()
    worker.result()


def test_the_locals_of_threads_that_are_not_in_the_child_free_nothing() -> None:
    in_interpreter(a_child_with_a_wrapper_in_another_threads_local)


# Threads, locks and loops


def a_child_of_another_thread() -> None:
    wrapper = talkative_wrapper()
    wrapper.connect()

    def work() -> None:
        refused(ThreadSharingError, wrapper.cursor)
        own = wrapper.copy()
        own.cursor().execute("SELECT 1")

    Worker(lambda: in_child(work)).result()
    wrapper.cursor().execute("SELECT 1")


def test_a_child_forked_by_another_thread_does_not_own_the_wrapper() -> None:
    in_interpreter(a_child_of_another_thread)


def a_child_with_a_new_thread_of_an_old_ident() -> None:
    ready, done = threading.Event(), threading.Event()
    made: list[Any] = []

    def own() -> None:
        opened, unopened = talkative_wrapper(), talkative_wrapper()
        made.extend([threading.get_ident(), opened, opened.cursor().execute("SELECT 1"), unopened])
        ready.set()
        assert done.wait(PATIENCE)

    owner = Worker(own)
    assert ready.wait(PATIENCE)
    ident, opened, cursor, unopened = made

    def use_all() -> bool:
        if threading.get_ident() != ident:
            return False
        for use in (opened.cursor, opened.close, unopened.cursor, cursor.fetchone, lambda: cursor.execute("SELECT 1")):
            refused(ThreadSharingError, use)
        return True

    def work() -> None:
        # Where the system gives the ident to nobody, there is nobody to refuse.
        with closing(of_lasting_threads(64, use_all)) as met:
            any(met)

    in_child(work)
    done.set()
    owner.result()


def test_a_childs_thread_with_the_ident_of_a_parents_thread_is_refused() -> None:
    in_interpreter(a_child_with_a_new_thread_of_an_old_ident)


def a_child_while_another_thread_is_inside_the_driver() -> None:
    driver = talkative_driver()
    wrapper = fake_wrapper(driver)
    lent = wrapper.cursor()
    inside, done = threading.Event(), threading.Event()

    def stay() -> None:
        inside.set()
        assert done.wait(PATIENCE)

    driver.plan("execute", stay)
    with wrapper.shared():
        worker = Worker(lambda: lent.execute("SELECT 1"))
        assert inside.wait(PATIENCE)
        in_child(lambda: wrapper.cursor().execute("SELECT 1"))
        done.set()
        worker.result()


def a_child_while_another_thread_is_opening() -> None:
    driver = talkative_driver()
    wrapper = fake_wrapper(driver)
    inside, done = threading.Event(), threading.Event()

    def stay() -> None:
        inside.set()
        assert done.wait(PATIENCE)

    driver.plan("connect", stay)
    with wrapper.shared():
        worker = Worker(wrapper.connect)
        assert inside.wait(PATIENCE)
        in_child(lambda: wrapper.cursor().execute("SELECT 1"))
        done.set()
        worker.result()


@pytest.mark.parametrize(
    "scenario", [a_child_while_another_thread_is_inside_the_driver, a_child_while_another_thread_is_opening]
)
def test_a_lock_that_another_thread_held_does_not_stop_the_child(scenario: Callable[[], None]) -> None:
    in_interpreter(scenario)


def a_child_of_a_task() -> None:
    async def main() -> None:
        with allow_blocking():
            wrapper = talkative_wrapper()
            wrapper.connect()
            in_child(lambda: refused(ThreadSharingError, wrapper.cursor))
            wrapper.cursor().execute("SELECT 1")

    asyncio.run(main())


def test_a_child_forked_inside_a_task_is_no_task_and_harms_nothing() -> None:
    in_interpreter(a_child_of_a_task)
