"""Autocommit and transactions, as a session of the driver's own sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.provoke import caught
from conformance.register import requirement
from conformance.verdict import NotApplicable

if TYPE_CHECKING:
    from ..subject import DjangoSubject

AUTOCOMMIT = (
    "set_autocommit", "_set_autocommit", "get_autocommit", "get_new_connection", "init_connection_state",
    "_start_transaction_under_autocommit", "connect", "create_cursor", "cursor", "_cursor", "ensure_connection",
)  # fmt: skip
ENDING = ("commit", "_commit", "rollback", "_rollback", *AUTOCOMMIT)
SAVEPOINTS = ("savepoint", "_savepoint", "savepoint_rollback", "_savepoint_rollback", "savepoint_commit",
              "_savepoint_commit", "_savepoint_allowed", *AUTOCOMMIT)  # fmt: skip


@requirement(
    "DJTX-001",
    "Outside of any block a statement is committed at once",
    reason="a row that waits for a commit which nobody sends is lost",
    source="Django docs, transactions: autocommit",
    level=1,
    profile="django",
    after=("DJLIFE-001",),
    blame=AUTOCOMMIT,
    advice="_set_autocommit(True) must switch the driver's own autocommit on",
)
def autocommit(subject: DjangoSubject) -> None:
    subject.create_table()
    wrapper = subject.wrapper()
    for number in (1, 2):
        subject.insert(wrapper, number)
        subject.require_seen(number, f"after INSERT number {number} outside of any block")
    wrapper.close()
    subject.require_seen(2, "after close()")


@requirement(
    "DJTX-002",
    "What an atomic block wrote is seen by others after its end, and not before",
    reason="rows committed late, early or never are the commonest defect of engines",
    source="Django docs, transactions: atomic",
    level=1,
    profile="django",
    after=("DJTX-001",),
    blame=ENDING,
)
def atomic_commits(subject: DjangoSubject) -> None:
    subject.needs_transactions()
    subject.create_table()
    wrapper = subject.wrapper()
    with subject.atomic(wrapper):
        subject.insert(wrapper, 1)
        subject.require_seen(0, "before the block had ended")
    subject.require_seen(1, "after the block")


@requirement(
    "DJTX-003",
    "Nothing of an atomic block that raised is kept",
    reason="half of a transfer is worse than none",
    source="Django docs, transactions: atomic",
    level=1,
    profile="django",
    after=("DJTX-001",),
    blame=ENDING,
)
def atomic_rolls_back(subject: DjangoSubject) -> None:
    subject.needs_transactions()
    subject.create_table()
    wrapper = subject.wrapper()
    with subject.failing_block(wrapper):
        subject.insert(wrapper, 1)
    subject.require_seen(0, "after a block that raised")
    own = subject.own(wrapper)
    subject.require(own == 0, f"after a block that raised its own session sees {own} row(s)")
    with subject.atomic(wrapper):
        subject.insert(wrapper, 2)
    subject.require_seen(1, "after the block that followed one that raised")


@requirement(
    "DJTX-004",
    "An inner atomic block that raised is undone alone",
    reason="get_or_create and most of the admin stand on it",
    source="Django docs, transactions: savepoints",
    level=1,
    profile="django",
    after=("DJTX-002", "DJTX-003"),
    blame=SAVEPOINTS,
)
def savepoints(subject: DjangoSubject) -> None:
    subject.needs_savepoints()
    subject.create_table()
    wrapper = subject.wrapper()
    with subject.atomic(wrapper):
        subject.insert(wrapper, 1)
        with subject.failing_block(wrapper):
            subject.insert(wrapper, 2)
            with subject.atomic(wrapper):
                subject.insert(wrapper, 3)
        subject.insert(wrapper, 4)
        own = subject.own(wrapper)
        subject.require(own == 2, f"after an inner block that raised the outer one sees {own} row(s) instead of 2")
        subject.require_seen(0, "before the outer block had ended")
    subject.require_seen(2, "after a block in which an inner one raised")


@requirement(
    "DJTX-005",
    "After an atomic block the driver is in autocommit again, however the block ended",
    reason="rows written after the block wait for the next user's commit",
    source="Django, Atomic.__exit__",
    level=1,
    profile="django",
    after=("DJTX-002", "DJTX-003"),
    blame=AUTOCOMMIT,
)
def autocommit_comes_back(subject: DjangoSubject) -> None:
    subject.needs_transactions()
    subject.create_table()
    wrapper = subject.wrapper()
    with subject.atomic(wrapper):
        subject.insert(wrapper, 1)
    subject.insert(wrapper, 2)
    subject.require_seen(2, "after an INSERT that followed a block that ended well")
    with subject.failing_block(wrapper):
        subject.insert(wrapper, 3)
    subject.insert(wrapper, 4)
    subject.require_seen(3, "after an INSERT that followed a block that raised")
    subject.require(wrapper.get_autocommit() is True, "after a block get_autocommit() is not True")


@requirement(
    "DJTX-006",
    "With set_autocommit(False) statements wait for commit(), and rollback() undoes them",
    reason="manual transactions, and every tool that loads data",
    source="Django docs, transactions: set_autocommit",
    level=1,
    profile="django",
    after=("DJTX-001",),
    blame=ENDING,
)
def manual_transactions(subject: DjangoSubject) -> None:
    subject.needs_transactions()
    subject.create_table()
    wrapper = subject.wrapper()
    wrapper.ensure_connection()
    wrapper.set_autocommit(False)
    subject.require(wrapper.get_autocommit() is False, "after set_autocommit(False), get_autocommit() is not False")
    subject.insert(wrapper, 1)
    subject.require_seen(0, "before commit()")
    wrapper.commit()
    subject.require_seen(1, "after commit()")
    subject.insert(wrapper, 2)
    wrapper.rollback()
    own = subject.own(wrapper)
    subject.require(own == 1, f"after rollback() the session itself sees {own} row(s) instead of 1")
    wrapper.rollback()
    wrapper.set_autocommit(True)
    subject.require_seen(1, "after rollback() and set_autocommit(True)")
    subject.insert(wrapper, 3)
    subject.require_seen(2, "after an INSERT that followed set_autocommit(True)")


@requirement(
    "DJTX-007",
    "AUTOCOMMIT = False in the settings holds from the first statement on",
    reason="a setting that is ignored commits what should have waited",
    source="Django docs, settings: AUTOCOMMIT",
    level=1,
    profile="django",
    after=("DJTX-001",),
    blame=ENDING,
)
def autocommit_off_by_settings(subject: DjangoSubject) -> None:
    subject.needs_transactions()
    subject.create_table()
    wrapper = subject.wrapper(AUTOCOMMIT=False)
    subject.insert(wrapper, 1)
    subject.require_seen(0, "with AUTOCOMMIT = False, before commit()")
    wrapper.commit()
    subject.require_seen(1, "with AUTOCOMMIT = False, after commit()")


@requirement(
    "DJTX-008",
    "What was not committed when close() came is gone, for the next user of a connection too",
    reason="the next user's commit would keep half of somebody else's work",
    source="PEP 249, .close()",
    level=1,
    profile="django",
    after=("DJTX-006",),
    blame=("close", "_close", *ENDING),
)
def closing_commits_nothing(subject: DjangoSubject) -> None:
    subject.needs_transactions()
    subject.create_table()
    wrapper = subject.wrapper()
    wrapper.ensure_connection()
    wrapper.set_autocommit(False)
    subject.insert(wrapper, 1)
    wrapper.close()
    subject.require_seen(0, "after close() without commit()")
    following = subject.wrapper()
    own = subject.own(following)
    subject.require(own == 0, f"the next user of a connection sees {own} uncommitted row(s) of the one before")
    subject.insert(following, 2)
    subject.require_seen(1, "after the next user's INSERT")


@requirement(
    "DJTX-009",
    "on_commit functions run once the rows can be seen by others, and never after a rollback",
    reason="a task queue is told of rows that are not there",
    source="Django docs, transactions: on_commit",
    level=1,
    profile="django",
    after=("DJTX-002", "DJTX-003"),
    blame=("on_commit", "run_and_clear_commit_hooks", *ENDING),
)
def commit_hooks(subject: DjangoSubject) -> None:
    subject.needs_transactions()
    subject.create_table()
    wrapper = subject.wrapper()
    seen: list[int] = []
    with subject.atomic(wrapper):
        subject.insert(wrapper, 1)
        wrapper.on_commit(lambda: seen.append(subject.seen()))
        subject.require(seen == [], "an on_commit function ran before the block's end", blame="on_commit")
    subject.require(seen == [1], f"at the time of on_commit another session saw {seen} row(s) instead of [1]")
    with subject.failing_block(wrapper):
        wrapper.on_commit(lambda: seen.append(-1))
    with subject.atomic(wrapper):
        subject.insert(wrapper, 2)
    subject.require(-1 not in seen, "an on_commit function of a block that raised was run", blame="rollback")


@requirement(
    "DJTX-010",
    "After a database error in an inner block the outer one goes on and commits",
    reason="a duplicate key is caught and dealt with, thousands of times a day",
    source="Django docs, transactions: controlling explicitly",
    level=1,
    profile="django",
    after=("DJTX-004",),
    blame=SAVEPOINTS,
)
def error_in_an_inner_block(subject: DjangoSubject) -> None:
    subject.needs_savepoints()
    subject.create_table()
    wrapper = subject.wrapper()

    def duplicate() -> None:
        with subject.atomic(wrapper):
            subject.insert(wrapper, 1)

    with subject.atomic(wrapper):
        subject.insert(wrapper, 1)
        error = caught(duplicate)
        subject.require(error is not None, "a duplicate key raised nothing")
        subject.insert(wrapper, 2)
    subject.require_seen(2, "after a block in which an inner one hit a duplicate key")


@requirement(
    "DJTX-011",
    "Where features.can_rollback_ddl is true, a table made in a block that raised is not there",
    reason="migrations trust it: half of one that failed would stay, and the retry fails",
    source="Django, BaseDatabaseFeatures.can_rollback_ddl",
    level=1,
    profile="django",
    after=("DJTX-003",),
    blame=ENDING,
    advice="say can_rollback_ddl = False where the database commits on DDL",
)
def ddl(subject: DjangoSubject) -> None:
    subject.needs_transactions()
    wrapper = subject.wrapper()
    if not wrapper.features.can_rollback_ddl:
        raise NotApplicable("the engine's features say can_rollback_ddl = False")
    table = f"{subject.TABLE}_ddl"
    with subject.failing_block(wrapper):
        subject.execute(wrapper, f"CREATE TABLE {table} (id INTEGER)")
    error = caught(lambda: subject.execute(wrapper, f"SELECT * FROM {table}"))
    if error is None:
        subject.execute(wrapper, f"DROP TABLE {table}")
    subject.require(error is not None, "can_rollback_ddl is true, and a table made in a block that raised is there")


@requirement(
    "DJTX-012",
    "All cursors of a wrapper work in one session and in its transaction, chunked_cursor() too",
    reason="an iterator that does not see its own block's rows",
    source="Django, BaseDatabaseWrapper.chunked_cursor",
    level=1,
    profile="django",
    after=("DJTX-002",),
    blame=("create_cursor", "chunked_cursor", "_cursor", "cursor", "get_new_connection"),
)
def one_session(subject: DjangoSubject) -> None:
    subject.needs_transactions()
    subject.create_table()
    wrapper = subject.wrapper()
    with subject.atomic(wrapper):
        subject.insert(wrapper, 1)
        for name in ("cursor", "chunked_cursor"):
            with getattr(wrapper, name)() as cursor:
                cursor.execute(f"SELECT count(*) FROM {subject.TABLE}")
                found: Any = cursor.fetchone()[0]
            subject.require(found == 1, f"{name}() sees {found} of its own block's 1 row(s)", blame=name)


@requirement(
    "DJTX-013",
    "A commit that fails raises, keeps nothing, and leaves a wrapper that works",
    reason="deferred constraints and full disks fail at commit",
    source="Django, Atomic.__exit__",
    level=1,
    profile="django",
    after=("DJTX-002", "DJTX-003"),
    blame=ENDING,
)
def failing_commit(subject: DjangoSubject) -> None:
    subject.needs_transactions()
    subject.create_table()
    wrapper = subject.wrapper()
    wrapper.ensure_connection()

    def refuse() -> None:
        with wrapper.wrap_database_errors:
            raise subject.cls.Database.OperationalError("refused by the kit")

    def block() -> None:
        with subject.atomic(wrapper):
            subject.insert(wrapper, 1)
            wrapper._commit = refuse

    error = caught(block)
    vars(wrapper).pop("_commit", None)
    subject.require(
        isinstance(error, subject.db.utils.Error), f"a commit that failed raised {type(error).__name__}", blame="commit"
    )
    subject.require_seen(0, "after a commit that failed", blame="rollback")
    subject.insert(wrapper, 2)
    subject.require_seen(1, "after an INSERT that followed a commit that failed")


@requirement(
    "DJTX-014",
    "After a chunked_cursor() outside of any block statements are committed at once, as before it",
    reason="one QuerySet.iterator(), and nothing that the thread writes after it is kept",
    source="Django docs, transactions: autocommit",
    level=1,
    profile="django",
    after=("DJTX-001",),
    blame=("chunked_cursor", "create_cursor", "_cursor", "cursor"),
    advice="a cursor that needs a transaction outside of a block must be one that outlives it (WITH HOLD)",
)
def autocommit_after_chunks(subject: DjangoSubject) -> None:
    subject.create_table()
    wrapper = subject.wrapper()
    subject.insert(wrapper, 1)
    with wrapper.chunked_cursor() as cursor:
        cursor.execute(f"SELECT id FROM {subject.TABLE}")
        cursor.fetchmany(1)
    subject.insert(wrapper, 2)
    subject.require_seen(2, "after an INSERT that followed a chunked_cursor()", blame="chunked_cursor")
