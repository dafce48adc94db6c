"""Frozen connection settings: from a mapping in Django's form, a URL, or keywords.

A settings object never changes: `ConnectionSettings.derive` makes another. Secrets show nowhere; the
`fingerprint` tells sessions apart without telling the secret.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import cached_property
from typing import Any, ClassVar, NoReturn, Self, cast
from urllib.parse import quote, quote_plus

from pydantic import (
    BaseModel,
    Field,
    GetCoreSchemaHandler,
    SecretStr,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema
from typing_extensions import override

from ._explain import refuse_unknown_keys, settings_error
from .errors import ImproperlyConfigured, as_bytes
from .frozen import MASK, FrozenDict, freeze, names_secret
from .urls import parse_url

__all__ = ["ConnectionSettings", "CredentialSource", "FrozenDict", "Options", "parse_url"]

# The key of the fingerprints. Made anew in each process: a fingerprint that leaks into a log cannot be
# tried against a list of passwords.
_KEY = secrets.token_bytes(32)

# A URL, or libpq's keyword form, where a plain name was expected. (SQLite's own URIs, file://, hold none.)
_CREDENTIALS = re.compile(r"(?<!file)://\S*:\S*@|\bpass(word|wd)\s*=", re.IGNORECASE)


class CredentialSource:
    """A password that expires, by where it comes from: ``CredentialSource("iam:reports", fetch)``.

    *fetch* is called before each connection is opened, in the thread that opens it. Two sources are
    the same session's if their *name* is the same.
    """

    __slots__ = ("_fetch", "_name", "_recent")

    def __init__(self, name: str, fetch: Callable[[], str]) -> None:
        self._name = name
        self._fetch = fetch
        # Only so that error texts can be cleaned of them: several, since threads may be opening at the same time.
        self._recent: deque[str] = deque(maxlen=64)

    def __call__(self) -> str:
        """Fetch the credential. Raises `ImproperlyConfigured` if it is no text."""
        secret = self._fetch()
        if not isinstance(secret, str):
            raise ImproperlyConfigured(f"{self!r}: fetch() returned {type(secret).__name__}, not text")
        if secret not in self._recent:
            self._recent.append(secret)
        return secret

    @property
    def name(self) -> str:
        return self._name

    @property
    def recent(self) -> tuple[str, ...]:
        """What the last calls returned."""
        return tuple(self._recent)

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return CredentialSource, (self._name, self._fetch)  # without what was fetched

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, CredentialSource) and other.name == self.name

    @override
    def __hash__(self) -> int:
        return hash(self.name)

    @override
    def __repr__(self) -> str:
        return f"CredentialSource({self.name!r})"


# Set while settings are being validated: what is nested in them leaves the telling to the outermost.
_explaining: ContextVar[bool] = ContextVar("backend_sdk_explaining", default=False)


class _Frozen(BaseModel, frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True):
    """Deeply frozen: what pydantic leaves mutable inside is frozen after validation."""

    _way_out: ClassVar[str] = "settings.derive({}=...)"

    @classmethod
    @override
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Puts `_explained` around every validator, a subclass's too: what any of them refuses is told by us."""
        return core_schema.with_info_wrap_validator_function(cls._explained, handler(source))

    @classmethod
    def _explained(cls, values: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        if _explaining.get():
            return handler(values)
        _explaining.set(True)
        try:
            return handler(values)
        except ValidationError as error:
            context = info.context or {}
            place = context.get("place", cls.__name__)
            hidden = _spellings(_secrets(values))  # an author's validator may repeat what it refuses
            problem = settings_error(cls, error, place, hidden, upper=context.get("upper", False))
        finally:
            _explaining.set(False)
        raise problem  # outside the except clause: pydantic's error keeps every input, so it may not be the context

    @model_validator(mode="after")
    def _freeze_values(self) -> Self:
        values: dict[str, object] = vars(self)
        for name, value in values.items():
            values[name] = freeze(value)
        object.__setattr__(self, "__pydantic_extra__", freeze(self.model_extra))
        return self

    @override
    def __setattr__(self, name: str, value: object) -> None:
        raise ImproperlyConfigured(
            f"{type(self).__name__}.{name} is frozen; make changed settings with {self._way_out.format(name)}"
        )

    @override
    def __delattr__(self, name: str) -> None:
        self.__setattr__(name, None)

    @override
    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, MASK if value and isinstance(value, str | bytes) and names_secret(name) else value

    @override
    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with *update*, validated: pydantic's own would take it unchecked."""
        return self.model_validate({**_fields(self), **(update or {})})

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

    _way_out: ClassVar[str] = "settings.derive(options={{{!r}: ...}})"


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
        return os.fsdecode(value) if isinstance(value, os.PathLike) else value

    @field_validator("engine", "name", "user", "host")
    @classmethod
    def _no_credentials(cls, value: str) -> str:
        if _CREDENTIALS.search(value):  # it would be shown wherever the settings are
            raise ValueError("holds credentials; give them as USER and PASSWORD, or the whole URL in place of settings")
        return value

    @field_validator("port", mode="before")
    @classmethod
    def _ports_from_text(cls, value: object) -> object:
        if value == "":
            return None
        if isinstance(value, str) and "," in value:
            return tuple(value.split(","))
        return value

    @field_validator("port")
    @classmethod
    def _ports_in_range(cls, value: int | tuple[int, ...] | None) -> int | tuple[int, ...] | None:
        ports = value if isinstance(value, tuple) else () if value is None else (value,)
        if not all(0 < port < 65536 for port in ports):
            raise ValueError("not a number from 1 to 65535")
        return value

    @field_validator("conn_max_age", mode="before")
    @classmethod
    def _age_from_text(cls, value: object) -> object:
        return None if isinstance(value, str) and value.lower() == "none" else value  # a URL has only text

    @field_validator("test")
    @classmethod
    def _seal_test(cls, value: Mapping[str, object]) -> Mapping[str, object]:
        return cast("Mapping[str, object]", _sealed(value))

    @field_validator("models", mode="before")
    @classmethod
    def _one_model(cls, value: object) -> object:
        """One pattern, or several; a class stands for its dotted path."""
        patterns = (value,) if isinstance(value, str | type) else value
        if not isinstance(patterns, list | tuple | set | frozenset):
            return patterns
        return tuple(f"{each.__module__}.{each.__qualname__}" if isinstance(each, type) else each for each in patterns)

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
        mapping = {key.lower(): value for key, value in parse_url(url, alias=alias).items()}
        return cls._validated({**mapping, **changes}, place=alias, upper=True)

    @classmethod
    def _validated(cls, values: Mapping[str, object], *, place: str, upper: bool) -> Self:
        return cls.model_validate(dict(values), context={"place": place, "upper": upper})

    def derive(self, **changes: Any) -> Self:
        """The same settings with *changes*. A mapping given for ``options`` is laid over the present ones."""
        options = changes.get("options")
        if isinstance(options, Mapping):
            changes["options"] = {**_fields(self.options), **options}
        return self._validated({**_fields(self), **changes}, place=type(self).__name__, upper=False)

    @override
    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As `derive`."""
        return self.derive(**dict(update or {}))

    def reveal_password(self) -> str:
        """The password itself, fetched anew where it expires: for ``get_connection_params`` alone."""
        if isinstance(self.password, CredentialSource):
            return self.password()
        return self.password.get_secret_value()

    def secret_texts(self) -> tuple[str, ...]:
        """Every secret in these settings as text, however a driver may spell it: what no error may repeat."""
        return _spellings(_secrets(self))

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
        parts += [f"{name}={_identity(value)}" for name, value in _fields(self).items() if name not in cls.policy]
        return hashlib.blake2b("\0".join(parts).encode(), key=_KEY, digest_size=16).hexdigest()


def _fields(model: BaseModel) -> dict[str, Any]:
    return {**{name: getattr(model, name) for name in type(model).model_fields}, **(model.model_extra or {})}


def _sealed(value: object, *, hidden: bool = False) -> object:
    """*value* with each text in it that a name marks as secret as a `SecretStr`."""
    if isinstance(value, str) and hidden:
        return SecretStr(value)
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {key: _sealed(item, hidden=hidden or names_secret(key)) for key, item in items}
    if isinstance(value, list | tuple):
        return tuple(_sealed(item, hidden=hidden) for item in cast("list[object]", value))
    return value


def _secrets(value: object, *, hidden: bool = False) -> Iterator[str]:
    """The secrets in *value*, validated or not: by their type, and in a mapping also by their name."""
    if hasattr(value, "get_secret_value"):  # any of pydantic's kinds
        value, hidden = cast("Any", value).get_secret_value(), True
    if isinstance(value, CredentialSource):
        yield from value.recent
    elif isinstance(value, str | bytes) and hidden:
        yield value.decode(errors="replace") if isinstance(value, bytes) else value
    elif isinstance(value, BaseModel | Mapping):
        items = _fields(value) if isinstance(value, BaseModel) else cast("Mapping[object, object]", value)
        for name, item in items.items():
            yield from _secrets(item, hidden=hidden or names_secret(name))
    elif isinstance(value, list | tuple | set | frozenset):
        for item in cast("list[object]", value):
            yield from _secrets(item, hidden=hidden)


def _spellings(texts: Iterator[str]) -> tuple[str, ...]:
    """Each of *texts* plain, percent-encoded and with its quotes escaped; the longest first."""
    found: set[str] = set()
    for text in filter(None, texts):
        encoded = {quote(as_bytes(text), safe=safe) for safe in ("", "/", "!$&'()*+,;=:")}
        encoded.add(quote_plus(as_bytes(text)))
        found |= {text, repr(text)[1:-1], text.replace("\\", "\\\\").replace("'", "\\'"), *encoded}
        found |= {re.sub("%..", lambda code: code[0].lower(), spelling) for spelling in encoded}
    return tuple(sorted(found, key=len, reverse=True))


def _identity(value: object) -> str:
    """*value* as text that is equal for equal values and keeps secrets apart."""
    if hasattr(value, "get_secret_value"):
        return f"secret:{cast('Any', value).get_secret_value()!r}"
    if isinstance(value, CredentialSource):
        return f"source:{value.name!r}"
    if isinstance(value, BaseModel):
        return f"{type(value).__qualname__}:{_identity(_fields(value))}"
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return "{" + ",".join(sorted(f"{key!r}:{_identity(item)}" for key, item in items)) + "}"
    if isinstance(value, tuple | frozenset):
        texts = [_identity(item) for item in cast("tuple[object, ...]", value)]
        return "(" + ",".join(sorted(texts) if isinstance(value, frozenset) else texts) + ")"
    if callable(value):  # its text may be another's too; a method is made anew at each look
        return f"{value!r} {id(getattr(value, '__self__', None))} {id(getattr(value, '__func__', value))}"
    return repr(value)
