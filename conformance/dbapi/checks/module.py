"""The module itself: globals, exceptions, constructors, type objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.register import requirement
from conformance.verdict import NotApplicable

from ..subject import EXCEPTIONS

if TYPE_CHECKING:
    from ..subject import ModuleSubject

STYLES = ("qmark", "numeric", "named", "format", "pyformat")


@requirement(
    "API-001",
    "The module says apilevel, threadsafety and paramstyle, each with a value that PEP 249 knows",
    reason="every layer above reads them before the first connection",
    source="PEP 249, Globals",
    level=0,
    profile="dbapi",
    advice='apilevel = "2.0"; threadsafety from 0 to 3; paramstyle one of the five',
)
def module_globals(subject: ModuleSubject) -> None:
    module = subject.module
    subject.require(getattr(module, "apilevel", None) == "2.0", f"apilevel is {getattr(module, 'apilevel', None)!r}")
    safety = getattr(module, "threadsafety", None)
    subject.require(safety in range(4) and not isinstance(safety, bool), f"threadsafety is {safety!r}")
    style = getattr(module, "paramstyle", None)
    subject.require(style in STYLES, f"paramstyle is {style!r}")


@requirement(
    "API-002",
    "The exceptions are the module's attributes, derived from one another as PEP 249 draws them",
    reason="whoever catches DatabaseError means all of its kinds, and nothing else",
    source="PEP 249, Exceptions",
    level=0,
    profile="dbapi",
    advice="Error and Warning derive from Exception, InterfaceError and DatabaseError from Error, the rest from it",
)
def exception_tree(subject: ModuleSubject) -> None:
    module = subject.module
    for name, base in EXCEPTIONS.items():
        cls = getattr(module, name, None)
        subject.require(isinstance(cls, type), f"there is no exception {name}")
        parent = Exception if base == "Exception" else getattr(module, base)
        subject.require(cls is not None and issubclass(cls, parent), f"{name} is not derived from {base}")
    names = list(EXCEPTIONS)
    for name in names:
        for other in names:
            derived = issubclass(getattr(module, name), getattr(module, other))
            subject.require(derived == (other in _ancestry(name)), f"{name} is {'' if derived else 'not '}an {other}")


def _ancestry(name: str) -> list[str]:
    found = [name]
    while EXCEPTIONS[found[-1]] != "Exception":
        found.append(EXCEPTIONS[found[-1]])
    return found


@requirement(
    "API-003",
    "A connection has the exceptions as attributes too",
    reason="code that has only the connection catches connection.Error, whatever the module's name",
    source="PEP 249, Optional DB API Extensions",
    level=1,
    keyword="SHOULD",
    profile="dbapi",
    after=("API-002",),
)
def exceptions_on_the_connection(subject: ModuleSubject) -> None:
    connection = subject.connect()
    for name in EXCEPTIONS:
        found = getattr(connection, name, None)
        subject.require(found is getattr(subject.module, name), f"connection.{name} is not the module's {name}")


@requirement(
    "API-004",
    "The module has the constructors Date, Time, Timestamp, their ...FromTicks forms, and Binary",
    reason="parameters are made by them where a database is particular about types",
    source="PEP 249, Type Objects and Constructors",
    level=0,
    profile="dbapi",
)
def constructors(subject: ModuleSubject) -> None:
    calls = {
        "Date": (2024, 2, 29), "Time": (12, 30, 1), "Timestamp": (2024, 2, 29, 12, 30, 1),
        "DateFromTicks": (86_400.0,), "TimeFromTicks": (86_400.0,), "TimestampFromTicks": (86_400.0,),
        "Binary": (b"\x00\xff",),
    }  # fmt: skip
    for name, arguments in calls.items():
        make = getattr(subject.module, name, None)
        subject.require(callable(make), f"there is no constructor {name}")
        if make is None:
            return
        try:
            subject.require(make(*arguments) is not None, f"{name}{arguments} is None")
        except TypeError as error:
            subject.fail(f"{name}{arguments} raised TypeError: {error}")


@requirement(
    "API-005",
    "The type objects STRING, BINARY, NUMBER, DATETIME and ROWID are there, and equal to a column's type code",
    reason="description[1] == NUMBER is the one portable way to tell columns apart",
    source="PEP 249, Type Objects and Constructors",
    level=1,
    keyword="SHOULD",
    profile="dbapi",
)
def type_objects(subject: ModuleSubject) -> None:
    missing = [
        name for name in ("STRING", "BINARY", "NUMBER", "DATETIME", "ROWID") if not hasattr(subject.module, name)
    ]
    subject.require(not missing, f"the module has no {', '.join(missing)}")
    connection = subject.table(rows=1)
    cursor = subject.run(connection, f"SELECT id, note FROM {subject.TABLE}")
    number, text = (column[1] for column in cursor.description)
    cursor.close()
    if number is None and text is None:
        raise NotApplicable("the columns' type codes are None, so there is nothing to compare")
    module = subject.module
    subject.require(number == module.NUMBER and number != module.STRING, "an INTEGER column's type is not NUMBER alone")
    subject.require(text == module.STRING and text != module.NUMBER, "a VARCHAR column's type is not STRING alone")


@requirement(
    "API-006",
    "Parameters are bound in the style that the module declares",
    reason="a wrong paramstyle tempts the layer above to format values into the statement",
    source="PEP 249, paramstyle",
    level=1,
    profile="dbapi",
    after=("API-001",),
)
def parameters(subject: ModuleSubject) -> None:
    mark, values = {
        "qmark": ("?, ?", (7, "it's %s ?")),
        "numeric": (":1, :2", (7, "it's %s ?")),
        "named": (":id, :note", {"id": 7, "note": "it's %s ?"}),
        "format": ("%s, %s", (7, "it's %s ?")),
        "pyformat": ("%(id)s, %(note)s", {"id": 7, "note": "it's %s ?"}),
    }[subject.module.paramstyle]
    connection = subject.table()
    subject.run(connection, f"INSERT INTO {subject.TABLE} (id, note) VALUES ({mark})", values).close()
    found = subject.rows(connection, f"SELECT id, note FROM {subject.TABLE}")
    subject.require(found == [(7, "it's %s ?")], f'(7, "it\'s %s ?") came back as {found!r:.80}')


@requirement(
    "API-007",
    "With threadsafety 1 and more, threads use connections of their own at the same time",
    reason="a server runs one connection per thread on the strength of that number",
    source="PEP 249, threadsafety",
    level=2,
    profile="dbapi",
    after=("API-001", "API-010"),
)
def threads_with_connections_of_their_own(subject: ModuleSubject) -> None:
    from conformance.probes import at_once

    if subject.module.threadsafety < 1:
        raise NotApplicable("the module declares threadsafety 0")
    subject.table(rows=3).close()

    def count(_number: int) -> int:
        connection = subject.connect()
        found = subject.count(connection)
        connection.close()
        return found

    subject.require(at_once(4, count) == [3] * 4, "threads with connections of their own got other rows")


@requirement(
    "API-008",
    "With threadsafety 2 and more, a connection works in another thread than the one that opened it",
    reason="pools hand connections from thread to thread on the strength of that number",
    source="PEP 249, threadsafety",
    level=2,
    profile="dbapi",
    after=("API-001", "API-010"),
    advice="declare 1 where connections are tied to their thread",
)
def threads_sharing_a_connection(subject: ModuleSubject) -> None:
    from conformance.probes import in_thread

    if subject.module.threadsafety < 2:
        raise NotApplicable(f"the module declares threadsafety {subject.module.threadsafety}")
    connection = subject.table(rows=3)
    try:
        found = in_thread(lambda: subject.count(connection))
    except Exception as error:
        subject.fail(
            f"threadsafety is {subject.module.threadsafety}, and another thread got {type(error).__name__}: {error}"
        )
    subject.require(found == 3, f"another thread counted {found} rows instead of 3")
