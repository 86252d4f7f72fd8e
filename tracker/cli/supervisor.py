"""Runs the parts of `tracker up` as child processes: starts, restarts and stops them."""

import ctypes
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Final

import requests

from .common import RefusedError, talk

START_SECONDS: Final = 30.0
MAX_PAUSE_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.5
_PR_SET_PDEATHSIG: Final = 1


@dataclass(slots=True)
class Part:
    """One child process; `grace_seconds` is how long it may take to stop."""

    name: str
    command: Sequence[str]
    health_url: str | None
    grace_seconds: float = 20.0
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    pause_seconds: float = field(default=1.0)

    def start(self, environ: Mapping[str, str]) -> None:
        """Start it in a group of its own: a Ctrl-C reaches us alone, and we stop it in order."""
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603  # our own command line
            self.command,
            env=dict(environ),
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509  # no threads here
        )

    def stop(self) -> None:
        """Ask it to stop, and end it when it does not."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(self.grace_seconds)
        except subprocess.TimeoutExpired:
            talk(f"{self.name} did not stop in {self.grace_seconds:.0f} s and was ended")
            self.process.kill()
            self.process.wait()

    def exit_code(self) -> int | None:
        """Return how it ended; None while it runs."""
        return self.process.poll() if self.process else None


def supervise(
    parts: Sequence[Part], environ: Mapping[str, str], on_ready: Callable[[], None]
) -> None:
    """Keep all parts running until SIGINT or SIGTERM; then stop them, the last one first.

    Raises:
        RefusedError: a part does not start at all.
    """
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        for part in parts:
            part.start(environ)
        _wait_until_ready(parts, stop)
        if not stop.is_set():
            on_ready()
            sys.stdout.flush()
        while not stop.wait(LOOK_SECONDS):
            _restart_dead(parts, environ, stop)
    finally:
        talk("Stopping.")
        for part in reversed(parts):
            part.stop()


def is_free(host: str, port: int) -> bool:
    """Say whether a server could listen there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _wait_until_ready(parts: Sequence[Part], stop: Event) -> None:
    deadline = time.monotonic() + START_SECONDS
    waiting = list(parts)
    while waiting and not stop.is_set():
        for part in parts:
            if (code := part.exit_code()) is not None:
                raise RefusedError(f"{part.name} did not start (exit {code}); see its lines above")
        waiting = [part for part in waiting if not _is_healthy(part)]
        if time.monotonic() > deadline:
            names = ", ".join(part.name for part in waiting)
            raise RefusedError(f"{names} did not answer within {START_SECONDS:.0f} s")
        stop.wait(0.1)


def _is_healthy(part: Part) -> bool:
    if part.health_url is None:
        return True
    with requests.Session() as session:
        session.trust_env = False  # a proxy of the user's does not know this machine's ports
        try:
            return session.get(part.health_url, timeout=2).status_code == 200
        except requests.RequestException:
            return False


def _restart_dead(parts: Sequence[Part], environ: Mapping[str, str], stop: Event) -> None:
    for part in parts:
        code = part.exit_code()
        if code is None:
            continue
        if time.monotonic() - part.started_at > 60:
            part.pause_seconds = 1.0
        talk(f"{part.name} ended (exit {code}); starting it again in {part.pause_seconds:.0f} s")
        if stop.wait(part.pause_seconds):
            return
        part.pause_seconds = min(2 * part.pause_seconds, MAX_PAUSE_SECONDS)
        part.start(environ)


def _die_with_parent() -> None:
    """Ask Linux to stop this child when `tracker up` itself is killed: no port stays held."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
