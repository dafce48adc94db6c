"""Settings are a frozen model, not a dict."""

from typing import Any

from backend_sdk import BaseBackend


class MyBackend(
    BaseBackend[dict[str, str], str, Any, Any],  # error: [type-var] subtype of "ConnectionSettings"
    vendor="my",
): ...
