"""A Django engine, seen by a check."""

from __future__ import annotations

import importlib
import zoneinfo
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from ..judged import traceback_functions
from ..verdict import CouldNotRun, NotApplicable, Violation
from .statements import Statements

__all__ = ["DjangoSubject"]


class DjangoSubject(Statements):
    """One check's view: Django configured with the author's settings, and a witness beside it."""

    # What it can do

    def support(self, name: str) -> Any:
        method = getattr(self.target.support, name, None)
        if method is None:
            raise CouldNotRun(f"lacks {name}(): give CONFORMANCE.test_support a class that has it")
        return method

    def sessions(self) -> int:
        count: int = self.support("sessions")(self.mapping)
        return count

    def kill(self, wrapper: Any, connection: Any = None) -> None:
        """End the session of *wrapper* from outside, by the support's means or by closing the driver's connection.

        *connection*: the one that it had, where a pool may have it back by now.
        """
        held = wrapper.connection if connection is None else connection
        end = getattr(self.target.support, "terminate", None)
        if end is None:
            held.close()
            return
        try:
            end(self.mapping, held)
        except Exception as error:  # the support's own failure is none of the engine's
            raise CouldNotRun(f"terminate() of the test support raised {type(error).__name__}: {error}") from error

    def needs_transactions(self) -> None:
        """Not applicable to an engine that says it has none; Django's own probing is no saying."""
        if self.declares_no("supports_transactions"):
            raise NotApplicable("the engine's features say supports_transactions = False")

    def needs_savepoints(self) -> None:
        self.needs_transactions()
        if not self.loose().features.uses_savepoints:
            raise NotApplicable("the engine's features say uses_savepoints = False")

    def declares_no(self, feature: str) -> bool:
        for cls in self.cls.features_class.__mro__:
            if feature in vars(cls):
                return vars(cls)[feature] is False
        return False

    def needs_a_session_to_lose(self) -> None:
        """A file has none, unless its support says otherwise; Django's own sqlite3 calls every connection usable."""
        if self.is_file and not getattr(self.target.support, "loses_sessions", False):
            raise NotApplicable("a file has no session that can be lost")

    def use_time_zones(self) -> None:
        """USE_TZ, without which an alias has no TIME_ZONE; for this check, whose process is its own."""
        try:
            zoneinfo.ZoneInfo("Asia/Tokyo")
        except zoneinfo.ZoneInfoNotFoundError:
            raise CouldNotRun("Python knows no time zones here: pip install tzdata") from None
        importlib.import_module("django.conf").settings.USE_TZ = True

    # Saying what is wrong

    def fail(self, observed: str, *, blame: str = "", advice: str = "", where: str = "") -> NoReturn:
        raise Violation(observed, blame=blame, advice=advice, where=where)

    def require(self, condition: object, observed: str, *, blame: str = "", advice: str = "") -> None:
        if not condition:
            raise Violation(observed, blame=blame, advice=advice)

    def require_django_error(self, what: str, call: Callable[[], object], name: str = "Error") -> Any:
        """*call* raises Django's error *name*; returns it. Its cause has to be the driver's, where there is one."""
        wanted = getattr(self.db.utils, name)
        try:
            call()
        except wanted as error:
            return error
        except Exception as error:
            kind = f"{type(error).__module__}.{type(error).__qualname__}"
            raise Violation(f"{what} raised {kind}, not django.db.utils.{name}: {error}") from error
        raise Violation(f"{what} raised nothing")

    # For the machinery

    def secret_texts(self) -> Iterable[str]:
        tables = self.target.settings["DATABASES"].values()
        options = [table.get("OPTIONS", {}) for table in tables]
        found = [table.get("PASSWORD") for table in tables]
        found += [table.get(key) for table in options for key in ("password", "passwd", "pwd", "token", "secret")]
        return [str(text) for text in found if text]

    def author_files(self) -> set[str]:
        return self.target.author_files()

    def blamed(self, methods: Iterable[str], profile: str) -> tuple[str, str]:
        return self.target.blamed(methods, profile)

    def excuses(self, inherited: str) -> bool:
        return bool(inherited)

    def unreachable(self, error: BaseException) -> str:
        host = self.mapping.get("HOST")
        at_connect = "get_new_connection" in traceback_functions(error.__traceback__)
        if not host or not at_connect or not isinstance(error, self.db.utils.OperationalError):
            return ""
        return f"{host}:{self.mapping['PORT']}" if self.mapping.get("PORT") else str(host)

    def is_targets_error(self, error: BaseException) -> bool:
        return isinstance(error, (self.db.utils.Error, getattr(getattr(self.cls, "Database", None), "Error", ())))
