"""Transactions: atomic blocks, savepoints, and what a second session sees."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from backend_sdk import (
    Error,
    SupportsAutocommit,
    SupportsReadOnly,
    SupportsSavepoints,
    SupportsTransactionalDDL,
    SupportsTransactions,
    SupportsTransactionStatus,
    TransactionManagementError,
    TransactionStatus,
)

from ..probes import opened
from ..register import requirement, untested
from ..verdict import NotApplicable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..subject import AnyWrapper, Subject


class Abandoned(Exception):
    """What a check raises to make a block fail."""


@contextmanager
def failing_block(wrapper: AnyWrapper, *, savepoint: bool = True) -> Iterator[None]:
    """An atomic block that fails at its end."""
    try:
        with wrapper.atomic(savepoint=savepoint):
            yield
            raise Abandoned
    except Abandoned:
        pass


def _status(subject: Subject, wrapper: AnyWrapper) -> TransactionStatus:
    return subject.view().transaction_status(wrapper.connection)


def _sees(subject: Subject, rows: int, observed: str, *, blame: str) -> None:
    """Another session sees *rows* rows, or the requirement is not met; *observed* says when it looked."""
    seen = subject.count_rows()
    subject.require(seen == rows, f"{observed} another session sees {seen} row(s) instead of {rows}", blame=blame)


@requirement(
    "TX-001",
    "What an atomic block wrote is seen by another session after its end, and not before",
    reason="rows committed late, early or never are the commonest defect of backends",
    source="PEP 249, Connection.commit",
    level=1,
    after=("LIFE-001",),
    blame=("commit", "begin"),
    advice="begin() must start a transaction at the server, commit() end it",
)
def atomic_commits(subject: Subject) -> None:
    subject.needs(SupportsTransactions)
    subject.create_table()
    wrapper = subject.wrapper()
    with wrapper.atomic():
        subject.insert(wrapper, 1)
        _sees(subject, 0, "before the block had ended", blame="begin")
    _sees(subject, 1, "after the block", blame="commit")
    wrapper.close()


@requirement(
    "TX-002",
    "Nothing of a block that raised is kept",
    reason="half of a transfer is worse than none",
    source="PEP 249, Connection.rollback",
    level=1,
    after=("TX-001",),
    blame=("rollback", "begin"),
    advice="rollback() must undo everything since begin()",
)
def atomic_rolls_back(subject: Subject) -> None:
    subject.needs(SupportsTransactions)
    table = subject.create_table()
    wrapper = subject.wrapper()
    with failing_block(wrapper):
        subject.insert(wrapper, 1)
    _sees(subject, 0, "after a block that raised", blame="rollback")
    cursor = wrapper.cursor()
    cursor.execute(f"SELECT count(*) FROM {table}")
    kept = int(cursor.fetchone()[0])
    cursor.close()
    subject.require(kept == 0, f"after a block that raised its own session still sees {kept} row(s)", blame="rollback")
    wrapper.close()


@requirement(
    "TX-003",
    "Outside of any block a statement is committed at once",
    reason="autocommit is the default; a row that waits for a commit which nobody sends is lost",
    source="the contract, section 3: transactions",
    level=1,
    after=("LIFE-001",),
    blame=("set_autocommit", "get_new_connection", "init_connection_state"),
    advice="open the connection in autocommit, or implement SupportsAutocommit",
)
def autocommit(subject: Subject) -> None:
    subject.create_table()
    wrapper = subject.wrapper(AUTOCOMMIT=True)
    subject.insert(wrapper, 1)
    _sees(subject, 1, "after an INSERT outside of any block", blame="set_autocommit")
    wrapper.close()


@requirement(
    "TX-004",
    "Nothing is left in a transaction after a block",
    reason="the next user's work would land in it, or wait for locks that it holds",
    source="the contract, section 3: transactions",
    level=1,
    after=("TX-002", "TX-003"),
    blame=("commit", "rollback"),
    advice="commit() and rollback() end the transaction and begin no other",
)
def nothing_left(subject: Subject) -> None:
    subject.needs(SupportsTransactions)
    subject.create_table()
    wrapper = subject.wrapper()
    with wrapper.atomic():
        subject.insert(wrapper, 1)
    subject.insert(wrapper, 2)
    _sees(subject, 2, "after a block that ended well and an INSERT behind it", blame="commit")
    with failing_block(wrapper):
        subject.insert(wrapper, 3)
    subject.insert(wrapper, 4)
    _sees(subject, 3, "after a block that raised and an INSERT behind it", blame="rollback")
    wrapper.close()


@requirement(
    "TX-005",
    "An inner block that fails is undone, and the outer one's work is kept",
    reason="that is what a savepoint is for",
    source='the SQL standard, "ROLLBACK TO SAVEPOINT"',
    level=1,
    after=("TX-001",),
    blame=("rollback_to_savepoint", "savepoint"),
    advice="rollback_to_savepoint() undoes what was done since savepoint(), and no more",
)
def inner_rollback(subject: Subject) -> None:
    subject.needs(SupportsTransactions, SupportsSavepoints)
    table = subject.create_table()
    wrapper = subject.wrapper()
    with wrapper.atomic():
        subject.insert(wrapper, 1)
        with failing_block(wrapper):
            subject.insert(wrapper, 2)
        subject.insert(wrapper, 3)
    witness = subject.witness()
    kept = [int(row[0]) for row in witness.rows(f"SELECT id FROM {table} ORDER BY id")]
    witness.close()
    subject.require(kept == [1, 3], f"of rows 1 (outer), 2 (failed inner), 3 (outer) there are {kept}")
    wrapper.close()


@requirement(
    "TX-006",
    "An inner block that ends well is kept with the outer one, and not before it",
    reason="releasing a savepoint neither undoes nor commits",
    source='the SQL standard, "RELEASE SAVEPOINT"',
    level=1,
    after=("TX-001",),
    blame=("release_savepoint",),
    advice="release_savepoint() forgets the savepoint and nothing else",
)
def inner_release(subject: Subject) -> None:
    subject.needs(SupportsTransactions, SupportsSavepoints)
    subject.create_table()
    wrapper = subject.wrapper()
    with wrapper.atomic():
        subject.insert(wrapper, 1)
        with wrapper.atomic():
            subject.insert(wrapper, 2)
        _sees(subject, 0, "after the inner block, with the outer one still open,", blame="release_savepoint")
    _sees(subject, 2, "after both blocks", blame="release_savepoint")
    wrapper.close()


@requirement(
    "TX-007",
    "A savepoint is the one of the given name",
    reason="with several open, the wrong one undoes too little or too much",
    source='the SQL standard, "SAVEPOINT"',
    level=1,
    after=("TX-005",),
    blame=("savepoint", "rollback_to_savepoint"),
    advice="use the name that is passed in; it is a plain identifier",
)
def savepoint_names(subject: Subject) -> None:
    subject.needs(SupportsTransactions, SupportsSavepoints)
    subject.create_table()
    wrapper = subject.wrapper()
    with wrapper.atomic():
        subject.insert(wrapper, 1)
        first = wrapper.savepoint()
        subject.insert(wrapper, 2)
        wrapper.savepoint()
        subject.insert(wrapper, 3)
        wrapper.savepoint_rollback(first)
    _sees(subject, 1, "after rolling back to the first of two savepoints", blame="savepoint")
    wrapper.close()


@requirement(
    "TX-008",
    "An inner block without a savepoint that fails takes the outer one with it, even if its error is swallowed",
    reason="its half-done work cannot be undone alone",
    source="the contract, section 3: transactions",
    level=1,
    after=("TX-002",),
    blame=("_cursor", "rollback"),
    advice="let the cursor class inherit CheckedCursor and override none of its methods",
)
def nested_without_savepoint(subject: Subject) -> None:
    subject.needs(SupportsTransactions)
    subject.create_table()
    wrapper = subject.wrapper()
    told = False
    try:
        with wrapper.atomic():
            subject.insert(wrapper, 1)
            with failing_block(wrapper, savepoint=False):
                subject.insert(wrapper, 2)
            try:
                subject.insert(wrapper, 3)
            except TransactionManagementError:
                pass
            else:
                subject.fail("a statement ran in the block after an inner one without savepoint had failed")
    except TransactionManagementError:
        told = True
    subject.require(told, "the outer block ended as if all were well")
    _sees(subject, 0, "after both blocks", blame="rollback")
    wrapper.close()


@requirement(
    "TX-009",
    "A durable block is refused inside another one, and committed at its own end otherwise",
    reason="its caller relies on the work being committed when the block has ended",
    source="the contract, section 3: transactions",
    level=1,
    after=("TX-001",),
    blame=("commit", "__init__"),
    advice="leave nesting to the wrapper",
)
def durable(subject: Subject) -> None:
    subject.needs(SupportsTransactions)
    subject.create_table()
    wrapper = subject.wrapper()
    with wrapper.atomic(durable=True):
        subject.insert(wrapper, 1)
    _sees(subject, 1, "after a durable block", blame="commit")
    with wrapper.atomic():
        try:
            with wrapper.atomic(durable=True):
                pass
        except TransactionManagementError:
            pass
        else:
            subject.fail("a durable block was opened inside another block")
        subject.insert(wrapper, 2)
    _sees(subject, 2, "after a block that had refused a durable one", blame="commit")
    wrapper.close()


@requirement(
    "TX-010",
    "A transaction that the database ended by itself breaks the block loudly",
    reason="the rest of the block would run in autocommit, and a rollback undo nothing",
    source="the contract, section 3: transactions",
    level=1,
    after=("TX-012",),
    blame=("transaction_status",),
    advice="ask the driver for the status at each call; do not keep a copy of what was sent",
)
def ended_by_itself(subject: Subject) -> None:
    subject.needs(SupportsTransactions, SupportsTransactionStatus)
    subject.create_table()
    wrapper = subject.wrapper()
    told = False
    try:
        with wrapper.atomic():
            subject.insert(wrapper, 1)
            subject.execute(wrapper, "COMMIT")
    except TransactionManagementError:
        told = True
    subject.require(told, "a COMMIT inside the block ended its transaction, and the block ended as if all were well")
    subject.insert(wrapper, 2)
    _sees(subject, 2, "after the broken block and an INSERT behind it", blame="rollback")
    wrapper.close()


@requirement(
    "TX-011",
    "An error swallowed inside a block does not lose the block's work silently",
    reason="PostgreSQL takes only a rollback after an error, and answers COMMIT with one, without an error",
    source='PostgreSQL manual, "COMMIT"; SQLite manual, "ON CONFLICT clause"',
    level=1,
    after=("TX-001",),
    blame=("transaction_status", "commit", "_cursor"),
    advice="report FAILED where the database takes only a rollback, IDLE where the transaction is gone",
)
def swallowed_error(subject: Subject) -> None:
    subject.needs(SupportsTransactions)
    subject.create_table()
    wrapper = subject.wrapper()
    told = False
    try:
        with wrapper.atomic():
            subject.insert(wrapper, 1)
            try:
                subject.execute(wrapper, f"SELECT * FROM {subject.TABLE}_missing")
            except Error:
                pass
            else:
                subject.fail("a statement on a table that is not there raised nothing", blame="_cursor")
    except Error:
        told = True
    rows = subject.count_rows()
    subject.require(told or rows == 1, "the block ended as if all were well, and its row is not there")
    subject.require(not told or rows == 0, "the block reported that nothing was kept, and its row is there")
    wrapper.close()


@requirement(
    "TX-012",
    "transaction_status says idle, in transaction and, where only a rollback is taken, failed, as it is",
    reason="the wrapper, and a pool, decide on it what is left to undo",
    source="the contract, section 2: SupportsTransactionStatus",
    level=1,
    after=("TX-004", "TX-014"),
    blame=("transaction_status",),
    advice="return what the driver knows of the session, without a round trip",
)
def status_is_true(subject: Subject) -> None:
    subject.needs(SupportsTransactions, SupportsTransactionStatus)
    subject.create_table()
    wrapper = subject.wrapper()

    def expect(wanted: TransactionStatus, when: str) -> None:
        status = _status(subject, wrapper)
        subject.require(status is wanted, f"{when} it says {getattr(status, 'value', status)!r}")

    expect(TransactionStatus.IDLE, "after opening")
    with wrapper.atomic():
        expect(TransactionStatus.IN_TRANSACTION, "right after begin()")
        subject.insert(wrapper, 1)
        expect(TransactionStatus.IN_TRANSACTION, "after an INSERT in a block")
    expect(TransactionStatus.IDLE, "after a commit")
    with failing_block(wrapper):
        subject.insert(wrapper, 2)
    expect(TransactionStatus.IDLE, "after a rollback")
    subject.insert(wrapper, 3)
    expect(TransactionStatus.IDLE, "after an INSERT outside of any block")
    with failing_block(wrapper):
        _require_failed_is_said(subject, wrapper)
    wrapper.close()


def _require_failed_is_said(subject: Subject, wrapper: AnyWrapper) -> None:
    """After an error: if the database takes nothing more, the status is FAILED."""
    try:
        subject.execute(wrapper, f"SELECT * FROM {subject.TABLE}_missing")
    except Error:
        pass
    status = _status(subject, wrapper)
    try:
        subject.execute(wrapper, f"SELECT count(*) FROM {subject.TABLE}")
    except Error:
        said = getattr(status, "value", status)
        subject.require(
            status is TransactionStatus.FAILED,
            f"after an error the database takes only a rollback, and it says {said!r}",
        )


@requirement(
    "TX-013",
    "A commit that the database refuses is reported, nothing of it is kept, and the session can be used again",
    reason="deferred constraints are checked at the commit",
    source='the SQL standard, "INITIALLY DEFERRED"; PEP 249, Connection.commit',
    level=1,
    after=("TX-004",),
    blame=("commit",),
    advice="let the driver's error out of commit()",
)
def refused_commit(subject: Subject) -> None:
    subject.needs(SupportsTransactions)
    subject.create_table()
    wrapper = subject.wrapper()
    parent, child = f"{subject.TABLE}_p", f"{subject.TABLE}_c"
    integer = subject.type_name("integer")
    reference = f"{integer} REFERENCES {parent} (id) DEFERRABLE INITIALLY DEFERRED"
    subject.execute(wrapper, f"CREATE TABLE {parent} (id {integer} PRIMARY KEY)")
    try:
        try:
            subject.execute(wrapper, f"CREATE TABLE {child} (ref {reference})")
        except Error:
            raise NotApplicable("the database takes no deferred constraint") from None
        _violate_at_commit(subject, wrapper, child)
    finally:
        if not wrapper.in_atomic_block:
            subject.execute(wrapper, f"DROP TABLE IF EXISTS {child}")
            subject.execute(wrapper, f"DROP TABLE {parent}")
    wrapper.close()


def _violate_at_commit(subject: Subject, wrapper: AnyWrapper, child: str) -> None:
    told = False
    try:
        with wrapper.atomic():
            subject.execute(wrapper, f"INSERT INTO {child} (ref) VALUES (1)")
    except Error:
        told = True
    witness = subject.witness()
    kept = int(witness.scalar(f"SELECT count(*) FROM {child}"))
    witness.close()
    if not told and kept:
        raise NotApplicable("the database enforces no deferred constraint as the settings have it")
    subject.require(told, "the row is not there, and neither commit() nor the block raised anything")
    subject.require(kept == 0, "the commit was refused, and the row is there")
    subject.insert(wrapper, 1)
    _sees(subject, 1, "after the refused commit and an INSERT behind it", blame="rollback")


@requirement(
    "TX-014",
    "begin() begins at once, not with the first statement that writes",
    reason="a savepoint outside of a transaction begins one of its own and commits it when released",
    source='sqlite3 module\'s documentation, "Transaction control"; SQLite manual, "SAVEPOINT"',
    level=1,
    after=("TX-002",),
    blame=("begin",),
    advice="send BEGIN; do not leave it to the driver's implicit transactions",
)
def begins_at_once(subject: Subject) -> None:
    subject.needs(SupportsTransactions)
    if not subject.has(SupportsSavepoints) and not subject.has(SupportsTransactionStatus):
        raise NotApplicable("without savepoints and a status nobody can tell")
    subject.create_table()
    wrapper = subject.wrapper()
    with failing_block(wrapper):
        if subject.has(SupportsTransactionStatus):
            status = _status(subject, wrapper)
            subject.require(status is not TransactionStatus.IDLE, "right after begin() the driver says 'idle'")
        if subject.has(SupportsSavepoints):
            with wrapper.atomic():
                subject.insert(wrapper, 1)
            _sees(subject, 0, "after an inner block that came first in the outer one", blame="begin")
    wrapper.close()


@requirement(
    "TX-015",
    "rollback() without a transaction does nothing",
    reason="it is called wherever it is not known what is open: by a pool, after an error, at the end of a scope",
    source="the contract, section 2: SupportsTransactions",
    level=1,
    after=("TX-004",),
    blame=("rollback",),
    advice="use the driver's rollback(), or look first whether a transaction is open",
)
def idle_rollback(subject: Subject) -> None:
    subject.needs(SupportsTransactions)
    table = subject.create_table()
    view = subject.view()
    with opened(view) as connection:
        try:
            view.rollback(connection)
            view.rollback(connection)
        except view.errors_for(connection).caught as error:
            subject.fail(f"it raised {type(error).__name__}: {error}")
        view.execute_statement(connection, f"INSERT INTO {table} (id, note) VALUES (1, 'row')")
        _sees(subject, 1, "after a rollback without a transaction and an INSERT behind it", blame="rollback")


@requirement(
    "TX-016",
    "With autocommit switched off nothing is seen before the commit; switched on again, everything at once",
    reason="long jobs commit by hand",
    source="PEP 249, Connection.commit; Django's set_autocommit()",
    level=1,
    after=("TX-004",),
    blame=("set_autocommit",),
    advice="set the driver's own autocommit, both ways",
)
def switched_autocommit(subject: Subject) -> None:
    subject.needs(SupportsTransactions, SupportsAutocommit)
    subject.create_table()
    wrapper = subject.wrapper()
    wrapper.set_autocommit(False)
    subject.insert(wrapper, 1)
    _sees(subject, 0, "with autocommit off, before the commit,", blame="set_autocommit")
    wrapper.commit()
    _sees(subject, 1, "with autocommit off, after the commit,", blame="commit")
    subject.insert(wrapper, 2)
    wrapper.rollback()
    _sees(subject, 1, "with autocommit off, after a rollback,", blame="rollback")
    wrapper.set_autocommit(True)
    subject.insert(wrapper, 3)
    _sees(subject, 2, "with autocommit on again, after an INSERT,", blame="set_autocommit")
    wrapper.close()


def _table_survives_rollback(subject: Subject) -> bool:
    table = f"{subject.TABLE}_new"
    wrapper = subject.wrapper()
    with failing_block(wrapper):
        subject.execute(wrapper, f"CREATE TABLE {table} (id {subject.type_name('integer')})")
    witness = subject.witness()
    try:
        witness.rows(f"SELECT count(*) FROM {table}")
    except Exception:  # the witness is the bare driver: its error classes are not known here
        survives = False
    else:
        survives = True
    witness.close()
    if survives:
        subject.execute(wrapper, f"DROP TABLE {table}")
    wrapper.close()
    return survives


@requirement(
    "TX-017",
    "A CREATE TABLE is undone by a rollback, as declared",
    reason="migrations rely on it: half a migration cannot be repeated",
    source='PostgreSQL manual, "Concurrency"; MariaDB manual, "SQL statements that cause an implicit commit"',
    level=1,
    after=("TX-014",),
    blame=("transactional_ddl", "_cursor"),
    advice="do not declare SupportsTransactionalDDL where DDL commits by itself",
)
def transactional_ddl(subject: Subject) -> None:
    subject.needs(SupportsTransactions, SupportsTransactionalDDL)
    subject.require(
        subject.view().transactional_ddl is True, "the ability is declared, and transactional_ddl is not True"
    )
    subject.require(not _table_survives_rollback(subject), "a table made in a block survived the block's rollback")


@requirement(
    "TX-018",
    "Where a rollback undoes a CREATE TABLE, that is declared",
    reason="what is not declared is not used: migrations would run without a transaction",
    source="the contract, section 2: optional abilities",
    level=1,
    keyword="SHOULD",
    after=("TX-014",),
    blame=("begin",),
    advice="inherit SupportsTransactionalDDL and return True from transactional_ddl",
)
def undeclared_ddl(subject: Subject) -> None:
    subject.needs(SupportsTransactions)
    if subject.has(SupportsTransactionalDDL):
        raise NotApplicable("the backend declares SupportsTransactionalDDL")
    subject.require(
        _table_survives_rollback(subject), "the rollback undid a CREATE TABLE, and the ability is undeclared"
    )


@requirement(
    "TX-019",
    "A read-only session refuses writes, still reads, and takes writes again when told so",
    reason="a replica, or a report, must not write by mistake; the next user of the session must be able to",
    source="the contract, section 2: SupportsReadOnly",
    level=1,
    after=("TX-003",),
    blame=("set_read_only",),
    advice="switch the session's own default, both ways",
)
def read_only(subject: Subject) -> None:
    subject.needs(SupportsReadOnly)
    table = subject.create_table()
    wrapper = subject.wrapper()
    wrapper.set_read_only(True)
    try:
        subject.insert(wrapper, 1)
    except Error:
        pass
    else:
        subject.fail("an INSERT in a read-only session raised nothing")
    _sees(subject, 0, "after an INSERT in a read-only session", blame="set_read_only")
    subject.execute(wrapper, f"SELECT count(*) FROM {table}")
    wrapper.set_read_only(False)
    try:
        subject.insert(wrapper, 2)
    except Error as error:
        subject.fail(f"writable again, the session still refuses an INSERT: {error}")
    _sees(subject, 1, "after an INSERT in the session that is writable again", blame="set_read_only")
    wrapper.close()


@requirement(
    "TX-020",
    "A commit hook runs once the block's work is seen by others, and not before",
    reason="it sends the mail, or wakes the worker, that looks for the row",
    source="Django's on_commit()",
    level=1,
    after=("TX-001",),
    blame=("commit", "__init__"),
    advice="commit() must not return before the database has committed",
)
def hooks_after_commit(subject: Subject) -> None:
    subject.needs(SupportsTransactions)
    subject.create_table()
    wrapper = subject.wrapper()
    seen: list[int] = []
    with wrapper.atomic():
        subject.insert(wrapper, 1)
        wrapper.on_commit(lambda: seen.append(subject.count_rows()))
        subject.require(not seen, "the hook ran inside the block")
    subject.require(seen, "the hook did not run")
    subject.require(seen == [1], f"when the hook ran, another session saw {seen[0]} row(s) instead of 1")
    wrapper.close()


@requirement(
    "TX-021",
    "The commit hooks of work that was rolled back never run",
    reason="what they announce did not happen",
    source="Django's on_commit()",
    level=1,
    after=("TX-005",),
    blame=("rollback", "__init__"),
    advice="leave the hooks to the wrapper",
)
def hooks_dropped(subject: Subject) -> None:
    subject.needs(SupportsTransactions)
    subject.create_table()
    wrapper = subject.wrapper()
    ran: list[str] = []
    with failing_block(wrapper):
        subject.insert(wrapper, 1)
        wrapper.on_commit(lambda: ran.append("of the failed block"))
    with wrapper.atomic():
        if subject.has(SupportsSavepoints):
            with failing_block(wrapper):
                wrapper.on_commit(lambda: ran.append("of the failed inner block"))
        wrapper.on_commit(lambda: ran.append("kept"))
    subject.require(ran == ["kept"], f"of the hooks of failed blocks and one to keep these ran: {', '.join(ran)}")
    wrapper.close()


untested(
    "TX-022",
    "What was committed survives the loss of power",
    reason="that is what durable means",
    source="the contract, section 2: SupportsTransactions",
    why="it takes a machine that can be cut off; what the database promises is its own affair",
)
untested(
    "TX-023",
    "A commit whose answer is lost is reported as unknown, never as done",
    reason="the caller decides whether to look or to repeat",
    source="the contract, section 3: lifetime",
    why="the answer alone has to be lost, which takes a proxy for each database's protocol",
)
