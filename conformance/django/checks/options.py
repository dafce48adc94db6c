"""The settings: one dict for all threads, never changed, always heeded."""

from __future__ import annotations

import copy
import datetime
from typing import TYPE_CHECKING, Any

from conformance.probes import in_thread
from conformance.provoke import caught
from conformance.register import requirement
from conformance.verdict import NotApplicable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..subject import DjangoSubject

READERS = (
    "get_connection_params", "get_new_connection", "init_connection_state", "__init__", "connect", "ensure_connection",
    "_cursor", "create_cursor", "close", "_close", "check_settings",
)  # fmt: skip
SESSION = (
    "init_connection_state", "_configure_connection", "_configure_timezone", "_configure_role", "ensure_timezone",
    "ensure_role", "timezone_name", "timezone", "connect", "get_new_connection",
)  # fmt: skip


def through_a_life(subject: DjangoSubject, alias: str = "default") -> Any:
    """A wrapper taken from step to step; yields the name of the step just done."""
    wrapper = subject.wrapper(alias)
    yield "__init__()"
    wrapper.get_connection_params()
    yield "get_connection_params()"
    wrapper.ensure_connection()
    yield "connect()"
    subject.scalar(wrapper, f"SELECT 1{wrapper.features.bare_select_suffix}")
    yield "a query"
    wrapper.close()
    yield "close()"
    wrapper.ensure_connection()
    yield "a second connect()"


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What has become of the keys, without their values, which may be secret."""
    gone = [f"{key} is gone" for key in before if key not in after]
    new = [f"{key} is new" for key in after if key not in before]
    other = [f"{key} has changed" for key in before if key in after and before[key] != after[key]]
    return ", ".join(gone + new + other)


@requirement(
    "DJOPT-001",
    "OPTIONS stay as they were, at every step of a connection's life",
    reason="the dict is shared by all threads: what is popped from it, the second thread does not get",
    source="Django, ConnectionHandler.create_connection",
    level=1,
    profile="django",
    after=("DJLIFE-001",),
    blame=READERS,
    advice="work on a copy: options = dict(self.settings_dict['OPTIONS'])",
)
def options_stay(subject: DjangoSubject) -> None:
    shared = subject.alias_settings()
    before = copy.deepcopy(shared["OPTIONS"])
    for step in through_a_life(subject):
        changed = difference(before, shared["OPTIONS"])
        subject.require(not changed, f"after {step}, in OPTIONS: {changed}", blame="get_connection_params")


@requirement(
    "DJOPT-002",
    "USER, PASSWORD and every other key stay as they were, at every step of a connection's life",
    reason="a password that is deleted for safety's sake is missing at the second connect",
    source="Django, ConnectionHandler.create_connection",
    level=1,
    profile="django",
    after=("DJLIFE-001",),
    blame=READERS,
    advice="work on a copy of settings_dict",
)
def keys_stay(subject: DjangoSubject) -> None:
    shared = subject.alias_settings()
    before = copy.deepcopy({key: value for key, value in shared.items() if key != "OPTIONS"})
    for step in through_a_life(subject):
        changed = difference(before, {key: value for key, value in shared.items() if key != "OPTIONS"})
        subject.require(not changed, f"after {step}: {changed}", blame="get_connection_params")


@requirement(
    "DJOPT-003",
    "Every wrapper of an alias gets the same connection parameters, in a second thread and at the second call",
    reason="a default that is computed once and kept, or a value that is popped, differs from thread to thread",
    source="Django, BaseDatabaseWrapper.get_connection_params",
    level=1,
    profile="django",
    after=("DJLIFE-001",),
    blame=READERS,
)
def same_parameters(subject: DjangoSubject) -> None:
    first = subject.wrapper()
    wanted = _plain(first.get_connection_params())
    first.ensure_connection()
    again = _plain(first.get_connection_params())
    changed = difference(wanted, again)
    subject.require(
        not changed, f"the second call of get_connection_params(): {changed}", blame="get_connection_params"
    )
    elsewhere = in_thread(lambda: _plain(subject.cls(subject.alias_settings(), "default").get_connection_params()))
    changed = difference(wanted, elsewhere)
    subject.require(not changed, f"a second thread's connection parameters: {changed}", blame="get_connection_params")


def _plain(params: Any) -> dict[str, Any]:
    """The values that can be compared: a factory or an adapter is made anew each time."""
    if not isinstance(params, dict):
        raise NotApplicable(f"get_connection_params() returns a {type(params).__name__}")
    simple = (str, int, float, bool, bytes, type(None), list, tuple, dict)
    return {key: copy.deepcopy(value) for key, value in params.items() if isinstance(value, simple)}


@requirement(
    "DJOPT-004",
    "What a caller does to the connection parameters changes no settings",
    reason="pools and clients edit what they get",
    source="Django, BaseDatabaseWrapper.get_connection_params",
    level=1,
    profile="django",
    after=("DJLIFE-001",),
    blame=("get_connection_params",),
    advice="return a new dict: {**self.settings_dict['OPTIONS']}",
)
def parameters_are_the_callers(subject: DjangoSubject) -> None:
    shared = subject.alias_settings()
    params = subject.wrapper().get_connection_params()
    before = copy.deepcopy(shared)  # what the engine itself has changed by now is DJOPT-001's and DJOPT-002's
    if not isinstance(params, dict):
        raise NotApplicable(f"get_connection_params() returns a {type(params).__name__}")
    params["conformance"] = "changed"
    for key in list(params):
        del params[key]
    changed = difference(before, shared)
    subject.require(not changed, f"changing the connection parameters changed the settings: {changed}")


@requirement(
    "DJOPT-005",
    "copy() of a wrapper that has been connected gives a fresh, working one with settings of its own",
    reason="parallel tests and live-server tests stand on it",
    source="Django, BaseDatabaseWrapper.copy",
    level=1,
    profile="django",
    after=("DJLIFE-001",),
    blame=("copy", "__init__", *READERS),
)
def copies(subject: DjangoSubject) -> None:
    wrapper = subject.wrapper()
    wrapper.ensure_connection()
    try:
        made = wrapper.copy(alias="copied")
    except Exception as error:
        subject.fail(f"copy() after a connect raised {type(error).__name__}: {error}", blame="copy")
    subject.require(
        made.alias == "copied" and wrapper.alias == "default", f"copy('copied') has the alias {made.alias!r}"
    )
    subject.require(made.connection is None, "a copy has a connection", blame="copy")
    subject.require(made.settings_dict == wrapper.settings_dict, "a copy has other settings", blame="copy")
    made.settings_dict["OPTIONS"]["conformance"] = 1
    shared = "conformance" in wrapper.settings_dict["OPTIONS"]
    del made.settings_dict["OPTIONS"]["conformance"]
    subject.require(not shared, "a copy shares its OPTIONS with the original", blame="copy")
    found = subject.scalar(made, f"SELECT 1{made.features.bare_select_suffix}")
    made.close()
    subject.require(found == 1, f"a copy's SELECT 1 returned {found!r}", blame="copy")


@requirement(
    "DJOPT-006",
    "An option that nobody knows is refused, not ignored",
    reason="a misspelled sslmode leaves the connection unencrypted",
    source="Django docs, settings: OPTIONS",
    level=1,
    keyword="SHOULD",
    profile="django",
    after=("DJLIFE-001",),
    blame=("get_connection_params", "get_new_connection"),
    advice="hand every option on to the driver, or check their names",
)
def unknown_options(subject: DjangoSubject) -> None:
    options = {**subject.alias_settings()["OPTIONS"], "conformance_misspelled": 1}
    wrapper = subject.loose(OPTIONS=options)
    error = caught(wrapper.ensure_connection)
    subject.require(error is not None, "a connection was opened with an option that nobody knows")


@requirement(
    "DJOPT-007",
    "Of two wrappers with different options each gets its own",
    reason="options that are kept in a class or in the driver's module are those of whoever came last",
    source="Django docs, settings: OPTIONS",
    level=1,
    profile="django",
    after=("DJLIFE-001",),
    blame=READERS,
)
def options_apart(subject: DjangoSubject) -> None:
    statement, choices = subject.support("readable_options")()
    wrappers: list[Any] = []
    for number, (changes, _) in enumerate(choices):
        # Two aliases, since a pool may be one per alias, with the settings of one.
        wrappers.append(
            subject.loose(f"conformance_{number}", OPTIONS={**subject.alias_settings()["OPTIONS"], **changes})
        )
        wrappers[-1].ensure_connection()
    for wrapper, (changes, wanted) in zip(wrappers, choices, strict=True):
        found = subject.in_session(wrapper, statement)
        option = ", ".join(f"{key} = {value!r}" for key, value in changes.items())
        subject.require(
            found == wanted,
            f"with {option}, {statement!r} in the session says {found!r} instead of {wanted!r}",
            blame="get_connection_params",
        )


@requirement(
    "DJOPT-008",
    "Neither an error nor the repr of a wrapper shows the password",
    reason="both end up in logs and on error pages",
    source="the contract, section 2: settings",
    level=1,
    profile="strict",
    after=("DJLIFE-001",),
    blame=("__repr__", "get_connection_params", "get_new_connection"),
)
def password_stays_hidden(subject: DjangoSubject) -> None:
    secret = "conformance-secret-7391"
    changes: dict[str, Any] = {"PASSWORD": secret, "NAME": str(subject.workdir / "no such folder" / "x")}
    wrapper = subject.loose(**changes)
    subject.require(secret not in repr(wrapper), "the wrapper's repr shows the password", blame="__repr__")
    error: BaseException | None = caught(wrapper.ensure_connection)
    while error is not None:
        subject.require(secret not in f"{error!r}{error}", "the error of a failed open shows the password")
        error = error.__cause__ or error.__context__


@requirement(
    "DJOPT-009",
    "The session's time zone is the one that the settings ask for, in every session and whatever is rolled back",
    reason="where an engine's own name collides with Django's, TIME_ZONE is silently never applied",
    source="Django docs, settings: TIME_ZONE (of a database)",
    level=1,
    profile="django",
    after=("DJLIFE-001",),
    blame=SESSION,
    advice="call super().init_connection_state(), and give the engine's own attributes other names than Django's",
)
def time_zone_of_the_session(subject: DjangoSubject) -> None:
    if not subject.cls.features_class.supports_timezones:
        raise NotApplicable("the engine's features say supports_timezones = False")
    statement = subject.support("time_zone_statement")()
    subject.use_time_zones()
    for zone in ("Asia/Tokyo", "America/Lima"):
        for autocommit in (True, False):
            wrapper = subject.loose(f"{zone} {autocommit}", TIME_ZONE=zone, AUTOCOMMIT=autocommit)
            for moment in ("after the first open", "after close() and a second open"):
                wrapper.ensure_connection()
                if not autocommit:
                    wrapper.rollback()
                found = subject.in_session(wrapper, statement)
                subject.require(
                    found == zone,
                    f"{moment}, with TIME_ZONE = {zone!r} and AUTOCOMMIT = {autocommit}, {statement!r} says {found!r}",
                )
                wrapper.close()


@requirement(
    "DJOPT-010",
    "The role that the options ask for is the session's, in every session and whatever is rolled back",
    reason="without it, the login role's rights hold: too many of them, or too few",
    source="Django docs, databases: PostgreSQL, role",
    level=1,
    profile="django",
    after=("DJLIFE-001",),
    blame=SESSION,
    advice="call super().init_connection_state(), and give the engine's own attributes other names than Django's",
)
def role_of_the_session(subject: DjangoSubject) -> None:
    role = getattr(subject.target.support, "role", None)
    if role is None:
        raise NotApplicable("the kit knows of no option of this database that asks for a role")
    subject.loose().ensure_connection()
    with role(subject.mapping) as (changes, statement, wanted):
        for autocommit in (True, False):
            options = {**subject.alias_settings()["OPTIONS"], **changes}
            wrapper = subject.loose(f"role {autocommit}", OPTIONS=options, AUTOCOMMIT=autocommit)
            for moment in ("after the first open", "after close() and a second open"):
                error = caught(wrapper.ensure_connection)
                subject.require(error is None, f"with {', '.join(changes)} no connection can be opened: {error}")
                if not autocommit:
                    wrapper.rollback()
                found = subject.in_session(wrapper, statement)
                subject.require(
                    found == wanted,
                    f"{moment}, with {', '.join(changes)} and AUTOCOMMIT = {autocommit}, the session works as another "
                    "role",
                )
                wrapper.close()
        subject.let_go()  # a role that a session works as cannot be dropped


@requirement(
    "DJOPT-011",
    "Where the database has no time zones, datetimes are written in the alias's TIME_ZONE",
    reason="other programs read the same table, and take them for that zone's",
    source="Django docs, settings: TIME_ZONE (of a database)",
    level=1,
    profile="django",
    after=("DJLIFE-001",),
    blame=("timezone", "timezone_name", "__init__", "init_connection_state"),
)
def time_zone_of_datetimes(subject: DjangoSubject) -> None:
    if subject.cls.features_class.supports_timezones:
        raise NotApplicable("the engine's features say supports_timezones = True")
    subject.use_time_zones()
    subject.create_table()
    noon = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
    for number, (zone, wanted) in enumerate((("Asia/Tokyo", "2026-01-01 21:00"), ("America/Lima", "2026-01-01 07:00"))):
        wrapper = subject.wrapper(TIME_ZONE=zone)
        with wrapper.cursor() as cursor:
            value = wrapper.ops.adapt_datetimefield_value(noon)
            cursor.execute(f"INSERT INTO {subject.TABLE} (id, note) VALUES ({number}, %s)", [value])
        written = str(subject.witnessed(f"SELECT note FROM {subject.TABLE} WHERE id = {number}"))
        subject.require(
            written.startswith(wanted), f"with TIME_ZONE = {zone!r}, noon in UTC was written as {written!r}"
        )
