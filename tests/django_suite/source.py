"""Django's own tests, from its published source distribution, of the very version an interpreter has installed."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

__all__ = ["Unavailable", "interpreter_of", "unpacked"]

ROOT = Path(__file__).resolve().parents[2]


class Unavailable(Exception):
    """Django, its interpreter, or its source distribution cannot be had here."""


def interpreter_of(series: str) -> Path:
    """The interpreter of the environment for the Django *series* (``5.2``)."""
    found = ROOT / f".venv-django-{series}" / "bin" / "python"
    if not found.exists():
        raise Unavailable(
            f"there is no environment with Django {series}; make it: python scripts/django_environments.py"
        )
    return found


def installed_version(interpreter: Path) -> str:
    asked = [str(interpreter), "-c", "import django; print(django.__version__)"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def unpacked(interpreter: Path, folder: Path) -> Path:
    """The folder of its Django's source, below *folder*, where nothing of it outlives the run."""
    version = installed_version(interpreter)
    pip = [str(interpreter), "-m", "pip", "--disable-pip-version-check", "download", "-qq", "--no-deps"]
    command = [*pip, "--no-binary", "django", "--dest", str(folder), f"django=={version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    archives = sorted(folder.glob("[dD]jango-*.tar.gz"))
    if not archives:
        raise Unavailable(f"Django {version}'s source distribution was not found here: {done.stderr.strip()[-300:]}")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(folder, filter="data")
    archives[0].unlink()
    return next(path for path in folder.iterdir() if (path / "tests" / "runtests.py").exists())
