"""MySQL and MariaDB, by PyMySQL.

The session is brought to the settings by SET statements after the open, and again after each reset: what PyMySQL's
own ``init_command`` and ``sql_mode`` did would be gone then. DDL commits by itself, so transactional DDL is not
declared. Source: PyMySQL's documentation; MySQL's "mysql_reset_connection()", "Statements That Cause an Implicit
Commit" and "Error Message Reference".
"""

from __future__ import annotations

import re
import select
from typing import TYPE_CHECKING, Any, ClassVar, cast

from typing_extensions import TypeVar, override

from backend_sdk import (
    BaseBackend,
    CheckedCursor,
    CredentialSource,
    ErrorClasses,
    ImproperlyConfigured,
    SQLSavepoints,
    SupportsAutocommit,
    SupportsCancel,
    SupportsDisconnect,
    SupportsDriverErrors,
    SupportsExpiringCredentials,
    SupportsIsBroken,
    SupportsNamedCursor,
    SupportsPing,
    SupportsReadOnly,
    SupportsReset,
    SupportsServerVersion,
    SupportsThreadSafety,
    SupportsTransactions,
    SupportsTransactionStatus,
    TransactionStatus,
)

try:
    import pymysql
except ImportError as error:
    raise ImproperlyConfigured(
        f"the MySQL backend needs PyMySQL ({error}): pip install 'backend-sdk[mysql]'"
    ) from error

from pymysql.constants import CR, ER, SERVER_STATUS
from pymysql.cursors import Cursor, SSCursor

if TYPE_CHECKING:
    Connection = pymysql.connections.Connection[Cursor]
else:  # generic in its type stubs only
    Connection = pymysql.connections.Connection

from ._mysql.settings import MySQLOptions, MySQLParams, MySQLSettings, connection_params, session_statements

__all__ = ["MySQLBackend", "MySQLCursor", "MySQLOptions", "MySQLParams", "MySQLServerCursor", "MySQLSettings"]

_COM_RESET_CONNECTION = 0x1F

# The client's codes for a line that broke, and the server's for a session that it ends.
_DISCONNECTS = frozenset(
    {
        CR.CR_CONNECTION_ERROR, CR.CR_CONN_HOST_ERROR, CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST,
        CR.CR_SERVER_LOST_EXTENDED, ER.SERVER_SHUTDOWN, ER.ABORTING_CONNECTION, ER.NET_READ_ERROR,
        ER.NET_READ_INTERRUPTED, ER.NET_ERROR_ON_WRITE, ER.NET_WRITE_INTERRUPTED, 1927, 4031,
    }
)  # fmt: skip  # 1927: killed (MariaDB), 4031: idle for too long (MySQL)

_DEADLOCK = 1213

_ROLES = """\
SELECT QUOTE(CURRENT_ROLE()), GROUP_CONCAT(QUOTE(role_name))
FROM information_schema.applicable_roles WHERE is_default = 'YES'"""


class MySQLCursor(CheckedCursor, Cursor, also=("callproc",)):  # type: ignore[misc]  # the stubs' __exit__ promises less
    """PyMySQL's cursor, checked. The driver's own ``execute`` and ``close`` call ``nextset``, before there is a guard
    too: for what the backend itself sends.
    """

    if not TYPE_CHECKING:
        _guard = None

        def nextset(self):
            guard = self._guard
            return super().nextset() if guard is None else guard.call("nextset", super().nextset)

        def close(self):
            guard = self._guard
            if guard is not None:
                if guard.connection is None:
                    self._give_up()
                    return
                guard.check("close")
            super().close()

        def _give_up(self):
            # The line is dead: whatever the result had still to read, its own finalizer must not try.
            self.connection = None
            if self._result is not None:
                self._result.unbuffered_active = False

        def _query(self, statement):
            try:
                return super()._query(statement)
            except pymysql.err.OperationalError as error:
                if error.args[:1] == (_DEADLOCK,):  # rolled back whole; an error brings no new status with it
                    self.connection.server_status &= ~SERVER_STATUS.SERVER_STATUS_IN_TRANS
                raise


class MySQLServerCursor(MySQLCursor, SSCursor):  # type: ignore[misc]  # as above
    """Rows are read from the server as they are fetched. Nothing else can run in the session until it is closed."""

    if not TYPE_CHECKING:

        def __del__(self):
            try:
                self.close()  # reads the rest, or the next statement would find it in its way
            except Exception:  # dropped by a stranger, or the line is dead
                self._give_up()


SettingsT = TypeVar("SettingsT", bound=MySQLSettings, default=MySQLSettings)


class MySQLBackend(
    SupportsPing[Connection],
    SupportsIsBroken[Connection],
    SupportsTransactionStatus[Connection],
    SupportsReset[Connection],
    SupportsTransactions[Connection],
    SupportsAutocommit[Connection],
    SQLSavepoints[Connection],
    SupportsReadOnly[Connection],
    SupportsCancel[Connection],
    SupportsServerVersion[Connection],
    SupportsNamedCursor[Connection, MySQLCursor],
    SupportsExpiringCredentials,
    SupportsDisconnect,
    SupportsDriverErrors,
    SupportsThreadSafety,
    BaseBackend[SettingsT, MySQLParams, Connection, MySQLCursor],
    vendor="mysql",
):
    """MySQL and MariaDB."""

    test_support: ClassVar[str] = "conformance.supports.mysql:MySQLSupport"

    def __init_subclass__(cls, *, vendor: str = "mysql", **options: Any) -> None:
        super().__init_subclass__(vendor=vendor, **options)

    def __init__(self, settings: SettingsT) -> None:
        super().__init__(settings)
        self._params = connection_params(self.settings)
        self._statements = session_statements(self.settings)

    @override
    def get_connection_params(self) -> MySQLParams:
        params = self._params.copy()
        password = self.settings.reveal_password()
        if password:
            params["password"] = password
        return params

    @override
    def get_new_connection(self, params: MySQLParams, /) -> Connection:
        # The driver's connect_timeout ends with the TCP connection: a server that then says nothing would hold us.
        timeouts = (params.get("connect_timeout"), params.get("read_timeout"))
        patience = min((seconds for seconds in timeouts if seconds is not None), default=None)
        options = cast("dict[str, Any]", {**params, "read_timeout": patience})
        connection = pymysql.connections.Connection(**options)
        cast("Any", connection)._read_timeout = params.get("read_timeout")
        return connection

    @override
    def init_connection_state(self, connection: Connection, /) -> None:
        idle = self.transaction_status(connection) is TransactionStatus.IDLE
        for statement in self._statements:
            connection.query(statement)
        if idle and self.transaction_status(connection) is not TransactionStatus.IDLE:
            connection.commit()  # an init_command may have begun one

    @override
    def _cursor(self, connection: Connection, /) -> MySQLCursor:
        return MySQLCursor(connection)

    @override
    def named_cursor(self, connection: Connection, name: str, /) -> MySQLCursor:
        return MySQLServerCursor(connection)  # the protocol knows no names

    @override
    def ping(self, connection: Connection, /) -> None:
        connection.ping(reconnect=False)

    @override
    def is_broken(self, connection: Connection, /) -> bool:
        driver = cast("Any", connection)  # the driver offers no way to its socket
        if not connection.open:
            return True
        if driver._result is not None and driver._result.unbuffered_active:
            return False  # rows are waiting to be fetched
        # Nobody asked: what can be read is the server's goodbye, or the end.
        return _readable(driver._sock.fileno())

    @override
    def transaction_status(self, connection: Connection, /) -> TransactionStatus:
        in_transaction = cast("Any", connection).server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS
        return TransactionStatus.IN_TRANSACTION if in_transaction else TransactionStatus.IDLE

    @override
    def reset(self, connection: Connection, /) -> None:
        driver = cast("Any", connection)
        driver._execute_command(_COM_RESET_CONNECTION, b"")
        driver._read_ok_packet()
        # It brings back the server's own character set and autocommit, and leaves the database and the role.
        options = self.settings.options
        connection.set_character_set(options.charset, options.collation)
        connection.autocommit(driver.autocommit_mode)
        if self.settings.name:
            connection.select_db(self.settings.name)
        with Cursor(connection) as cursor:
            cursor.execute(_ROLES)
            ((present, default),) = cursor.fetchall()
            if present != default:
                cursor.execute(f"SET ROLE {default or 'NONE'}")

    @override
    def begin(self, connection: Connection, /) -> None:
        connection.begin()

    @override
    def commit(self, connection: Connection, /) -> None:
        connection.commit()

    @override
    def rollback(self, connection: Connection, /) -> None:
        connection.rollback()

    @override
    def set_autocommit(self, connection: Connection, autocommit: bool, /) -> None:
        connection.autocommit(autocommit)

    @override
    def set_read_only(self, connection: Connection, read_only: bool, /) -> None:
        connection.query(f"SET SESSION TRANSACTION READ {'ONLY' if read_only else 'WRITE'}")

    @override
    def cancel(self, connection: Connection, /) -> None:
        helper = self.get_new_connection(self.get_connection_params())  # the session itself is busy
        try:
            helper.query(f"KILL QUERY {cast('Any', connection).thread_id()}")
        finally:
            helper.close()

    @override
    def server_version(self, connection: Connection, /) -> tuple[int, ...]:
        # MariaDB puts 5.5.5- before its own, for the sake of old replicas.
        text = str(cast("Any", connection).get_server_info()).removeprefix("5.5.5-")
        return tuple(int(part) for part in re.match(r"[\d.]*", text).group().strip(".").split("."))  # type: ignore[union-attr]  # matches always

    @override
    def is_disconnect(self, error: BaseException, /) -> bool:
        if not isinstance(error, pymysql.err.Error):
            return False
        code = error.args[0] if error.args else None
        # InterfaceError(0, ...) and "Already closed": the driver has closed its socket after an earlier error.
        return (
            code in _DISCONNECTS
            or (isinstance(error, pymysql.err.InterfaceError) and code == 0)
            or (code == "Already closed")
        )

    @property
    @override
    def driver_errors(self) -> ErrorClasses:
        return cast("ErrorClasses", pymysql)

    @property
    @override
    def threadsafety(self) -> int:
        return pymysql.threadsafety

    @property
    @override
    def expiring_params(self) -> frozenset[str]:
        return frozenset({"password"}) if isinstance(self.settings.password, CredentialSource) else frozenset()


def _readable(fileno: int) -> bool:
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(fileno, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([fileno], [], [], 0)[0])  # Windows, where it is not limited to small numbers
