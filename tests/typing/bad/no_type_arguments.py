"""Without type arguments nothing is checked, so leaving them out is an error of its own."""

from backend_sdk import BaseBackend


class MyBackend(BaseBackend, vendor="my"):  # error: [type-arg] Missing type arguments
    def get_connection_params(self) -> str:
        return "app"


# silent in pyright: outside its strict mode it takes what is left out for Unknown
