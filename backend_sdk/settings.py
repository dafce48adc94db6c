"""Frozen connection settings: from a mapping in Django's form, a URL, or keywords.

A settings object never changes: `ConnectionSettings.derive` makes another. Secrets show nowhere; the
`fingerprint` tells sessions apart without telling the secret.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NoReturn, Self, cast
from urllib.parse import quote

from pydantic import (
    BaseModel,
    Field,
    ModelWrapValidatorHandler,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from typing_extensions import override

from ._explain import refuse_unknown_keys, settings_error
from .errors import ImproperlyConfigured
from .frozen import FrozenDict, freeze
from .urls import parse_url

__all__ = ["ConnectionSettings", "CredentialSource", "FrozenDict", "Options", "parse_url"]

# The key of the fingerprints. Made anew in each process: a fingerprint that leaks into a log cannot be
# tried against a list of passwords.
_KEY = secrets.token_bytes(32)


@dataclass(frozen=True)
class CredentialSource:
    """A password that expires, by where it comes from: ``CredentialSource("iam:reports", fetch)``.

    *fetch* is called before each connection is opened, in the thread that opens it. Two sources are
    the same session's if their *name* is the same.
    """

    name: str
    fetch: Callable[[], str]

    def __call__(self) -> str:
        """Fetch the credential; it is remembered only so that error texts can be cleaned of it."""
        secret = self.fetch()
        object.__setattr__(self, "_latest", secret)
        return secret

    @property
    def latest(self) -> str:
        """What the last call returned, or an empty string."""
        return getattr(self, "_latest", "")

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, CredentialSource) and other.name == self.name

    @override
    def __hash__(self) -> int:
        return hash(self.name)

    @override
    def __repr__(self) -> str:
        return f"CredentialSource({self.name!r})"


class _Frozen(BaseModel, frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True):
    """Deeply frozen: what pydantic leaves mutable inside is frozen after validation."""

    @model_validator(mode="after")
    def _freeze_values(self) -> Self:
        values: dict[str, object] = vars(self)
        for name, value in values.items():
            values[name] = freeze(value)
        return self

    @override
    def __setattr__(self, name: str, value: object) -> None:
        raise ImproperlyConfigured(
            f"{type(self).__name__}.{name} is frozen; make changed settings with settings.derive({name}=...)"
        )

    @override
    def __delattr__(self, name: str) -> None:
        self.__setattr__(name, None)

    @override
    def __getstate__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} may hold secrets and refuses pickling; pass its source instead")

    @override
    def __reduce_ex__(self, protocol: object) -> NoReturn:
        self.__getstate__()

    @override
    def __copy__(self) -> Self:
        return self

    @override
    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self


class Options(_Frozen, frozen=True):
    """What only one kind of database understands. Subclass it with typed fields, one per option.

    Write ``class MyOptions(Options, frozen=True)``: it is frozen anyway, but pyright must be told.
    """


class ConnectionSettings(_Frozen, frozen=True):
    """What one alias means. Subclass it with a typed ``options``: ``class Mine(ConnectionSettings, frozen=True)``.

    Times are seconds. ``conn_max_age``: None keeps a connection for ever, 0 closes it at the end of a scope.
    """

    engine: str = ""
    name: str = ""
    user: str = ""
    password: SecretStr | CredentialSource = SecretStr("")
    host: str = ""
    port: int | tuple[int, ...] | None = None
    options: Options = Options()
    time_zone: str | None = None
    autocommit: bool = True
    conn_max_age: float | None = Field(default=0.0, ge=0)
    conn_health_checks: bool = False
    atomic_requests: bool = False
    allow_blocking: bool = False
    models: tuple[str, ...] = ()
    test: Mapping[str, object] = FrozenDict()

    policy: ClassVar[frozenset[str]] = frozenset(
        {"conn_max_age", "conn_health_checks", "atomic_requests", "allow_blocking", "models", "test"}
    )
    """Fields that say how a session is used, not which session it is: outside the fingerprint."""

    @field_validator("name", "host", mode="before")
    @classmethod
    def _path_to_text(cls, value: object) -> object:
        return str(value) if hasattr(value, "__fspath__") else value

    @field_validator("port", mode="before")
    @classmethod
    def _ports_from_text(cls, value: object) -> object:
        if value == "":
            return None
        if isinstance(value, str) and "," in value:
            return tuple(value.split(","))
        return value

    @field_validator("models", mode="before")
    @classmethod
    def _one_model(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object], *, alias: str = "default") -> Self:
        """From Django's ``DATABASES`` form: ``{"ENGINE": ..., "NAME": ..., "OPTIONS": {...}}``.

        The mapping is read, never kept. Raises `ImproperlyConfigured`, which names the key.
        """
        refuse_unknown_keys(mapping, [name.upper() for name in cls.model_fields], alias)
        values = {key.lower(): value for key, value in mapping.items()}
        return cls._validated(values, place=alias, upper=True)

    @classmethod
    def from_url(cls, url: str, *, alias: str = "default", **changes: object) -> Self:
        """From ``scheme://user:password@host:port/name?option=value``; *changes* are fields."""
        mapping = {key.lower(): value for key, value in parse_url(url).items()}
        return cls._validated({**mapping, **changes}, place=alias, upper=True)

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, values: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            context = info.context or {}
            place = context.get("place", cls.__name__)
            raise settings_error(cls, error, place, upper=context.get("upper", False)) from None

    @classmethod
    def _validated(cls, values: Mapping[str, object], *, place: str, upper: bool) -> Self:
        return cls.model_validate(dict(values), context={"place": place, "upper": upper})

    def derive(self, **changes: Any) -> Self:
        """The same settings with *changes*. A mapping given for ``options`` is laid over the present ones."""
        values: dict[str, Any] = {name: getattr(self, name) for name in type(self).model_fields}
        options = changes.get("options")
        if isinstance(options, Mapping):
            present = {name: getattr(self.options, name) for name in type(self.options).model_fields}
            changes["options"] = {**present, **(self.options.model_extra or {}), **options}
        return self._validated({**values, **changes}, place=type(self).__name__, upper=False)

    @override
    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As `derive`: pydantic's own would take *update* unchecked."""
        return self.derive(**dict(update or {}))

    def reveal_password(self) -> str:
        """The password itself, fetched anew where it expires: for ``get_connection_params`` alone."""
        if isinstance(self.password, CredentialSource):
            return self.password()
        return self.password.get_secret_value()

    def secret_texts(self) -> tuple[str, ...]:
        """Every secret in these settings as text, also percent-encoded: what no error may repeat."""
        texts = {secret for secret in _secrets(self) if secret}
        return tuple(sorted(texts | {quote(text, safe="") for text in texts}, key=len, reverse=True))

    @property
    def is_private(self) -> bool:
        """Whether each connection has a database of its own (SQLite's ``:memory:``), never to be shared."""
        return False

    @cached_property
    def fingerprint(self) -> str:
        """Identifies the database session: equal in this process for equal sessions, whatever the alias.

        A keyed digest (32 hexadecimal digits) of every field but the `policy` ones.
        """
        cls = type(self)
        parts = [f"{cls.__module__}.{cls.__qualname__}"]
        parts += [f"{name}={_identity(getattr(self, name))}" for name in cls.model_fields if name not in cls.policy]
        return hashlib.blake2b("\0".join(parts).encode(), key=_KEY, digest_size=16).hexdigest()


def _secrets(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, CredentialSource):
        yield value.latest
    elif isinstance(value, BaseModel):
        for item in {**value.__dict__, **(value.model_extra or {})}.values():
            yield from _secrets(item)
    elif isinstance(value, Mapping):
        for item in cast("Mapping[object, object]", value).values():
            yield from _secrets(item)


def _identity(value: object) -> str:
    """*value* as text that is equal for equal values and keeps secrets apart."""
    if isinstance(value, SecretStr):
        return f"secret:{value.get_secret_value()!r}"
    if isinstance(value, CredentialSource):
        return f"source:{value.name!r}"
    if isinstance(value, BaseModel):
        fields = {**{name: getattr(value, name) for name in type(value).model_fields}, **(value.model_extra or {})}
        return _identity(fields)
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return "{" + ",".join(sorted(f"{key!r}:{_identity(item)}" for key, item in items)) + "}"
    if isinstance(value, tuple | frozenset):
        texts = [_identity(item) for item in cast("tuple[object, ...]", value)]
        return "(" + ",".join(sorted(texts) if isinstance(value, frozenset) else texts) + ")"
    return repr(value)
