"""The requirements as a document: ``docs/contract.md`` is made by ``python -m conformance list --markdown``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..register import GROUPS, LEVELS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..register import Requirement

__all__ = ["to_markdown"]

HEAD = """# The contract, requirement by requirement

Made by `python -m conformance list --markdown`; a test holds the two against one another. IDs never change.
`python -m conformance explain ID` shows one of them. Levels: {levels}.
"""


def to_markdown(register: Mapping[str, Requirement]) -> str:
    parts = [HEAD.format(levels="; ".join(f"{number} {name}" for number, name in LEVELS.items()))]
    for group in GROUPS.values():
        entries = [entry for entry in register.values() if entry.group == group]
        if entries:
            parts.append(f"\n## {group.capitalize()}\n")
            parts += [_paragraph(entry) for entry in entries]
    return "".join(parts)


def _paragraph(entry: Requirement) -> str:
    lines = [
        f"\n**{entry.id}** {entry.keyword}, level {entry.level}, since {entry.since}: {entry.sentence}.",
        f"*Why:* {entry.reason}. *Source:* {entry.source}.",
    ]
    if entry.leased:
        lines.append(f"*Of a pool:* {entry.leased}.")
    if entry.after:
        lines.append(f"*After:* {', '.join(entry.after)}.")
    if entry.untested:
        lines.append(f"*Untested:* {entry.untested}.")
    return "\n".join(lines) + "\n"
