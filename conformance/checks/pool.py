"""Pool: a connection is handed on, and one backend is wrapped by another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from backend_sdk import (
    DatabaseWrapper,
    DelegatingBackend,
    Error,
    SupportsPing,
    SupportsReadOnly,
    SupportsReset,
    SupportsTransactions,
    SupportsTransactionStatus,
)

from ..probes import open_raw, opened, settles
from ..register import requirement, untested
from ..verdict import NotApplicable

if TYPE_CHECKING:
    from ..subject import AnyBackend, Subject


def _hand_on(view: AnyBackend, connection: Any) -> None:
    """What happens to a connection between two users."""
    view.reset(connection)
    view.init_connection_state(connection)


def _insert(subject: Subject, view: AnyBackend, connection: Any, number: int) -> None:
    view.execute_statement(connection, f"INSERT INTO {subject.TABLE} (id, note) VALUES ({number}, 'row')")


@requirement(
    "POOL-001",
    "reset undoes an open transaction",
    reason="the next user's commit would publish what the last one had given up",
    source="the contract, section 2: SupportsReset",
    level=3,
    after=("TX-002",),
    blame=("reset",),
    advice="roll back first",
)
def reset_rolls_back(subject: Subject) -> None:
    subject.needs(SupportsReset, SupportsTransactions)
    subject.create_table()
    view = subject.view()
    with opened(view) as connection:
        view.begin(connection)
        _insert(subject, view, connection, 1)
        _hand_on(view, connection)
        subject.require(subject.count_rows() == 0, "the last user's open transaction was committed")
        view.commit(connection)
        subject.require(subject.count_rows() == 0, "the next user's commit published the last user's open transaction")


@requirement(
    "POOL-002",
    "reset removes temporary tables",
    reason="the next user's CREATE fails, or reads another tenant's rows",
    source='PostgreSQL manual, "DISCARD"; MySQL manual, "mysql_reset_connection()"',
    level=3,
    after=("LIFE-001",),
    blame=("reset",),
    advice="use the server's own reset (DISCARD ALL, COM_RESET_CONNECTION), or drop them by name",
)
def reset_drops_temporary(subject: Subject) -> None:
    subject.needs(SupportsReset)
    view = subject.view()
    table = f"{subject.TABLE}_t"
    with opened(view) as connection:
        caught = view.errors_for(connection).caught
        try:
            view.execute_statement(connection, f"CREATE TEMPORARY TABLE {table} (id {subject.type_name('integer')})")
            view.execute_statement(connection, f"INSERT INTO {table} (id) VALUES (1)")
        except caught:
            raise NotApplicable("the database has no temporary tables") from None
        _hand_on(view, connection)
        try:
            view.execute_statement(connection, f"SELECT id FROM {table}")
        except caught:
            return
    subject.fail("the next user can read the last one's temporary table")


@requirement(
    "POOL-003",
    "reset and init bring back what the settings ask, whatever the last user has switched",
    reason="the next user would find a session that refuses his writes, or holds them back",
    source="the contract, section 2: SupportsReset",
    level=3,
    after=("TX-019", "POOL-001"),
    blame=("reset", "init_connection_state"),
    advice="reset() undoes what can be switched; init_connection_state() sets it again, each time it is called",
)
def reset_switches_back(subject: Subject) -> None:
    subject.needs(SupportsReset, SupportsReadOnly)
    subject.create_table()
    view = subject.view()
    with opened(view) as connection:
        view.set_read_only(connection, True)
        _hand_on(view, connection)
        try:
            _insert(subject, view, connection, 1)
        except view.errors_for(connection).caught as error:
            subject.fail(f"the last user's read-only session refuses the next one's INSERT: {error}")
        subject.require(subject.count_rows() == 1, "the next user's INSERT was not committed at once")


@requirement(
    "POOL-004",
    "reset leaves an idle session that commits at once",
    reason="the next user's first statement would land in a transaction that nobody ends",
    source="the contract, section 2: SupportsReset",
    level=3,
    after=("POOL-001",),
    blame=("reset", "init_connection_state"),
    advice="run what reset() sends in autocommit, or end its transaction",
)
def reset_leaves_idle(subject: Subject) -> None:
    subject.needs(SupportsReset)
    subject.create_table()
    view = subject.view()
    with opened(view) as connection:
        for number in (1, 2):  # a second time without anything to undo
            view.reset(connection)
            if subject.has(SupportsTransactionStatus):
                status = view.transaction_status(connection)
                subject.require(status.value == "idle", f"after it the driver says {status.value!r}")
            view.init_connection_state(connection)
            _insert(subject, view, connection, number)
            subject.require(subject.count_rows() == number, "after it an INSERT was not committed at once")


@requirement(
    "POOL-005",
    "reset raises on a session that is gone",
    reason="a pool would hand the dead connection to the next user",
    source="the contract, section 2: SupportsReset",
    level=3,
    after=("LIFE-001",),
    blame=("reset",),
    advice="let the driver's error out",
)
def reset_raises(subject: Subject) -> None:
    subject.needs(SupportsReset)
    view = subject.view()
    with opened(view) as connection:
        subject.terminate(connection)

        def raises() -> bool:
            try:
                view.reset(connection)
            except view.errors_for(connection).caught:
                return True
            return False

        subject.require(settles(raises), "it returned as if all were well")


@requirement(
    "POOL-006",
    "A connection opened in one thread can be used, pinged, reset and closed in another",
    reason="a pool opens and tends connections in threads of its own",
    source='Django ticket 19274; sqlite3 module\'s documentation, "check_same_thread"',
    level=3,
    after=("LIFE-001",),
    blame=("get_new_connection", "ping", "reset", "close_connection", "_cursor"),
    advice="switch the driver's own thread check off, and keep nothing in a threading.local",
)
def other_thread(subject: Subject) -> None:
    query = f"SELECT count(*) FROM {subject.create_table()}"
    view = subject.view()
    with ThreadPoolExecutor(1) as other:  # it lives as long as the check: a pool takes back what a dead one had
        _use_here(subject, view, query, other.submit(lambda: open_raw(view)).result())


def _use_here(subject: Subject, view: AnyBackend, query: str, connection: Any) -> None:
    steps: dict[str, Any] = {"a statement": lambda: view.execute_statement(connection, query)}
    if subject.has(SupportsPing):
        steps["ping"] = lambda: view.ping(connection)
    if subject.has(SupportsReset):
        steps["reset"] = lambda: view.reset(connection)
    steps["init_connection_state"] = lambda: view.init_connection_state(connection)
    steps["close_connection"] = lambda: view.close_connection(connection)
    for name, step in steps.items():
        try:
            step()
        except Exception as error:
            subject.fail(
                f"{name} in another thread than the one that opened raised {type(error).__name__}: {error}",
                blame=name if "_" in name or name in {"ping", "reset"} else "get_new_connection",
            )


@requirement(
    "POOL-007",
    "A backend around this one behaves as this one does, with all of its abilities",
    reason="pools and tracers are backends around a backend; Go's database/sql lost abilities this way",
    source="the contract, section 2: optional abilities",
    level=3,
    after=("LIFE-001",),
    blame=("abilities", "_cursor", "close_connection"),
    advice="declare each ability whose method is overridden, and let cursors rely on nothing but the contract",
)
def wrapped(subject: Subject) -> None:
    subject.create_table()
    bare = subject.view()
    around: AnyBackend = DelegatingBackend(DelegatingBackend(bare))
    missing = sorted(ability.__name__ for ability in bare.abilities - around.abilities)
    subject.require(not missing, f"around it, a backend lacks {', '.join(missing)}", blame="abilities")
    wrapper: DatabaseWrapper[Any, Any] = DatabaseWrapper(around)
    try:
        subject.insert(wrapper, 1)
        subject.execute(wrapper, f"SELECT count(*) FROM {subject.TABLE}")
        if subject.has(SupportsTransactions):
            with wrapper.atomic():
                subject.insert(wrapper, 2)
        usable = wrapper.is_usable()
        wrapper.close()
    except (Error, AttributeError, TypeError) as error:
        subject.fail(f"behind a backend around it, it raised {type(error).__name__}: {error}")
    rows = 2 if subject.has(SupportsTransactions) else 1
    subject.require(usable, "behind a backend around it, a healthy connection is not usable", blame="ping")
    seen = subject.count_rows()
    subject.require(seen == rows, f"behind a backend around it, of {rows} rows {seen} were kept", blame="commit")


@requirement(
    "POOL-008",
    "Backends of equal settings are equal and have one fingerprint, those of different databases have not",
    reason="pools and caches are keyed by it: too many keys open too many sessions, too few mix tenants",
    source="the contract, section 2: fingerprint",
    level=3,
    after=("SET-001",),
    blame=("settings", "__eq__", "__hash__"),
    advice="leave equality and the fingerprint to the base classes; declare every option as a field",
)
def fingerprints(subject: Subject) -> None:
    first, second = subject.backend(), subject.backend()
    other = subject.backend(NAME=f"{subject.mapping.get('NAME', '')}_other")
    keys = [made.settings.fingerprint for made in (first, second, other)]
    subject.require(keys[0] == first.settings.fingerprint, "the fingerprint of one settings object changes")
    subject.require(keys[0] == keys[1], "two backends of equal settings have different fingerprints")
    subject.require(keys[0] != keys[2], "backends of two databases have one fingerprint")
    subject.require(hash(first) is not None, "it cannot be hashed")
    policy = subject.backend(CONN_MAX_AGE=77)
    subject.require(
        policy.settings.fingerprint == keys[0], "the fingerprint depends on CONN_MAX_AGE, which is no session's"
    )


untested(
    "POOL-009",
    "reset undoes everything else that a user may have done to the session",
    reason="prepared statements, session variables, listeners, locks and notice handlers survive a rollback",
    source="the contract, section 2: SupportsReset",
    why="what a session can hold differs from database to database, and plain SQL has words for little of it",
    level=3,
)
