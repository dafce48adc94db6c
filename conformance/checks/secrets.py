"""Secrets: a password shows nowhere, least of all when something goes wrong."""

from __future__ import annotations

import io
import logging
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic import SecretStr

from backend_sdk import ConnectionSettings, CredentialSource, DatabaseWrapper

from ..provoke import RefusedOpen, accepted, caught, refused_open
from ..register import requirement, untested
from ..verdict import NotApplicable

if TYPE_CHECKING:
    from ..subject import Subject

PLANTED = "Pl4nted:p@ss/w0rd %41"
"""A password with everything in it that a URL or a connection string would escape."""


def _needs_password(subject: Subject) -> ConnectionSettings:
    """The settings with the planted password."""
    settings = accepted(subject, PASSWORD=PLANTED)
    if settings is None:
        raise NotApplicable("the backend takes no PASSWORD")
    return settings


def _shown(subject: Subject, text: str) -> bool:
    """Whether *text* holds the planted password, or one of the settings' own."""
    secrets = {PLANTED, quote(PLANTED, safe=""), repr(PLANTED)[1:-1], *subject.settings().secret_texts()}
    return any(secret in text for secret in secrets if len(secret) > 3)


def _require_hidden(subject: Subject, text: str, place: str, *, blame: str = "") -> None:
    subject.require(not _shown(subject, text), f"the password is in {place}", blame=blame)  # and never in a report


def _refused(subject: Subject) -> RefusedOpen:
    """A refused connection whose settings hold the planted password."""
    _needs_password(subject)
    return refused_open(subject, PASSWORD=PLANTED)


@requirement(
    "SEC-001",
    "No repr or str of the settings, the backend or a wrapper shows the password",
    reason="they stand in every traceback with locals, in every debugger and in most logs",
    source="the contract, section 2: secrets never show",
    level=1,
    after=("SET-001",),
    blame=("__repr__", "__str__", "settings"),
    advice="keep the password a SecretStr; in __repr__ name the fingerprint, not the params",
)
def not_in_repr(subject: Subject) -> None:
    settings = _needs_password(subject)
    make: Any = subject.cls
    backend = make(settings)
    things = {"the settings": settings, "the backend": backend, "a wrapper": DatabaseWrapper(backend)}
    for name, thing in things.items():
        for how in (repr, str, format):
            _require_hidden(subject, how(thing), f"{how.__name__}() of {name}")
    _require_hidden(subject, repr(settings.model_dump()), "the settings' model_dump()")
    _require_hidden(subject, settings.model_dump_json(exclude={"test"}), "the settings' model_dump_json()")


@requirement(
    "SEC-002",
    "The error of a refused connection does not show the password, nor does anything it came from",
    reason="drivers repeat what they were given; the error is logged, and mailed to the administrators",
    source="the contract, section 2: even a cause's text is cleaned",
    level=1,
    after=("LIFE-015",),
    blame=("get_new_connection",),
    advice="raise the driver's error as it is: texts are cleaned, but not what is packed in other objects",
)
def not_in_errors(subject: Subject) -> None:
    error: BaseException | None = _refused(subject).error
    place = "the error"
    while error is not None:
        _require_hidden(subject, str(error), f"str() of {place}")
        _require_hidden(subject, repr(error), f"repr() of {place}")
        public = {name: value for name, value in vars(error).items() if not name.startswith("_")}
        _require_hidden(subject, repr(public), f"the attributes of {place}")
        error, place = error.__cause__ or error.__context__, f"the cause of {place}"


@requirement(
    "SEC-003",
    "The traceback of a refused connection does not show the password",
    reason="it is what a log file and an error page hold",
    source="the contract, section 2: secrets never show",
    level=1,
    after=("LIFE-015",),
    blame=("get_new_connection",),
    advice="add no notes with params to an error, and write no secret into the source",
)
def not_in_tracebacks(subject: Subject) -> None:
    _require_hidden(subject, _refused(subject).text, "the traceback")


class _Collecting(logging.Handler):
    """Keeps each record as it would be written, its arguments and extras too."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append((record.name, f"{record.getMessage()} {vars(record)!r} {self.format(record)}"))


@contextmanager
def _logging_everything() -> Iterator[_Collecting]:
    handler, root = _Collecting(), logging.getLogger()
    known = [
        root,
        *(found for found in logging.Logger.manager.loggerDict.values() if isinstance(found, logging.Logger)),
    ]
    before = [(logger, logger.level, logger.disabled) for logger in known]
    for logger in known:
        logger.setLevel(logging.DEBUG)
        logger.disabled = False
    root.addHandler(handler)
    try:
        yield handler
    finally:
        root.removeHandler(handler)
        for logger, level, disabled in before:
            logger.setLevel(level)
            logger.disabled = disabled


def _use(subject: Subject) -> None:
    """A backend's whole life: made, refused once, opened, used, closed."""
    _needs_password(subject)
    caught(lambda: refused_open(subject, PASSWORD=PLANTED))
    wrapper = subject.wrapper()
    caught(lambda: subject.execute(wrapper, f"SELECT count(*) FROM {subject.TABLE}"))
    caught(wrapper.close)


@requirement(
    "SEC-004",
    "Nothing that is logged shows the password, at any level",
    reason="logs are read by more people than settings are, and kept for longer",
    source="the contract, section 2: secrets never show",
    level=1,
    after=("LIFE-001",),
    blame=("get_connection_params", "get_new_connection"),
    advice="log names and fingerprints, never params",
)
def not_in_logs(subject: Subject) -> None:
    with _logging_everything() as collected:
        _use(subject)
    for logger, text in collected.texts:
        _require_hidden(subject, text, f"what the logger {logger!r} was told")


@requirement(
    "SEC-005",
    "No warning shows the password",
    reason="warnings end up in the log of the process",
    source="the contract, section 2: secrets never show",
    level=1,
    after=("LIFE-001",),
    blame=("get_connection_params", "__init__", "get_new_connection"),
    advice="name the key in a warning, not its value",
)
def not_in_warnings(subject: Subject) -> None:
    with warnings.catch_warnings(record=True) as issued:
        warnings.simplefilter("always")
        _use(subject)
    for warning in issued:
        _require_hidden(subject, f"{warning.message} {warning.message!r}", f"a {warning.category.__name__}")


@requirement(
    "SEC-006",
    "Nothing that is printed shows the password",
    reason="the output of a service is a log too",
    source="the contract, section 2: secrets never show",
    level=1,
    after=("LIFE-001",),
    blame=("get_connection_params", "get_new_connection"),
    advice="remove the print",
)
def not_printed(subject: Subject) -> None:
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        _use(subject)
    _require_hidden(subject, printed.getvalue(), "what was printed")


@requirement(
    "SEC-007",
    "Settings that are refused are refused without showing the password",
    reason="a misspelt key is reported to whoever deploys, the password beside it is not his",
    source="the contract, section 2: secrets never show",
    level=1,
    after=("SET-001",),
    blame=("settings", "get_connection_params", "__init__"),
    advice="name the key in a validator's error, never the value",
)
def not_in_refusals(subject: Subject) -> None:
    wrong: tuple[dict[str, Any], ...] = (
        {}, {"PORT": "none"}, {"CONFORMANCE_KEY": 1}, {"CONN_MAX_AGE": -1}, {"NAME": ""}, {"OPTIONS": "text"},
        {"OPTIONS": {"conformance_option": 1}},
    )  # fmt: skip
    make: Any = subject.cls
    for changes in wrong:
        error = caught(lambda given=changes: make(subject.settings(**{"PASSWORD": PLANTED, **given})))  # type: ignore[misc]  # mypy does not infer a lambda's defaults
        if error is not None:
            text = "".join(traceback.format_exception(error))
            _require_hidden(subject, text, f"the refusal of {', '.join(changes) or 'PASSWORD'}")
    url = f"{subject.target.name}://user:{quote(PLANTED, safe='')}@host:none/name"
    error = caught(lambda: subject.target.settings_class.from_url(url))
    _require_hidden(subject, "".join(traceback.format_exception(error)) if error else "", "the refusal of a URL")


@requirement(
    "SEC-008",
    "The fingerprint tells another password apart, and does not tell the password",
    reason="fingerprints are shown, logged and used as keys",
    source="the contract, section 2: a keyed digest, not the secret",
    level=1,
    after=("SET-001",),
    blame=("settings",),
    advice="leave fingerprint and policy as ConnectionSettings has them",
)
def not_in_fingerprint(subject: Subject) -> None:
    settings = _needs_password(subject)
    _require_hidden(subject, settings.fingerprint, "the fingerprint")
    other = subject.settings(PASSWORD=f"{PLANTED}2")
    subject.require(other.fingerprint != settings.fingerprint, "another password has the same fingerprint")


@requirement(
    "SEC-009",
    "An option that holds a secret is declared as SecretStr",
    reason="only then is it hidden, and cleaned from errors",
    source="the contract, section 2: secrets never show",
    level=1,
    keyword="SHOULD",
    after=("SET-009",),
    blame=("settings",),
    advice="declare it as pydantic.SecretStr and reveal it in get_connection_params alone",
)
def secret_options(subject: Subject) -> None:
    options: Any = subject.target.settings_class.model_fields["options"].annotation
    for name, field in options.model_fields.items():
        tells = any(word in name.lower() for word in ("password", "passwd", "passphrase", "secret"))
        kinds = (SecretStr, CredentialSource)
        hidden = any(kind.__name__ in str(field.annotation) for kind in kinds)
        subject.require(not tells or hidden, f"the option {name} is declared as {field.annotation}")


@requirement(
    "SEC-010",
    "Nor do the private attributes of the error of a refused connection, which debuggers and error trackers show",
    reason="some drivers keep what they were given on the error (psycopg a whole finished connection)",
    source="the contract, section 2: secrets never show",
    level=1,
    keyword="SHOULD",
    after=("SEC-002",),
    blame=("get_new_connection",),
    advice="in get_new_connection catch the driver's error, take the attribute from it, and raise it again",
)
def not_kept_by_errors(subject: Subject) -> None:
    error: BaseException | None = _refused(subject).error
    while error is not None:
        for name, value in vars(error).items():
            _require_hidden(subject, repr(value), f"the attribute {name} of a {type(error).__name__}")
        error = error.__cause__ or error.__context__


untested(
    "SEC-011",
    "A secret is not handed to other processes, in an argument or a variable",
    reason="every user of the machine can read the arguments of all processes",
    source="the contract, section 2: secrets never show",
    why="what a driver starts, and how, cannot be seen from inside",
)

untested(
    "SEC-012",
    "A password goes over the network only encrypted, or hashed",
    reason="whoever listens would have it",
    source="the manuals of the drivers: authentication, TLS",
    why="it is the driver's protocol and the server's configuration; the kit starts servers without TLS",
)
