"""Transactions: atomic blocks, savepoints, and what a second session sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend_sdk import SupportsTransactions

from ..register import requirement

if TYPE_CHECKING:
    from ..subject import Subject


@requirement(
    "TX-001",
    "What an atomic block wrote is seen by another session after its end, and not before",
    reason="rows committed late, early or never are the commonest defect of backends",
    source="PEP 249, Connection.commit",
    level=1,
    after=("LIFE-001",),
    blame=("commit", "begin"),
    advice="begin() must start a transaction at the server, commit() end it",
)
def atomic_commits(subject: Subject) -> None:
    subject.needs(SupportsTransactions)
    subject.create_table()
    wrapper = subject.wrapper()
    with wrapper.atomic():
        subject.insert(wrapper, 1)
        before = subject.count_rows()
    subject.require(before == 0, "another session saw a row before the block had ended", blame="begin")
    after = subject.count_rows()
    subject.require(after == 1, f"after the block another session sees {after} row(s) instead of 1", blame="commit")
    wrapper.close()
