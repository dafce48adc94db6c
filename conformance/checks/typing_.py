"""Imports and types: what can be said before anything is opened."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from backend_sdk import missing_members

from ..register import requirement

if TYPE_CHECKING:
    from ..subject import Subject

FOUR = {"get_connection_params": 0, "get_new_connection": 1, "init_connection_state": 1, "_cursor": 1}


@requirement(
    "TYPE-001",
    "The class has settings and the four methods of the contract, with the right number of arguments",
    reason="the SDK calls them by position",
    source="the contract, section 2",
    level=0,
    advice="see backend_sdk.protocols.Backend",
)
def has_members(subject: Subject) -> None:
    missing = missing_members(subject.cls)
    subject.require(not missing, f"it lacks {', '.join(missing)}")
    for name, count in FOUR.items():
        function = getattr(subject.cls, name)
        try:
            inspect.signature(function).bind(*([None] * (count + 1)))
        except TypeError as error:
            subject.fail(f"{name} cannot be called with {count} argument(s) besides self: {error}", blame=name)
        subject.require(not inspect.iscoroutinefunction(function), f"{name} is a coroutine function", blame=name)
