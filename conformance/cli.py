"""The command line: ``python -m conformance TARGET``, ``list``, ``explain ID``, ``selftest``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from typing_extensions import override

from backend_sdk import ImproperlyConfigured

from .kinds import PROFILES, kind_of
from .options import alias_mapping, django_mapping
from .register import GROUPS, LEVELS
from .summary import ExitCode, Report

if TYPE_CHECKING:
    from .register import Requirement

__all__ = ["main"]

KINDS = ("json", "junit")
KINDS_OF_CATALOGUES = ("sdk", "dbapi", "django", "django-postgresql")


class _Usage(Exception):
    """A mistake in the call: one line, exit code 2."""


class _Parser(argparse.ArgumentParser):
    @override
    def error(self, message: str) -> NoReturn:
        raise _Usage(f"{message}; see {self.prog} --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code of the command."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    commands = {"list": _list, "explain": _explain, "selftest": _selftest}
    try:
        _require_extra()
        if given and given[0] in commands:
            return commands[given[0]](given[1:])
        return _judge(given)
    except (_Usage, ImproperlyConfigured) as error:
        print(f"conformance: {error}", file=sys.stderr)
        return ExitCode.USAGE
    except KeyboardInterrupt:
        print("conformance: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED


def _require_extra() -> None:
    missing = [name for name in ("rich",) if find_spec(name) is None]
    if missing:
        raise _Usage(
            f"{', '.join(missing)} is not installed; install the kit's extra: pip install 'backend-sdk[conformance]'"
        )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m conformance",
        description="Judge database backends. Also: list, explain ID, selftest.",
        epilog="Exit codes: 0 conformant, 1 violations, 2 usage or settings, 3 something could not run, "
        "4 the kit's own fault, 5 nothing selected, 130 interrupted.",
    )
    parser.add_argument(
        "target", nargs="+", help="engine name, module, module:Class, file.py, django:engine or dbapi:module"
    )
    parser.add_argument("--settings", metavar="FILE", help="TOML or JSON with DATABASES in Django's form")
    parser.add_argument("--url", help="the database, as scheme://user:password@host:port/name?option=value")
    parser.add_argument(
        "-o", dest="single", action="append", default=[], metavar="KEY=VALUE", help="one setting or option"
    )
    parser.add_argument("--profile", choices=sorted(PROFILES), help="which contract to judge by; default: the target's")
    parser.add_argument("--level", type=int, default=3, choices=sorted(LEVELS), help="the highest level to try")
    parser.add_argument("--select", action="append", default=[], metavar="GROUP,ID", help="only these")
    parser.add_argument("--waivers", metavar="FILE", help="TOML of accepted deviations")
    parser.add_argument("-j", dest="jobs", type=_positive, default=None, metavar="N", help="checks at once")
    parser.add_argument("--timeout", type=_seconds, default=20.0, metavar="S", help="seconds per check")
    parser.add_argument("--report", action="append", default=[], metavar="KIND:PATH", help="json:FILE or junit:FILE")
    parser.add_argument("-v", "--verbose", action="store_true", help="each result, with its details")
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


def _judge(given: list[str]) -> int:
    options = _parser().parse_args(given)
    files = [_report_file(text) for text in options.report]
    mappings = {target: _mapping(target, options) for target in options.target}
    patterns = [part for text in options.select for part in text.split(",")]

    from .api import check
    from .report.terminal import Terminal

    terminal = Terminal(verbose=options.verbose)
    reports: list[Report] = []
    for target in options.target:

        def started(count: int, target: str = target) -> None:
            terminal.started(count, target)

        report = check(
            target,
            mappings[target],
            level=options.level,
            select=patterns,
            profile=options.profile,
            waivers=options.waivers,
            jobs=options.jobs,
            timeout=options.timeout,
            report=terminal.result,
            started=started,
        )
        terminal.finished(report)
        reports.append(report)
    _write(files, reports)
    return _worst(reports)


def _mapping(target: str, options: argparse.Namespace) -> dict[str, Any]:
    read = django_mapping if kind_of(target) == "django" else alias_mapping
    return read(options.settings, options.url, options.single)


def _worst(reports: list[Report]) -> int:
    codes = {report.exit_code for report in reports}
    return next(code for code in ExitCode if code in codes)


def _report_file(text: str) -> tuple[str, Path]:
    kind, colon, path = text.partition(":")
    if kind not in KINDS or not colon or not path:
        raise _Usage(f"--report {text!r}: write it as KIND:PATH, with one of {', '.join(KINDS)}")
    if not Path(path).absolute().parent.is_dir():
        raise _Usage(f"--report {text!r}: there is no folder {str(Path(path).parent)!r}")
    return kind, Path(path)


def _write(files: list[tuple[str, Path]], reports: list[Report]) -> None:
    from .report.machine import to_json, to_junit

    for kind, path in files:
        try:
            path.write_text(to_json(reports) if kind == "json" else to_junit(reports), encoding="utf-8")
        except OSError as error:
            raise _Usage(f"--report {kind}:{path}: {error.strerror}") from None


def _list(given: list[str]) -> int:
    parser = _Parser(prog="python -m conformance list", description="List the requirements.")
    parser.add_argument("--markdown", action="store_true", help="as docs/contract.md")
    options = parser.parse_args(given)
    from .checks import load_register

    register = load_register()
    if options.markdown:
        from .report.contract import to_markdown

        print(to_markdown(register), end="")
        return 0
    for entry in register.values():
        mark = " (untested)" if entry.untested else ""
        print(f"{entry.id:<9} {entry.keyword:<7}level {entry.level}  {entry.sentence}{mark}")
    return 0


def _explain(given: list[str]) -> int:
    parser = _Parser(prog="python -m conformance explain", description="Explain one requirement.")
    parser.add_argument("id", help="as in LIFE-003")
    wanted = parser.parse_args(given).id.upper()
    from .checks import load_register

    register = load_register()
    if wanted not in register:
        near = [id for id in register if id.startswith(wanted.partition("-")[0])]
        raise _Usage(f"there is no requirement {wanted!r}; known: {', '.join(near or GROUPS)}")
    print(_explanation(register[wanted]))
    return 0


def _explanation(entry: Requirement) -> str:
    rows = [
        ("group", f"{entry.group}, level {entry.level} ({LEVELS[entry.level]}), {entry.keyword}, since {entry.since}"),
        ("of a pool", entry.leased),
        ("reason", entry.reason),
        ("source", entry.source),
        ("after", ", ".join(entry.after)),
        ("met by", ", ".join(entry.blame)),
        ("advice", entry.advice),
        ("untested", entry.untested),
    ]
    return "\n".join([f"{entry.id}  {entry.sentence}", *(f"  {name:<9} {text}" for name, text in rows if text)])


@contextmanager
def _server_of(profile: str) -> Iterator[None]:
    """One server for the whole catalogue, where it needs one. Raises `OSError` if there is none to be had."""
    if profile != "django-postgresql":
        yield
        return
    from .servers.postgresql import URL_VARIABLE, postgresql_url

    with postgresql_url() as url:
        os.environ[URL_VARIABLE] = url
        yield


def _selftest(given: list[str]) -> int:
    parser = _Parser(prog="python -m conformance selftest", description="Judge the kit by its wrong backends.")
    parser.add_argument("--profile", default="sdk", choices=KINDS_OF_CATALOGUES, help="which catalogue")
    parser.add_argument("--full", action="store_true", help="each against every requirement, not its group alone")
    parser.add_argument("--select", action="append", default=[], metavar="ID", help="only what must catch these")
    parser.add_argument("-j", dest="jobs", type=_positive, default=3, metavar="N", help="backends at once")
    options = parser.parse_args(given)
    from .checks import load_register
    from .selftest.catalogue import run_catalogue, uncovered

    register = load_register()
    only = [part for text in options.select for part in text.split(",")]
    try:
        with _server_of(options.profile):
            outcomes = run_catalogue(register, kind=options.profile, full=options.full, only=only, jobs=options.jobs)
    except OSError as error:
        print(f"conformance: {error}", file=sys.stderr)
        return ExitCode.COULD_NOT_RUN
    escaped = [outcome for outcome in outcomes if not outcome.killed]
    for outcome in escaped:
        print(f"✗ escaped  {outcome.mutant.target}: {outcome.mutant.defect}\n    {outcome.why_not}")
    untried = [] if only else uncovered(register)
    for id in untried:
        print(f"✗ untried  {id}: no wrong backend shows that its check can fail")
    print(
        f"selftest: {len(outcomes) - len(escaped)} of {len(outcomes)} wrong backends caught; "
        f"{len(untried)} MUSTs untried"
    )
    if not outcomes:
        return ExitCode.NOTHING_SELECTED
    return ExitCode.KIT_ERROR if escaped or untried else ExitCode.CONFORMANT
