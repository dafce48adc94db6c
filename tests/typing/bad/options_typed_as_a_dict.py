"""A subclass types its options as a dict, which is neither frozen nor checked."""

from typing import Any

from backend_sdk import ConnectionSettings


class MySettings(ConnectionSettings, frozen=True):
    options: dict[str, Any] = {}  # error: [assignment] base class "ConnectionSettings" defined the type as "Options"
