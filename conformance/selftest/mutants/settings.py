"""Wrong in their settings: too open, changed on the way, or not what the params are made from."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, field_validator
from typing_extensions import override

from backend_sdk import ConnectionSettings, SupportsExpiringCredentials

from ..baseline import BaselineBackend, BaselineOptions, BaselineParams, BaselineSettings
from . import mutant

T = TypeVar("T", bound=type[BaselineBackend])


def made_from(settings: type[BaselineSettings]) -> Callable[[T], T]:
    """Give the decorated class other settings than its base's."""

    def give(cls: T) -> T:
        cls.settings_class = settings
        return cls

    return give


class PrefixingSettings(BaselineSettings, frozen=True):
    @field_validator("models", mode="after")
    @classmethod
    def _with_prefix(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return ("conformance", *value)


@mutant("SET-001", says="not those it was made from")
@mutant("SET-016", says="a derived copy differs in models too")
@made_from(PrefixingSettings)
class ValidatorAddsAgain(BaselineBackend):
    """A validator of its settings adds to a value each time it runs."""


class Nested(BaseModel):
    size: int = 4


class NestedOptions(BaselineOptions, frozen=True):
    pool: Nested = Nested()


class NestedSettings(BaselineSettings, frozen=True):
    options: NestedOptions = NestedOptions()


@mutant("SET-002", says="options.pool.size can be assigned")
@made_from(NestedSettings)
class NestedModelMutable(BaselineBackend):
    """A model inside the options can be changed."""


class OpenSettings(BaselineSettings, frozen=True):
    @override
    def __setattr__(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


@mutant("SET-002", says="OpenSettings.engine can be assigned")
@made_from(OpenSettings)
class SettingsMutable(BaselineBackend):
    """Its settings take assignments."""


class PoppingSettings(BaselineSettings, frozen=True):
    @classmethod
    @override
    def from_mapping(cls, mapping: Mapping[str, object], *, alias: str = "default") -> Self:
        options: Any = mapping.get("OPTIONS", {})
        options.setdefault("timeout", 5.0)
        return super().from_mapping(mapping, alias=alias)


@mutant("SET-003", says="OPTIONS of the mapping was changed")
@made_from(PoppingSettings)
class FillsTheMapping(BaselineBackend):
    """Its settings write defaults into the user's mapping."""


class KeepingSettings(BaselineSettings, frozen=True):
    @classmethod
    @override
    def from_mapping(cls, mapping: Mapping[str, object], *, alias: str = "default") -> Self:
        made = super().from_mapping(mapping, alias=alias)
        object.__setattr__(made, "test", mapping.get("TEST", {}))
        return made

    @override
    def derive(self, **changes: Any) -> Self:
        return self


@mutant("SET-003", says="a change of the mapping afterwards changed the settings")
@made_from(KeepingSettings)
class KeepsTheMapping(BaselineBackend):
    """Its settings keep a part of the user's mapping as it is."""


@mutant("SET-004", says="two calls of get_connection_params gave different params")
class ParamsCount(BaselineBackend):
    """Its params hold a number that grows."""

    numbers: ClassVar[itertools.count[int]] = itertools.count()

    @override
    def get_connection_params(self) -> BaselineParams:
        return {**super().get_connection_params(), "timeout": 5.0 + next(self.numbers)}


@mutant("SET-004", says="two backends of equal settings gave different params")
class ParamsOfTheInstance(BaselineBackend):
    """Its params hold what each instance has of its own."""

    numbers: ClassVar[itertools.count[int]] = itertools.count()

    def __init__(self, settings: BaselineSettings) -> None:
        super().__init__(settings)
        self._number = next(self.numbers)

    @override
    def get_connection_params(self) -> BaselineParams:
        return {**super().get_connection_params(), "timeout": 5.0 + self._number}


@mutant("SET-005", says="the next call gave other params")
class ParamsShared(BaselineBackend):
    """It hands out the dictionary that it keeps."""

    def __init__(self, settings: BaselineSettings) -> None:
        super().__init__(settings)
        self._params = super().get_connection_params()

    @override
    def get_connection_params(self) -> BaselineParams:
        return self._params


@mutant("SET-005", says="was changed in place")
class ParamsSharedInside(BaselineBackend):
    """It copies its params, and not the list inside them."""

    def __init__(self, settings: BaselineSettings) -> None:
        super().__init__(settings)
        self._pragmas = ["foreign_keys = ON"]

    @override
    def get_connection_params(self) -> Any:
        return {**super().get_connection_params(), "pragmas": self._pragmas}

    @override
    def get_new_connection(self, params: Any, /) -> sqlite3.Connection:
        own: Any = {key: value for key, value in params.items() if key != "pragmas"}
        return super().get_new_connection(own)


@mutant("SET-006", says="get_connection_params changed time_zone")
class ParamsChangeSettings(BaselineBackend):
    """get_connection_params fills a default into its settings."""

    @override
    def get_connection_params(self) -> BaselineParams:
        object.__setattr__(self.settings, "time_zone", "UTC")
        return super().get_connection_params()


@mutant("SET-006", says="opening changed user")
class OpenChangesSettings(BaselineBackend):
    """init_connection_state notes in its settings who it is, for the next time."""

    @override
    def get_new_connection(self, params: BaselineParams, /) -> sqlite3.Connection:
        object.__setattr__(self.settings, "user", "me")
        return super().get_new_connection(params)


class TolerantSettings(BaselineSettings, frozen=True):
    @classmethod
    @override
    def from_mapping(cls, mapping: Mapping[str, object], *, alias: str = "default") -> Self:
        known = {key: value for key, value in mapping.items() if key.lower() in cls.model_fields}
        return super().from_mapping(known, alias=alias)


@mutant("SET-007", says="CONFORMANCE_KEY was taken without a word")
@made_from(TolerantSettings)
class DropsUnknownKeys(BaselineBackend):
    """Its settings drop keys that they do not know."""


class AnyOptions(BaselineOptions, frozen=True, extra="allow"):
    pass


class AnyOptionSettings(BaselineSettings, frozen=True):
    options: AnyOptions = AnyOptions()


@mutant("SET-008", says="conformance_option was taken without a word")
@made_from(AnyOptionSettings)
class TakesAnyOption(BaselineBackend):
    """Its options take any name."""


class UntypedOptions(BaselineOptions, frozen=True):
    init_command: Any = None


class UntypedSettings(BaselineSettings, frozen=True):
    options: UntypedOptions = UntypedOptions()


@mutant("SET-009", says="options takes anything for init_command")
@made_from(UntypedSettings)
class UntypedOption(BaselineBackend):
    """An option takes anything."""


@mutant("SET-010", says="NAME='' raised IndexError")
class AssumesName(BaselineBackend):
    """get_connection_params assumes that there is a name."""

    @override
    def get_connection_params(self) -> BaselineParams:
        assert self.settings.name[0]
        return super().get_connection_params()


@mutant("SET-011", says="get_connection_params did open")
class ParamsReadFile(BaselineBackend):
    """get_connection_params reads a file."""

    @override
    def get_connection_params(self) -> BaselineParams:
        with open("/dev/null") as file:
            file.read()
        return super().get_connection_params()


@mutant("SET-011", says="get_connection_params did sqlite3.connect")
class ParamsConnect(BaselineBackend):
    """get_connection_params tries a connection out first."""

    @override
    def get_connection_params(self) -> BaselineParams:
        params = super().get_connection_params()
        sqlite3.connect(":memory:").close()
        return params


class ObjectSettings(BaselineSettings, frozen=True):
    @cached_property
    @override
    def fingerprint(self) -> str:
        return f"{self.name}-{id(self)}"


@mutant("SET-012", says="equal settings have different fingerprints")
@made_from(ObjectSettings)
class FingerprintOfTheObject(BaselineBackend):
    """Its fingerprint tells equal settings apart."""


class CoarseSettings(BaselineSettings, frozen=True):
    policy: ClassVar[frozenset[str]] = ConnectionSettings.policy | {"name"}


@mutant("SET-012", says="another NAME has the same fingerprint")
@made_from(CoarseSettings)
class FingerprintWithoutName(BaselineBackend):
    """Its fingerprint leaves the name out, so one tenant's connection is another one's."""


@mutant("SET-013", says="token is said to expire and is not in the params")
class ExpiresNothing(SupportsExpiringCredentials, BaselineBackend):
    """It declares expiring credentials under a name that the params do not have."""

    @property
    @override
    def expiring_params(self) -> frozenset[str]:
        return frozenset({"token"})


@mutant("SET-013", says="not said to expire differ")
class ExpiresMoreThanItSays(SupportsExpiringCredentials, BaselineBackend):
    """More of its params changes than it says."""

    numbers: ClassVar[itertools.count[int]] = itertools.count()

    @property
    @override
    def expiring_params(self) -> frozenset[str]:
        return frozenset({"database"})

    @override
    def get_connection_params(self) -> BaselineParams:
        return {**super().get_connection_params(), "timeout": 5.0 + next(self.numbers)}


class HostSettings(BaselineSettings, frozen=True):
    refused: ClassVar[tuple[str, ...]] = ("user", "password", "port", "time_zone")


@mutant("SET-014", says="HOST is taken and changes nothing")
@made_from(HostSettings)
class IgnoresHost(BaselineBackend):
    """It takes a HOST and connects elsewhere."""


class ZoneSettings(BaselineSettings, frozen=True):
    refused: ClassVar[tuple[str, ...]] = ("user", "password", "host", "port")


@mutant("SET-015", says="CURRENT_TIMESTAMP is")
@made_from(ZoneSettings)
class IgnoresTimeZone(BaselineBackend):
    """It takes a TIME_ZONE and does nothing with it."""
