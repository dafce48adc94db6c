"""A PEP 249 module, seen by a check: connections with the user's arguments, a table of the kit's own."""

from __future__ import annotations

import importlib
import inspect
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from backend_sdk import ImproperlyConfigured

from ..judged import traceback_functions
from ..verdict import Violation

if TYPE_CHECKING:
    from typing import Self

__all__ = ["EXCEPTIONS", "ModuleSubject", "ModuleTarget", "load_target", "sdk_settings"]

EXCEPTIONS = {
    "Error": "Exception",
    "Warning": "Exception",
    "InterfaceError": "Error",
    "DatabaseError": "Error",
    "DataError": "DatabaseError",
    "OperationalError": "DatabaseError",
    "IntegrityError": "DatabaseError",
    "InternalError": "DatabaseError",
    "ProgrammingError": "DatabaseError",
    "NotSupportedError": "DatabaseError",
}
"""The exceptions of PEP 249, each with its base."""

_FIELDS = {"NAME": "database", "HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password"}
SDK_OPTIONS = ("begin_statement", "paramstyle", "probe")
"""What only the SDK's backend for such modules reads, and ``connect()`` does not get."""
_PLACES = {"database", "db", "dbname", "dsn", "host", "uri", "conninfo", "unix_socket"}


@dataclass(frozen=True)
class ModuleTarget:
    """The module (or the object that stands for one) and the arguments of its ``connect()``."""

    name: str
    module: Any
    base: Mapping[str, Any] = field(default_factory=dict)
    support: object = None

    def check_base(self, _workdir: Path, /) -> None:
        unknown = sorted(key for key in self.base if key not in {*_FIELDS, "OPTIONS"})
        if unknown:
            raise ImproperlyConfigured(
                f"{unknown[0]} means nothing to a PEP 249 module; write the arguments of connect() as -o argument=value"
            )

    def with_base(self, base: Mapping[str, Any]) -> ModuleTarget:
        return replace(self, base=dict(base))

    def subject(self, workdir: Path) -> ModuleSubject:
        return ModuleSubject(self, workdir)

    def arguments(self, workdir: Path) -> dict[str, Any]:
        """What ``connect()`` gets; ``{workdir}`` in a text is the check's folder. No place given: a file there."""
        given = {name: self.base[key] for key, name in _FIELDS.items() if self.base.get(key)}
        given.update({key: value for key, value in self.base.get("OPTIONS", {}).items() if key not in SDK_OPTIONS})
        if not _PLACES & set(given):
            given["database"] = "{workdir}/conformance.db"
        folder = str(workdir)
        return {
            name: value.replace("{workdir}", folder) if isinstance(value, str) else value
            for name, value in given.items()
        }


def load_target(name: str, base: Mapping[str, Any] | None = None) -> ModuleTarget:
    """Resolve ``dbapi:module`` or ``dbapi:module:object``. Raises `ImproperlyConfigured`."""
    path, _, attribute = name.partition(":")[2].partition(":")
    try:
        module: Any = importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{path}.".startswith(f"{error.name}."):
            raise ImproperlyConfigured(f"target {name!r}: there is no module {error.name!r}") from None
        raise
    if attribute:
        module = getattr(module, attribute)
    if not callable(getattr(module, "connect", None)):
        raise ImproperlyConfigured(f"target {name!r} is no PEP 249 module: it has no connect()")
    return ModuleTarget(name, module, dict(base or {}))


def sdk_settings(name: str, base: Mapping[str, Any]) -> dict[str, Any]:
    """The alias mapping with which the SDK's backend ``dbapi`` runs the module of ``dbapi:module``."""
    module = name.partition(":")[2]
    if ":" in module:
        raise ImproperlyConfigured(f"target {name!r}: the SDK's backend runs a whole module, not an object in one")
    given = dict(base.get("OPTIONS", {}))
    own = {key: given.pop(key) for key in SDK_OPTIONS if key in given}
    return {**base, "OPTIONS": {"module": module, "connect": given, **own}}


class ModuleSubject:
    """One check's view: a fresh database where it is a file, and every connection closed at the end."""

    def __init__(self, target: ModuleTarget, workdir: Path) -> None:
        self.target = target
        self.module = target.module
        self.workdir = workdir
        self.TABLE = f"conformance_{secrets.token_hex(4)}"
        self._stack = ExitStack()
        self._has_table = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()
        if self._has_table and str(self.workdir) not in str(self.target.arguments(self.workdir)):
            self._drop_table()

    # Doing things

    def connect(self) -> Any:
        """A new connection; closed at the end of the check, if it is not by then."""
        connection = self.module.connect(**self.target.arguments(self.workdir))
        self._stack.callback(_ignoring(connection.close))
        return connection

    def run(self, connection: Any, sql: str, *parameters: Any) -> Any:
        """A new cursor that has executed *sql*."""
        cursor = connection.cursor()
        cursor.execute(sql, *parameters)
        return cursor

    def rows(self, connection: Any, sql: str) -> list[tuple[Any, ...]]:
        cursor = self.run(connection, sql)
        found = [tuple(row) for row in cursor.fetchall()]
        cursor.close()
        return found

    def table(self, rows: int = 0) -> Any:
        """A connection on a database with the kit's table, which has *rows* committed rows, numbered from 1."""
        connection = self.connect()
        self.run(connection, f"CREATE TABLE {self.TABLE} (id INTEGER PRIMARY KEY, note VARCHAR(100))").close()
        self._has_table = True
        for number in range(1, rows + 1):
            self.insert(connection, number)
        connection.commit()
        return connection

    def insert(self, connection: Any, number: int) -> Any:
        return self.run(connection, f"INSERT INTO {self.TABLE} (id, note) VALUES ({number}, 'row {number}')")

    def count(self, connection: Any) -> int:
        return int(self.rows(connection, f"SELECT count(*) FROM {self.TABLE}")[0][0])

    def seen_by_another(self) -> int:
        """How many rows a new connection sees in the kit's table."""
        other = self.connect()
        seen = self.count(other)
        other.close()
        return seen

    def _drop_table(self) -> None:
        connection = self.module.connect(**self.target.arguments(self.workdir))
        try:
            self.run(connection, f"DROP TABLE {self.TABLE}").close()
            connection.commit()
        except Exception:  # the check has said what is wrong with it
            pass
        finally:
            connection.close()

    # Saying what is wrong

    def fail(self, observed: str, *, advice: str = "") -> NoReturn:
        raise Violation(observed, advice=advice)

    def require(self, condition: object, observed: str, *, advice: str = "") -> None:
        if not condition:
            raise Violation(observed, advice=advice)

    def require_error(self, name: str, what: str, call: Callable[[], object]) -> BaseException:
        """*call* raises the module's exception *name* or one derived from it."""
        wanted = getattr(self.module, name)
        try:
            result = call()
        except wanted as error:
            caught: BaseException = error
        except Exception as error:
            raise Violation(f"{what} raised {type(error).__module__}.{type(error).__qualname__}, not {name}") from error
        else:
            raise Violation(f"{what} raised nothing and returned {result!r:.60}")
        return caught

    # For the machinery

    def secret_texts(self) -> Iterable[str]:
        options = self.target.base.get("OPTIONS", {})
        candidates = (self.target.base.get("PASSWORD"), *(options.get(key) for key in ("password", "passwd", "pwd")))
        return [str(text) for text in candidates if text]

    def author_files(self) -> set[str]:
        file = (
            inspect.getsourcefile(self.module)
            if inspect.ismodule(self.module) or inspect.isclass(self.module)
            else None
        )
        return {file} if file else set()

    def blamed(self, _methods: Iterable[str], _profile: str) -> tuple[str, str]:
        return "", ""

    def excuses(self, _inherited: str) -> bool:
        return False

    def unreachable(self, error: BaseException) -> str:
        arguments = self.target.arguments(self.workdir)
        host = arguments.get("host")
        at_connect = traceback_functions(error.__traceback__)[-1:] == ["connect"]
        if not host or not at_connect or not isinstance(error, getattr(self.module, "OperationalError", ())):
            return ""
        return f"{host}:{arguments['port']}" if "port" in arguments else str(host)

    def is_targets_error(self, error: BaseException) -> bool:
        """A driver written in C leaves no frames: its exceptions tell."""
        return isinstance(error, getattr(self.module, "Error", ()))


def _ignoring(close: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        try:
            close()
        except Exception:  # the check may have closed it, or broken it on purpose
            pass

    return run
