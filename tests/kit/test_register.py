"""The register: IDs that never change, and a document that says the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.checks import load_register
from conformance.register import GROUPS
from conformance.report.contract import to_markdown
from conformance.selftest.catalogue import uncovered

ROOT = Path(__file__).parents[2]
KNOWN = Path(__file__).with_name("known_ids.txt")


def test_no_id_that_was_ever_given_has_gone() -> None:
    gone = set(KNOWN.read_text().split()) - set(load_register())
    assert not gone, f"an ID is never dropped or renamed; list the requirement as untested instead: {sorted(gone)}"


def test_every_new_id_is_written_down() -> None:
    new = set(load_register()) - set(KNOWN.read_text().split())
    assert not new, f"add to {KNOWN.name}: {sorted(new)}"


def test_the_document_and_the_register_say_the_same() -> None:
    written = (ROOT / "docs" / "contract.md").read_text()
    assert written == to_markdown(load_register()), "run: python -m conformance list --markdown > docs/contract.md"


def test_there_are_at_least_ninety_requirements_in_all_groups() -> None:
    register = load_register()
    assert len(register) >= 90
    assert {entry.group for entry in register.values()} == set(GROUPS.values())


@pytest.mark.parametrize("field", ["sentence", "reason", "source"])
def test_every_requirement_says(field: str) -> None:
    assert [entry.id for entry in load_register().values() if not getattr(entry, field).strip()] == []


def test_every_requirement_is_checked_or_says_why_not() -> None:
    unclear = [entry.id for entry in load_register().values() if (entry.check is None) == (not entry.untested)]
    assert unclear == []


def test_every_must_has_a_wrong_backend_that_shows_its_check_can_fail() -> None:
    assert uncovered(load_register()) == []


def test_a_requirement_stands_on_none_of_a_higher_level() -> None:
    register = load_register()
    odd = [(entry.id, id) for entry in register.values() for id in entry.after if register[id].level > entry.level]
    assert odd == []
