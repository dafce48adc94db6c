"""A word from the author's code, had in a child: what it does or leaves must not be here when the checks fork."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable
from pathlib import Path

__all__ = ["PATIENCE", "aside", "redirect", "rest_of"]

PATIENCE = 5.0
"""Seconds for an answer; it may import a driver."""

_PIPE_HOLDS = 4096  # bytes, written and read in one piece; an answer is shorter


def aside(ask: Callable[[], str], prints: Path | str = os.devnull) -> str:
    """What *ask* returns in a forked child; nothing, if that hangs or ends by itself. It prints to *prints*."""
    receiving, sending = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(receiving)
            os.setsid()
            redirect(prints)
            os.write(sending, ask().encode()[:_PIPE_HOLDS])
        finally:
            os._exit(0)
    os.close(sending)
    select.select([receiving], [], [], PATIENCE)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)  # before it is waited for, so that its number is not somebody else's
    os.waitpid(pid, 0)
    said = rest_of(receiving)
    os.close(receiving)
    return said.decode(errors="replace")


def rest_of(pipe: int) -> bytes:
    """What has come already, without waiting for more."""
    os.set_blocking(pipe, False)
    rest = b""
    try:
        while data := os.read(pipe, 65536):
            rest += data
    except BlockingIOError:  # somebody still holds the other end
        pass
    return rest


def redirect(output: Path | str) -> None:
    """Standard input from nowhere, output and errors into a file."""
    nothing, file = os.open(os.devnull, os.O_RDONLY), os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(nothing, 0)
    os.dup2(file, 1)
    os.dup2(file, 2)
