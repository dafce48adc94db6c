"""PEP 249's level is a property: a bound method would be compared with a number."""

from typing_extensions import override

from backend_sdk import SupportsThreadSafety


class Plain(SupportsThreadSafety):
    @override
    def threadsafety(self) -> int:  # error: [override] "threadsafety"
        return 1
