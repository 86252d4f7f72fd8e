"""Delivering postbacks over HTTP as the gateway does, with its retries.

Source: PROTOCOL 6.1. One thread waits for what falls due, a few others post it, so that neither
answering calls nor other messages wait for a slow receiver. The postbacks of one message leave
one at a time, in the order in which they fell due.
"""

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from queue import SimpleQueue
from typing import Final

from .options import SandboxOptions
from .posting import post
from .records import Attempt, Posted

_MAX_WAITING: Final = 200_000  # letters; more are dropped


@dataclass(slots=True, kw_only=True)
class Letter:
    """One postback on its way; `write` is called once, when it first falls due."""

    record: Posted
    write: Callable[[datetime], bytes]
    content_type: str
    copies: int = 1
    on_tried: Callable[[], None] | None = None  # called once, when the first attempt is over


class Postman:
    """Posts letters when they are due, until closed."""

    def __init__(self, options: SandboxOptions) -> None:
        self.url = options.postback_url
        self._options = options
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Letter]] = []
        self._order = itertools.count()
        self._lanes: dict[str, deque[Letter]] = {}
        self._ready: SimpleQueue[str | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._is_closed = False

    def post(self, letters: Iterable[tuple[float, Letter]]) -> None:
        """Take letters, each with the seconds of gateway time until it is due."""
        now = time.monotonic()
        with self._changed:
            if self._is_closed:
                return
            self._start()
            for wait, letter in letters:
                if len(self._due) >= _MAX_WAITING:
                    letter.record.state = "dropped"
                    continue
                due = now + wait * self._options.time_factor
                heapq.heappush(self._due, (due, next(self._order), letter))
            self._changed.notify()

    def post_first(self, letters: Sequence[tuple[float, Letter]], done: Callable[[], None]) -> None:
        """Take letters that are all due at once; `done` is called when each was tried once."""
        left = len(letters)
        if left == 0:
            done()
            return

        def tried() -> None:
            nonlocal left
            with self._changed:
                left -= 1
                is_last = left == 0
            if is_last:
                done()

        for _, letter in letters:
            letter.on_tried = tried
        self.post([(0.0, letter) for _, letter in letters])

    def close(self) -> None:
        """Post nothing more; an attempt under way is left to itself."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        for _ in self._threads[1:]:
            self._ready.put(None)
        for thread in self._threads:
            thread.join(timeout=0.5)

    def _start(self) -> None:
        if not self._threads:
            jobs = [self._dispatch, *([self._work] * self._options.workers)]
            self._threads = [threading.Thread(target=job, daemon=True) for job in jobs]
            for thread in self._threads:
                thread.start()

    def _dispatch(self) -> None:
        while (letter := self._next_due()) is not None:
            if not letter.record.body:
                letter.record.body = letter.write(datetime.now(UTC))
            with self._changed:
                for _ in range(letter.copies):
                    self._enter_lane(letter)
                letter.copies = 1  # a retry is no new copy

    def _next_due(self) -> Letter | None:
        with self._changed:
            while not self._is_closed:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait)
            return None

    def _enter_lane(self, letter: Letter) -> None:
        key = letter.record.tracking_id
        lane = self._lanes.setdefault(key, deque())
        lane.append(letter)
        if len(lane) == 1:
            self._ready.put(key)

    def _work(self) -> None:
        while (key := self._ready.get()) is not None:
            letter = self._lanes[key][0]
            self._attempt(letter)
            on_tried, letter.on_tried = letter.on_tried, None
            if on_tried:
                on_tried()
            with self._changed:
                lane = self._lanes[key]
                lane.popleft()
                if lane:
                    self._ready.put(key)
                else:
                    del self._lanes[key]

    def _attempt(self, letter: Letter) -> None:
        record = letter.record
        if self.url is None:
            record.state = "unposted"
            return
        attempt = self._posted(self.url, letter)
        record.attempts.append(attempt)
        if attempt.is_accepted:
            record.state = "accepted"
        elif len(record.attempts) <= self._options.retries:
            self.post([(self._options.retry_seconds, letter)])
        elif record.state == "waiting":
            record.state = "dropped"

    def _posted(self, url: str, letter: Letter) -> Attempt:
        started_at = datetime.now(UTC)
        started = time.monotonic()
        seconds = self._options.receiver_seconds
        try:
            status = post(url, letter.record.body, letter.content_type, seconds)
        except (OSError, ValueError, HTTPException) as error:
            return Attempt(started_at, None, type(error).__name__)
        is_late = time.monotonic() - started > seconds
        return Attempt(started_at, status, "too late" if is_late else None)
