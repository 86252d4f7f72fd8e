"""Small disks, which fill: a tmpfs for as long as a trial needs it. Only root can mount one."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class NoDiskError(Exception):
    """This machine lets us mount nothing."""


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Put a disk of this size at `folder` while the block runs.

    Raises:
        NoDiskError: not here.
    """
    folder.mkdir()
    _mount(folder, f"size={size}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def resize(folder: Path, size: str) -> None:
    """Give a small disk more room."""
    _mount(folder, f"remount,size={size}")


def _mount(folder: Path, options: str) -> None:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise NoDiskError(f"no small disk: {error}") from error
    if done.returncode:
        raise NoDiskError(f"no small disk: {done.stderr.strip()}")
