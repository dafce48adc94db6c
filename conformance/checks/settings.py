"""Settings: a backend is made from them alone, and never changes them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, MutableMapping, MutableSequence, MutableSet
from typing import TYPE_CHECKING, Any, cast

from backend_sdk import (
    ConnectionSettings,
    DelegatingBackend,
    FrozenDict,
    ImproperlyConfigured,
    Options,
    SupportsExpiringCredentials,
    normalize,
)

from ..probes import opened
from ..provoke import accepted, another_name, caught, system_calls
from ..register import requirement, untested
from ..verdict import CouldNotRun, NotApplicable

if TYPE_CHECKING:
    from ..subject import Subject


def _others(subject: Subject) -> dict[str, Any]:
    """Another value for each key that says which session is meant."""
    return {
        "NAME": another_name(subject),
        "USER": "conformance_other",
        "PASSWORD": "conformance-other",
        "HOST": "conformance.invalid",
        "PORT": 65001,
    }


@requirement(
    "SET-001",
    "A backend is made from its settings alone",
    reason="the registry and pools make backends",
    source="the contract, section 2",
    level=1,
    after=("TYPE-001",),
    blame=("__init__", "settings"),
    advice="__init__ takes one argument, the settings, and keeps them; `settings` returns them",
)
def made_from_settings(subject: Subject) -> None:
    given = subject.settings()
    made = subject.backend()
    subject.require(isinstance(made.settings, ConnectionSettings), f"its settings are {type(made.settings).__name__}")
    subject.require(made.settings == given, "its settings are not those it was made from", blame="settings")


@requirement(
    "SET-002",
    "Settings cannot be changed, nor anything inside them",
    reason="they are shared by threads and key caches: a change reaches connections that are open",
    source="the contract, section 2: frozen, deeply",
    level=1,
    after=("SET-001",),
    blame=("settings",),
    advice="give nested models the base class backend_sdk.Options; leave __setattr__ alone",
)
def settings_frozen(subject: Subject) -> None:
    settings = subject.backend().settings
    for place, value in _values_in(settings, type(settings).__name__):
        mutable = isinstance(value, MutableSequence | MutableSet) or (
            isinstance(value, MutableMapping) and not isinstance(value, FrozenDict)
        )
        subject.require(not mutable, f"{place} is a {type(value).__name__}, which can be changed")
        for name in _fields_of(value):
            same = getattr(value, name)
            refusal = caught(lambda model=value, field=name, kept=same: setattr(model, field, kept))  # type: ignore[misc]  # mypy does not infer a lambda's defaults
            subject.require(refusal is not None, f"{place}.{name} can be assigned")


def _fields_of(value: object) -> list[str]:
    return list(getattr(type(value), "model_fields", {}))


def _values_in(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """*value* and what is inside it: models' fields, mappings' and sequences' items."""
    yield place, value
    for name in _fields_of(value):
        yield from _values_in(getattr(value, name), f"{place}.{name}")
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[object, Any]", value).items():
            yield from _values_in(item, f"{place}[{key!r}]")
    elif isinstance(value, list | tuple | frozenset):
        for item in cast("tuple[Any, ...]", value):
            yield from _values_in(item, f"an item of {place}")


@requirement(
    "SET-003",
    "The mapping that settings are made from is read, and neither changed nor kept",
    reason="it is the user's own DATABASES, read again for the next alias, thread and test",
    source='the mail "one app under several settings"; the contract, section 2',
    level=1,
    after=("LIFE-001",),
    blame=("__init__", "get_connection_params"),
    advice="copy before popping: options = {**mapping['OPTIONS']}",
)
def mapping_untouched(subject: Subject) -> None:
    mapping: dict[str, Any] = {"OPTIONS": {}, "TEST": {}, **copy.deepcopy(subject.mapping)}
    before = copy.deepcopy(mapping)
    make: Any = subject.cls
    backend = make(subject.target.settings_class.from_mapping(mapping))
    with opened(normalize(backend)):
        pass
    subject.require(mapping == before, f"{_changed_keys(before, mapping)} of the mapping was changed")
    settings, kept = backend.settings, _snapshot(backend.settings)
    mapping["OPTIONS"]["conformance"] = mapping["TEST"]["conformance"] = 1
    subject.require(_snapshot(settings) == kept, "a change of the mapping afterwards changed the settings")


def _changed_keys(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    return ", ".join(sorted(key for key in {*before, *after} if before.get(key) != after.get(key)))


def _snapshot(settings: ConnectionSettings) -> dict[str, str]:
    """Each field as text: equality of models would follow a change made in place."""
    return {name: repr(getattr(settings, name)) for name in type(settings).model_fields}


@requirement(
    "SET-004",
    "Equal settings give equal params",
    reason="pools key their connections by settings, and open the next one from params asked for anew",
    source="Django ticket 19274; the contract, section 2: get_connection_params",
    level=1,
    after=("SET-001",),
    blame=("get_connection_params",),
    advice="derive them from self.settings alone; name what expires in SupportsExpiringCredentials",
)
def equal_params(subject: Subject) -> None:
    first, second = subject.view(), subject.view()
    subject.require(_lasting(first) == _lasting(first), "two calls of get_connection_params gave different params")
    subject.require(_lasting(first) == _lasting(second), "two backends of equal settings gave different params")


def _lasting(view: Any) -> Any:
    """The params without those that expire."""
    params = view.get_connection_params()
    if isinstance(params, Mapping):
        known = cast("Mapping[str, Any]", params)
        return {key: value for key, value in known.items() if key not in view.expiring_params}
    return params


@requirement(
    "SET-005",
    "Changing the params that were returned changes nothing: the next call gives what the first gave",
    reason="a caller may add to them; a pool keeps them",
    source="the contract, section 2: get_connection_params",
    level=1,
    after=("SET-004",),
    blame=("get_connection_params",),
    advice="return a copy: {**self._params}, and of what is mutable inside it too",
)
def params_are_the_callers(subject: Subject) -> None:
    view = subject.view()
    before = copy.copy(_lasting(view))
    inside = {key: copy.copy(value) for key, value in before.items()} if isinstance(before, Mapping) else {}
    settings = _snapshot(view.settings)
    spoiled = view.get_connection_params()
    if isinstance(spoiled, Mapping):
        for value in cast("Mapping[str, Any]", spoiled).values():
            caught(lambda inner=value: _spoil(inner))  # type: ignore[misc]  # mypy does not infer a lambda's defaults
    caught(lambda: _spoil(spoiled))
    after = _lasting(view)
    subject.require(after == before, "after the returned params were changed the next call gave other params")
    for key, value in inside.items():
        subject.require(
            after[key] == value, f"after params[{key!r}] was changed in place the next call gave it changed"
        )
    subject.require(_snapshot(view.settings) == settings, "changing the returned params changed the settings")


def _spoil(value: Any) -> None:
    """Change a container in place."""
    if isinstance(value, MutableMapping):
        value.clear()
        value["conformance"] = 1
    elif isinstance(value, MutableSequence):
        value.append("conformance")
    elif isinstance(value, MutableSet):
        value.add("conformance")


@requirement(
    "SET-006",
    "get_connection_params and opening leave the settings as they are",
    reason="settings are shared by every wrapper and thread that uses the backend",
    source="the contract, section 2: get_connection_params must not change settings",
    level=1,
    after=("SET-001",),
    blame=("get_connection_params", "get_new_connection", "init_connection_state"),
    advice="put what is worked out into the params, not back into the settings",
)
def settings_unchanged(subject: Subject) -> None:
    view = subject.view()
    before = _snapshot(view.settings)
    view.get_connection_params()
    now = _snapshot(view.settings)
    subject.require(now == before, f"get_connection_params changed {_changed_keys(before, now)} of its settings")
    caught(lambda: view.close_connection(view.get_new_connection(view.get_connection_params())))
    now = _snapshot(view.settings)
    subject.require(now == before, f"opening changed {_changed_keys(before, now)} of the settings")


@requirement(
    "SET-007",
    "An unknown key is refused, and named",
    reason="HOTS instead of HOST connects to another server than the one that was meant",
    source="the contract, section 2: extra keys forbidden",
    level=1,
    after=("SET-001",),
    advice="leave extra='forbid' and from_mapping as ConnectionSettings has them",
)
def unknown_key(subject: Subject) -> None:
    _require_refusal(subject, {"CONFORMANCE_KEY": 1}, "CONFORMANCE_KEY")


@requirement(
    "SET-008",
    "An unknown option is refused, and named",
    reason="a misspelt option does nothing, silently",
    source="the contract, section 2: extra keys forbidden",
    level=1,
    keyword="SHOULD",
    after=("SET-001",),
    advice="declare the options as fields of a subclass of backend_sdk.Options",
    leased="when the backend is made at the latest: they are those of the backend behind it",
)
def unknown_option(subject: Subject) -> None:
    options = {**subject.mapping.get("OPTIONS", {}), "conformance_option": 1}
    _require_refusal(subject, {"OPTIONS": options}, "conformance_option")


def _require_refusal(subject: Subject, changes: dict[str, Any], named: str) -> None:
    try:
        subject.settings(**changes)
        if issubclass(subject.cls, DelegatingBackend):  # they are another one's, which it is made around
            subject.backend(**changes)
    except ImproperlyConfigured as error:
        subject.require(named in str(error), f"the refusal does not name {named}: {error}")
        return
    subject.fail(f"{named} was taken without a word")


@requirement(
    "SET-009",
    "Options are typed: fields of a subclass of Options",
    reason="a wrong value is refused when the settings are read, not by the driver in the first request",
    source="the contract, section 2: one subclass per backend with typed options",
    level=1,
    keyword="SHOULD",
    after=("SET-001",),
    advice="class MyOptions(Options, frozen=True): timeout: float = 5.0",
)
def options_typed(subject: Subject) -> None:
    annotation = subject.target.settings_class.model_fields["options"].annotation
    is_options = isinstance(annotation, type) and issubclass(annotation, Options)
    subject.require(is_options, f"options is declared as {annotation!r}")
    loose = [name for name, field in cast("Any", annotation).model_fields.items() if field.annotation is Any]
    subject.require(not loose, f"options takes anything for {', '.join(loose)}")


IMPOSSIBLE: tuple[dict[str, Any], ...] = (
    {"NAME": ""}, {"NAME": None}, {"NAME": 5}, {"HOST": ""}, {"HOST": "a,b", "PORT": (1, 2, 3)}, {"PORT": "none"},
    {"PORT": -1}, {"USER": ""}, {"PASSWORD": ""}, {"OPTIONS": None}, {"OPTIONS": "text"}, {"CONN_MAX_AGE": -1},
    {"TIME_ZONE": ""}, {"TIME_ZONE": "No/Where"}, {"AUTOCOMMIT": "perhaps"}, {"MODELS": 5}, {"TEST": 5},
)  # fmt: skip


@requirement(
    "SET-010",
    "Settings that cannot work are refused by ImproperlyConfigured, when they are read or by get_connection_params",
    reason="a KeyError out of a backend tells nobody which setting is wrong",
    source="Django ticket 19274; the contract, section 2",
    level=1,
    after=("SET-001",),
    blame=("get_connection_params", "__init__"),
    advice="check them in a validator of the settings class, and say the key and the way out",
)
def impossible_refused(subject: Subject) -> None:
    make: Any = subject.cls
    for changes in IMPOSSIBLE:
        key = next(iter(changes))
        try:
            made = make(subject.settings(**changes))
            made.get_connection_params()
        except ImproperlyConfigured as error:
            subject.require(len(str(error)) > 10, f"{key}={changes[key]!r} was refused without a reason: {error}")
        except Exception as error:
            subject.fail(f"{key}={changes[key]!r} raised {type(error).__name__}: {error}")


@requirement(
    "SET-011",
    "get_connection_params neither reads files nor connects to anything",
    reason="it is called before each open, under a pool's eyes, and is to depend on the settings alone",
    source="the contract, section 2: get_connection_params",
    level=1,
    after=("SET-004",),
    blame=("get_connection_params",),
    advice="read it when the backend is made, or declare SupportsExpiringCredentials for what must be fetched",
)
def params_without_io(subject: Subject) -> None:
    view = subject.view()
    if SupportsExpiringCredentials in view.abilities:
        raise NotApplicable("the backend declares SupportsExpiringCredentials: it has something to fetch")
    view.get_connection_params()  # what never changes may be computed once
    done = system_calls(view.get_connection_params)
    subject.require(not done, f"get_connection_params did {', '.join(done)}")


@requirement(
    "SET-012",
    "The fingerprint is the same for equal settings, and another one for another session",
    reason="it keys caches and pools: too coarse, and a tenant gets another one's connection",
    source="the contract, section 2: fingerprint",
    level=1,
    after=("SET-001",),
    blame=("settings",),
    advice="leave fingerprint and policy alone; give the classes of option values an equality and repr of their own",
)
def fingerprints(subject: Subject) -> None:
    settings = subject.settings()
    subject.require(
        settings.fingerprint == subject.settings().fingerprint, "equal settings have different fingerprints"
    )
    same = {"CONN_MAX_AGE": 77.0, "CONN_HEALTH_CHECKS": not settings.conn_health_checks}
    subject.require(
        settings.fingerprint == subject.settings(**same).fingerprint,
        "another CONN_MAX_AGE, which is no part of the session, changed the fingerprint",
    )
    for key, value in _others(subject).items():
        other = accepted(subject, **{key: value})
        if other is not None and getattr(other, key.lower()) != getattr(settings, key.lower()):
            subject.require(other.fingerprint != settings.fingerprint, f"another {key} has the same fingerprint")


@requirement(
    "SET-013",
    "What is said to expire is in the params, and nothing else of them changes",
    reason="pools compare the params without what expires; a name that is not there hides nothing",
    source="the contract, section 2: expiring credentials",
    level=1,
    after=("LIFE-001",),
    blame=("expiring_params", "get_connection_params"),
    advice="expiring_params holds the keys of get_connection_params that hold a short-lived credential",
)
def expiring(subject: Subject) -> None:
    subject.needs(SupportsExpiringCredentials)
    view = subject.view()
    params = view.get_connection_params()
    if not isinstance(params, Mapping):
        raise CouldNotRun("the params are no mapping")
    missing = sorted(view.expiring_params - set(cast("Mapping[str, Any]", params)))
    subject.require(not missing, f"{', '.join(missing)} is said to expire and is not in the params")
    fingerprint = view.settings.fingerprint
    subject.require(_lasting(view) == _lasting(view), "params that are not said to expire differ at each call")
    subject.require(view.settings.fingerprint == fingerprint, "a fresh credential changed the fingerprint")


@requirement(
    "SET-014",
    "A key that the settings take reaches the params, or is refused",
    reason="a HOST, USER or PORT that is ignored connects to something else than was asked for",
    source="the contract, section 2: settings that cannot work are refused",
    level=1,
    keyword="SHOULD",
    after=("SET-004",),
    blame=("get_connection_params",),
    advice="put it into the params, or refuse it in a validator of the settings class",
)
def keys_reach_params(subject: Subject) -> None:
    usual, ignored = _lasting(subject.opener()), list[str]()
    for key, value in _others(subject).items():
        other = accepted(subject, **{key: value})
        if other is None or getattr(other, key.lower()) == getattr(subject.settings(), key.lower()):
            continue
        if _lasting(subject.opener(**{key: value})) == usual and not _expires(subject, key):
            ignored.append(key)
    subject.require(not ignored, f"{', '.join(ignored)} is taken and changes nothing in the params")


def _expires(subject: Subject, key: str) -> bool:
    return key == "PASSWORD" and subject.has(SupportsExpiringCredentials)


@requirement(
    "SET-015",
    "A TIME_ZONE that the settings take is the session's, or is refused",
    reason="times that are off by some hours look right",
    source="Django ticket 19274: init_connection_state; the contract, section 2",
    level=1,
    keyword="SHOULD",
    after=("LIFE-001",),
    blame=("init_connection_state", "get_connection_params"),
    advice="set it in init_connection_state, or refuse TIME_ZONE in a validator of the settings class",
)
def time_zone_obeyed(subject: Subject) -> None:
    zones = [accepted(subject, TIME_ZONE=zone) for zone in ("+09:00", "-03:00")]
    if None in zones:
        zones = [accepted(subject, TIME_ZONE=zone) for zone in ("Asia/Tokyo", "America/Bogota")]
    if None in zones:
        raise NotApplicable("the backend refuses TIME_ZONE")
    hours = [_hour_in(subject, zone) for zone in zones if zone is not None]
    subject.require(
        hours[0] != hours[1],
        f"with TIME_ZONE {zones[0].time_zone!r} and {zones[1].time_zone!r} "  # type: ignore[union-attr]  # neither is None, as just asked
        f"CURRENT_TIMESTAMP is {hours[0]} alike",
    )


def _hour_in(subject: Subject, settings: ConnectionSettings) -> str:
    """Day and hour of the session's own clock, as the database writes it."""
    wrapper = subject.wrapper(TIME_ZONE=settings.time_zone)
    try:
        cursor = wrapper.cursor()
        cursor.execute("SELECT CAST(CURRENT_TIMESTAMP AS CHAR(50))")
        text = str(cursor.fetchone()[0])
        cursor.close()
    except Exception as error:
        raise CouldNotRun(f"the session's time cannot be read: {error}") from None
    finally:
        wrapper.close()
    return text[:13]


@requirement(
    "SET-016",
    "Settings derived from others differ in what was asked for, and leave the others as they are",
    reason="a test database, a replica or a tenant is the same alias with one key changed",
    source='the mail "one app under several settings"; the contract, section 2: derive',
    level=1,
    after=("TYPE-001",),
    blame=("settings",),
    advice="keep validators repeatable: one that adds a prefix adds it again to a derived copy",
    leased="its own copy has CONN_MAX_AGE 0, all else as asked for",
)
def derives(subject: Subject) -> None:
    settings = subject.settings()
    before = _snapshot(settings)
    derived = settings.derive(conn_max_age=77.0)
    subject.require(_snapshot(settings) == before, "derive() changed the settings it was asked of")
    subject.require(type(derived) is type(settings), f"derive() made a {type(derived).__name__}")
    now = _snapshot(derived)
    expected = {**before, "conn_max_age": "77.0"}
    subject.require(now == expected, f"a derived copy differs in {_changed_keys(expected, now)} too")
    make: Any = subject.cls
    if subject.leases:
        derived = settings.derive(conn_max_age=0.0, atomic_requests=True)
    changed = _changed_keys(_snapshot(derived), _snapshot(make(derived).settings))
    subject.require(make(derived).settings == derived, f"a backend of derived settings has others: {changed}")


untested(
    "SET-017",
    "Every option has the effect that it is declared to have",
    reason="an option that does nothing is worse than none",
    source="the contract, section 2: typed options",
    why="what an option is for is known to the backend's author alone",
    keyword="SHOULD",
)

untested(
    "SET-018",
    "The params do not depend on the environment or the working directory",
    reason="two processes with the same settings must reach the same database",
    source="the contract, section 2: derived from the settings alone",
    why="which variables a backend might read cannot be listed",
)
