"""Imports and types: what can be said before anything is opened."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from backend_sdk import ABILITIES, BaseBackend, DelegatingBackend, declared_abilities, missing_members

from ..register import requirement, untested
from ..verdict import NotApplicable

if TYPE_CHECKING:
    from ..subject import Subject

FOUR = {"get_connection_params": 0, "get_new_connection": 1, "init_connection_state": 1, "_cursor": 1}


@requirement(
    "TYPE-001",
    "The class has settings and the four methods of the contract, with the right number of arguments",
    reason="the SDK calls them by position",
    source="the contract, section 2",
    level=0,
    blame=("settings", *FOUR),
    advice="see backend_sdk.protocols.Backend",
)
def has_members(subject: Subject) -> None:
    missing = missing_members(subject.cls)
    subject.require(not missing, f"it lacks {', '.join(missing)}")
    for name, count in FOUR.items():
        _require_callable(subject, name, count)


def _require_callable(subject: Subject, name: str, count: int) -> None:
    """*name* is a plain method that takes *count* arguments besides self."""
    static = inspect.getattr_static(subject.cls, name)
    function: Any = getattr(subject.cls, name)
    if isinstance(static, property) or not callable(function):
        subject.fail(f"{name} is not a method", blame=name)
    given = count if isinstance(static, staticmethod | classmethod) else count + 1
    try:
        inspect.signature(function).bind(*([None] * given))
    except TypeError as error:
        subject.fail(f"{name} cannot be called with {count} argument(s) besides self: {error}", blame=name)
    asynchronous = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    subject.require(not asynchronous, f"{name} is a coroutine function", blame=name, advice="write it as a plain def")
    subject.require(not inspect.isgeneratorfunction(function), f"{name} is a generator function", blame=name)


def _members(ability: Any) -> Iterator[tuple[str, int | None]]:
    """An ability's members: the name, and how many arguments it takes, or None for a property."""
    for name in sorted(ability.__abstractmethods__):
        member = inspect.getattr_static(ability, name)
        plain = isinstance(member, property)
        yield name, None if plain else len(inspect.signature(member).parameters) - 1


@requirement(
    "TYPE-002",
    "Each declared ability's members are there, with the right number of arguments",
    reason="they are called by position, often in a rare moment: a lost connection, a full pool",
    source="the contract, section 2: optional abilities",
    level=0,
    after=("TYPE-001",),
    advice="compare the member with its Supports... protocol in backend_sdk.protocols",
)
def declared_members(subject: Subject) -> None:
    for ability in declared_abilities(subject.cls):
        for name, count in _members(ability):
            if count is not None:
                _require_callable(subject, name, count)
                continue
            member = inspect.getattr_static(subject.cls, name)
            is_method = inspect.isroutine(member)
            subject.require(
                not is_method,
                f"{name} of {ability.__name__} is a method, not a property",
                blame=name,
                advice="add @property",
            )


@requirement(
    "TYPE-003",
    "An ability that the class has is declared",
    reason="the SDK and every pool ask the declaration; an ability that works but is not declared is lost to them",
    source="the contract, section 2: optional abilities",
    level=0,
    keyword="SHOULD",
    after=("TYPE-001",),
    advice="inherit the Supports... protocol, before the base class",
)
def abilities_declared(subject: Subject) -> None:
    declared = declared_abilities(subject.cls)
    if issubclass(subject.cls, DelegatingBackend):  # it may hand on in a way of its own what it has from inside
        declared |= subject.view().abilities
    for ability in ABILITIES:
        names = [name for name, _ in _members(ability)]
        if ability not in declared and all(_is_authors(subject.cls, name) for name in names):
            subject.fail(f"it defines {', '.join(names)} and does not declare {ability.__name__}", blame=names[0])


def _is_authors(cls: type, name: str) -> bool:
    """Whether *name* is defined by somebody else than the SDK."""
    for base in cls.__mro__:
        if name in vars(base):
            module = getattr(vars(base)[name], "__module__", None) or base.__module__  # the SDK puts some in itself
            return not {base.__module__.partition(".")[0], module.partition(".")[0]} & {"backend_sdk", "builtins"}
    return False


@requirement(
    "TYPE-004",
    "settings is read-only",
    reason="caches and pools are keyed by the settings; a backend whose settings change is found under the wrong key",
    source="the contract, section 1: frozen settings",
    level=1,
    keyword="SHOULD",
    after=("TYPE-001", "SET-001"),
    blame=("settings",),
    advice="make it a property without a setter",
)
def settings_read_only(subject: Subject) -> None:
    backend: Any = subject.backend()
    before = backend.settings
    try:
        backend.settings = subject.settings()
    except (AttributeError, TypeError):
        return
    subject.require(backend.settings is before, "another settings object could be assigned to backend.settings")


@requirement(
    "TYPE-005",
    "The contract's methods say the types of their arguments and results",
    reason="without them the types of the connection and the cursor are lost to every user of the backend",
    source="the contract, section 2; PEP 484",
    level=0,
    keyword="SHOULD",
    after=("TYPE-001",),
    advice="annotate the method; mypy --strict tells where",
)
def annotated(subject: Subject) -> None:
    for name in FOUR:
        signature = inspect.signature(getattr(subject.cls, name))
        bare = [entry.name for entry in list(signature.parameters.values())[1:] if entry.annotation is entry.empty]
        subject.require(not bare, f"{name} does not say the type of {', '.join(bare)}", blame=name)
        subject.require(
            signature.return_annotation is not signature.empty, f"{name} does not say what it returns", blame=name
        )


@requirement(
    "TYPE-006",
    "Methods that must not be replaced are left as they are",
    reason="hash, equality and settings of a backend are what registries and pools rely on",
    source="the contract, section 2: @final",
    level=0,
    after=("TYPE-001",),
    advice="remove the override; what differs between backends belongs into the other methods",
)
def finals_kept(subject: Subject) -> None:
    if not issubclass(subject.cls, BaseBackend):
        raise NotApplicable("the class does not inherit BaseBackend")
    for base in subject.cls.__mro__[: subject.cls.__mro__.index(BaseBackend)]:
        for name in vars(base):
            original = vars(BaseBackend).get(name)
            function = original.fget if isinstance(original, property) else original
            if getattr(function, "__final__", False):
                subject.fail(f"{base.__qualname__} replaces {name}, which BaseBackend marks as final", blame=name)


untested(
    "TYPE-007",
    "The author's module passes mypy --strict and pyright",
    reason="wrong types are found by the author, not by the first user",
    source="the contract, section 2",
    why="a cold run of a type checker takes longer than all checks together; run it over the backend's own source",
    level=0,
    keyword="SHOULD",
)
