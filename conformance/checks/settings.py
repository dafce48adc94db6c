"""Settings: a backend is made from them alone, and never changes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend_sdk import ConnectionSettings

from ..register import requirement

if TYPE_CHECKING:
    from ..subject import Subject


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
