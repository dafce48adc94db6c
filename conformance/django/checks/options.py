"""The settings: one dict for all threads, never changed, always heeded."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from conformance.probes import in_thread
from conformance.provoke import caught
from conformance.register import requirement
from conformance.verdict import CouldNotRun, NotApplicable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..subject import DjangoSubject

READERS = (
    "get_connection_params", "get_new_connection", "init_connection_state", "__init__", "connect", "ensure_connection",
    "_cursor", "create_cursor", "close", "_close", "check_settings",
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
    before = copy.deepcopy(shared)
    params = subject.wrapper().get_connection_params()
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
    if not getattr(getattr(subject.cls, "Database", None), "sqlite_version", None):
        raise CouldNotRun("the kit knows no option of this database that can be read back (on SQLite: timeout)")
    options = subject.alias_settings()["OPTIONS"]
    first, second = (subject.loose(OPTIONS={**options, "timeout": seconds}) for seconds in (1, 3))
    first.ensure_connection()
    second.ensure_connection()
    for wrapper, wanted in ((first, 1000), (second, 3000)):
        found = subject.scalar(wrapper, "PRAGMA busy_timeout")
        subject.require(
            found == wanted,
            f"timeout = {wanted // 1000} gives a session with {found} ms",
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
