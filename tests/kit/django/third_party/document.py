"""docs/engines.md, from what is written and recorded about each engine."""

from __future__ import annotations

from collections.abc import Iterator

from .engines import ENGINES, ROOT, Engine, recorded

__all__ = ["FILE", "document"]

FILE = ROOT / "docs" / "engines.md"
_OPENING = """\
# Published engines, judged

What the kit finds in Django engines from the package index, unmodified, at the versions named here, and why each
finding is true. A finding marked *confirmed* is shown by a script as well, with Django and the driver alone; the same
script on Django's own engine shows nothing. What Django's own engine does too is not listed. All verdicts are in
`tests/kit/django/third_party/verdicts/`.

These are statements on single versions under the settings of a test; most of these engines serve their users well.
"""


def document() -> str:
    """The whole page; `tests/kit/django/third_party/engines/*.toml` is its source."""
    return "\n".join([_OPENING, *_overview(), *(line for engine in ENGINES.values() for line in _section(engine))])


def _overview() -> Iterator[str]:
    yield "| engine | version | Django | violations | warnings | strict | passed |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for engine in ENGINES.values():
        found = list(recorded(engine).values())
        violations = sum(found.count(verdict) for verdict in ("fail", "hang", "crash"))
        counts = [str(number) for number in (violations, *(found.count(v) for v in ("warning", "strict", "pass")))]
        yield f"| [{engine.distribution}](#{engine.name}) | {engine.version} | {engine.django} | {' | '.join(counts)} |"
    yield ""


def _section(engine: Engine) -> Iterator[str]:
    yield f'<a id="{engine.name}"></a>\n'
    yield f"## {engine.distribution} {engine.version}\n"
    yield f"`{engine.target}` under Django {engine.django}. {engine.about}\n"
    verdicts = recorded(engine)
    for finding in engine.findings:
        mark = ", confirmed" if finding.confirmed else ""
        yield f"- **{finding.id}** ({verdicts.get(finding.id, 'not found')}{mark}) `{finding.where}`: {finding.says}"
    if not engine.findings:
        yield "Nothing was found."
    unable = sorted(id for id, verdict in verdicts.items() if verdict in {"could-not-run", "blocked"})
    if unable:
        yield f"\nNot tried, since a finding stands before it: {', '.join(unable)}."
    yield ""
