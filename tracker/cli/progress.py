"""How far a long command is, for whoever waits for it."""

import signal
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from threading import Event
from typing import Final

import click

from tracker.services.rebuild import Progress

from .common import talk

SECONDS_BETWEEN_LINES: Final = 5.0
_CLEAR_LINE: Final = "\r\x1b[K"


class Shown(ExitStack):
    """How far it is, on stderr: a bar on a terminal, elsewhere a line now and then."""

    def __init__(self) -> None:
        super().__init__()
        self._last = Progress("", 0, 0)
        self._said_at = time.monotonic()

    def show(self, progress: Progress) -> None:
        """Show that so much is done."""
        if not sys.stderr.isatty():
            if time.monotonic() - self._said_at >= SECONDS_BETWEEN_LINES:
                talk(f"{progress.stage}: {progress.done} of {progress.total}")
                self._said_at = time.monotonic()
            return
        if progress.stage != self._last.stage:
            self.close()
            bar = click.progressbar(length=progress.total, label=progress.stage, file=sys.stderr)
            self._bar = self.enter_context(bar)
            self._last = Progress(progress.stage, 0, 0)
        self._bar.update(progress.done - self._last.done)
        self._last = progress


def until_stopped(steps: Iterable[Progress]) -> bool:
    """Do the steps and show them, until SIGINT or SIGTERM; say whether all are done."""
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with Shown() as shown:
        for progress in steps:
            shown.show(progress)
            if stop.is_set():
                return False
    return True


def make_room() -> None:
    """Take the bar off the line that is about to be written; its next step draws it again."""
    if sys.stderr.isatty() and sys.stdout.isatty():
        click.echo(_CLEAR_LINE, nl=False, err=True)
