"""Wrong with secrets: each shows the password somewhere. Their base is right, and takes a password."""

from __future__ import annotations

import logging
import sqlite3
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypedDict

from typing_extensions import override

from backend_sdk import BaseBackend, ConnectionSettings, ImproperlyConfigured

from ...supports.sqlite import SQLiteSupport
from ..baseline import BaselineBackend, BaselineCursor, BaselineOptions, BaselineSettings
from . import mutant
from .settings import made_from


class LockedSettings(BaselineSettings, frozen=True):
    refused: ClassVar[tuple[str, ...]] = ("user", "host", "port", "time_zone")


class LockedParams(TypedDict):
    database: str
    password: str


class LockedSupport(SQLiteSupport):
    @override
    def database(self, mapping: Mapping[str, Any], workdir: Path) -> AbstractContextManager[Mapping[str, Any]]:
        return nullcontext({**mapping, "NAME": str(workdir / "locked.db"), "PASSWORD": "open sesame"})


class LockedBackend(BaseBackend[LockedSettings, LockedParams, sqlite3.Connection, BaselineCursor], vendor="locked"):
    """Right. Its params hold a password, as a server's do."""

    test_support = "conformance.selftest.mutants.secrets:LockedSupport"

    def __init_subclass__(cls, *, vendor: str = "locked", **options: Any) -> None:
        super().__init_subclass__(vendor=vendor, **options)

    @override
    def get_connection_params(self) -> LockedParams:
        return {"database": self.settings.name, "password": self.settings.reveal_password()}

    @override
    def get_new_connection(self, params: LockedParams, /) -> sqlite3.Connection:
        return sqlite3.connect(params["database"], isolation_level=None, check_same_thread=False)

    @override
    def init_connection_state(self, connection: sqlite3.Connection, /) -> None:
        connection.execute("PRAGMA foreign_keys = ON").close()

    @override
    def _cursor(self, connection: sqlite3.Connection, /) -> BaselineCursor:
        return BaselineCursor(connection)


class PlainSettings(LockedSettings, frozen=True):
    password: str = ""  # type: ignore[assignment]  # the defect

    @override
    def reveal_password(self) -> str:
        return self.password


def _takes(settings: type[ConnectionSettings]) -> Any:
    """As `made_from`, for backends on `LockedBackend`."""
    give: Any = made_from
    return give(settings)


@mutant("SEC-001", says="the password is in the settings' model_dump()")
@_takes(PlainSettings)
class PasswordAsText(LockedBackend):
    """Its settings hold the password as plain text."""


@mutant("SEC-001", says="the password is in repr() of the backend")
class ReprOfParams(LockedBackend):
    """Its repr shows its params."""

    @override
    def __repr__(self) -> str:
        return f"ReprOfParams({self.get_connection_params()})"


@dataclass
class Attempt:
    """What the SDK cannot look into: an object of the author's."""

    params: LockedParams


@mutant("SEC-002", says="the password is in str() of the error")
class ErrorWithParams(LockedBackend):
    """It packs its params into the error of a refused connection."""

    @override
    def get_new_connection(self, params: LockedParams, /) -> sqlite3.Connection:
        try:
            return super().get_new_connection(params)
        except sqlite3.Error as error:
            raise sqlite3.OperationalError("cannot connect", Attempt(params)) from error


@mutant("SEC-002", says="the password is in the attributes of the cause of the error")
class ErrorWithAttribute(LockedBackend):
    """It hangs its params on the driver's error."""

    @override
    def get_new_connection(self, params: LockedParams, /) -> sqlite3.Connection:
        try:
            return super().get_new_connection(params)
        except sqlite3.Error as error:
            error.attempt = Attempt(params)  # type: ignore[attr-defined]  # the defect
            raise


@mutant("SEC-010", says="the attribute _attempt of a OperationalError")
class ErrorWithPrivateAttribute(LockedBackend):
    """It hangs its params on the driver's error, under a private name."""

    @override
    def get_new_connection(self, params: LockedParams, /) -> sqlite3.Connection:
        try:
            return super().get_new_connection(params)
        except sqlite3.Error as error:
            error._attempt = Attempt(params)  # type: ignore[attr-defined]  # the defect
            raise


class TellingError(sqlite3.OperationalError):
    def __init__(self, attempt: Attempt) -> None:
        super().__init__("cannot connect")
        self.attempt = attempt

    @override
    def __str__(self) -> str:
        return f"cannot connect with {self.attempt.params}"


@mutant("SEC-003", says="the password is in the traceback")
class ErrorThatTells(LockedBackend):
    """It raises an error of its own whose text is made from the params."""

    @override
    def get_new_connection(self, params: LockedParams, /) -> sqlite3.Connection:
        try:
            return super().get_new_connection(params)
        except sqlite3.Error as error:
            raise TellingError(Attempt(params)) from error


@mutant("SEC-004", says="the password is in what the logger 'locked' was told")
class LogsParams(LockedBackend):
    """It logs its params when debugging."""

    @override
    def get_new_connection(self, params: LockedParams, /) -> sqlite3.Connection:
        logging.getLogger("locked").debug("connecting with %s", params)
        return super().get_new_connection(params)


@mutant("SEC-005", says="the password is in a UserWarning")
class WarnsOfPassword(LockedBackend):
    """It warns of a weak password, and shows it."""

    @override
    def get_connection_params(self) -> LockedParams:
        params = super().get_connection_params()
        if len(params["password"]) < 40:
            warnings.warn(f"weak password {params['password']!r}", UserWarning, stacklevel=2)
        return params


@mutant("SEC-006", says="the password is in what was printed")
class PrintsParams(LockedBackend):
    """It prints its params."""

    @override
    def get_new_connection(self, params: LockedParams, /) -> sqlite3.Connection:
        print("connecting with", params)
        return super().get_new_connection(params)


@mutant("SEC-007", says="the password is in the refusal of PASSWORD")
class RefusalShowsPassword(LockedBackend):
    """It repeats the password that it refuses."""

    def __init__(self, settings: LockedSettings) -> None:
        super().__init__(settings)
        password = settings.reveal_password()
        if "%" in password:
            raise ImproperlyConfigured(f"PASSWORD {password!r} has a percent sign in it")


class ReadableSettings(LockedSettings, frozen=True):
    @cached_property
    @override
    def fingerprint(self) -> str:
        return f"{self.name}|{self.reveal_password()}"


@mutant("SEC-008", says="the password is in the fingerprint")
@_takes(ReadableSettings)
class ReadableFingerprint(LockedBackend):
    """Its fingerprint is its name and password."""


class NamelessSettings(LockedSettings, frozen=True):
    policy: ClassVar[frozenset[str]] = ConnectionSettings.policy | {"password"}


@mutant("SEC-008", says="another password has the same fingerprint")
@_takes(NamelessSettings)
class FingerprintWithoutPassword(LockedBackend):
    """Its fingerprint leaves the password out: whoever has a wrong one gets the connection of the right one."""


class KeyOptions(BaselineOptions, frozen=True):
    key_passphrase: str = ""


class KeySettings(BaselineSettings, frozen=True):
    options: KeyOptions = KeyOptions()


@mutant("SEC-009", says="the option key_passphrase is declared as")
@made_from(KeySettings)
class OpenOption(BaselineBackend):
    """An option that holds a secret is plain text."""
