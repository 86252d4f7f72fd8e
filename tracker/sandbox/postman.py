"""Delivering postbacks over HTTP as the gateway does, with its retries.

Source: PROTOCOL 6.1. All of it happens on the event loop: timers wait for what falls due, and a few
posts are under way at a time, so that neither answering calls nor other messages wait for a slow
receiver. The postbacks of one message leave one at a time, in the order in which they fell due.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
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
    """Posts letters when they are due, until closed. Letters come from any thread."""

    def __init__(self, options: SandboxOptions, loop: asyncio.AbstractEventLoop) -> None:
        self.url = options.postback_url
        self._options = options
        self._loop = loop
        self._waiting = 0
        self._lanes: dict[str, deque[Letter]] = {}
        self._ready: deque[str] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._is_paused = False

    @property
    def is_paused(self) -> bool:
        """Say whether what falls due is held back."""
        return self._is_paused

    @property
    def waiting(self) -> int:
        """How many letters are not due yet, held back or under way."""
        return self._waiting

    def pause(self) -> None:
        """Hold back what falls due from now on; any thread may ask."""
        self._is_paused = True

    def resume(self) -> None:
        """Post what was held back, and go on; any thread may ask."""
        self._is_paused = False
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._work)

    def post(self, letters: Iterable[tuple[float, Letter]]) -> None:
        """Take letters, each with the seconds of gateway time until it is due."""
        began = time.monotonic()
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._take, list(letters), began)

    def post_first(self, letters: Sequence[tuple[float, Letter]], done: Callable[[], None]) -> None:
        """Take letters that are all due at once; `done` is called when each was tried once."""
        left = len(letters)
        if left == 0:
            done()
            return

        def tried() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                done()

        for _, letter in letters:
            letter.on_tried = tried
        self.post([(0.0, letter) for _, letter in letters])

    async def close(self) -> None:
        """Post nothing more, and break off what is under way."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _take(self, letters: list[tuple[float, Letter]], began: float) -> None:
        gone = time.monotonic() - began
        for wait, letter in letters:
            if self._is_closed or self._waiting >= _MAX_WAITING:
                letter.record.state = "dropped"
                continue
            self._waiting += 1
            seconds = wait * self._options.time_factor - gone
            self._loop.call_later(max(0.0, seconds), self._fall_due, letter)

    def _fall_due(self, letter: Letter) -> None:
        if not letter.record.body:
            letter.record.body = letter.write(datetime.now(UTC))
        self._waiting += letter.copies - 1
        for _ in range(letter.copies):
            self._enter_lane(letter)
        letter.copies = 1  # a retry is no new copy

    def _enter_lane(self, letter: Letter) -> None:
        key = letter.record.tracking_id
        lane = self._lanes.setdefault(key, deque())
        lane.append(letter)
        if len(lane) == 1:
            self._ready.append(key)
            self._work()

    def _work(self) -> None:
        is_held = self._is_paused or self._is_closed
        while not is_held and self._ready and len(self._tasks) < self._options.workers:
            task = self._loop.create_task(self._serve(self._ready.popleft()))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._work()

    async def _serve(self, key: str) -> None:
        lane = self._lanes[key]
        letter = lane[0]
        await self._attempt(letter)
        self._waiting -= 1
        on_tried, letter.on_tried = letter.on_tried, None
        if on_tried:
            on_tried()
        lane.popleft()
        if lane:
            self._ready.append(key)
        else:
            del self._lanes[key]

    async def _attempt(self, letter: Letter) -> None:
        record = letter.record
        if self.url is None:
            record.state = "unposted"
            return
        attempt = await self._posted(self.url, letter)
        record.attempts.append(attempt)
        if attempt.is_accepted:
            record.state = "accepted"
        elif len(record.attempts) <= self._options.retries:
            self.post([(self._options.retry_seconds, letter)])
        elif record.state == "waiting":
            record.state = "dropped"

    async def _posted(self, url: str, letter: Letter) -> Attempt:
        started_at = datetime.now(UTC)
        seconds = self._options.receiver_seconds
        try:
            status = await post(url, letter.record.body, letter.content_type, seconds)
        except (OSError, ValueError) as error:
            return Attempt(started_at, None, type(error).__name__)
        return Attempt(started_at, status)
