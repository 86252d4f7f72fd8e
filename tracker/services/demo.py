"""Fill an empty database with a week of invented traffic, to look at.

Messages are written as they are after their calls; from there on the tracker does its own work:
every postback goes through the receiver's ingest, and the hours are counted as ever.

Nothing of it can be sent, also while senders run: no message is ever due. Those that are still
queued belong to a batch that was paused.
"""

import heapq
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from tracker.domain.status import Status
from tracker.protocol.tracking import tracking_key
from tracker.store import accounts, batches
from tracker.store import demo as store
from tracker.store.batches import Hold, Stage
from tracker.store.db import Sessions
from tracker.store.demo import Called

from . import arrivals, receive, rollups
from .demo_plan import CARRIERS, SENDER, Plan, Planned, Post
from .rebuild import Progress

AT_ONCE: Final = 256  # messages or postbacks in one transaction
MOST_SEATS: Final = 600  # messages of the batch
_NAMES: Final = UUID("6d5a1f0e-7a53-4c1c-9d7e-0f2f6c1f4b11")  # ids that follow from others


class NotEmptyError(Exception):
    """The database has messages, batches or postbacks, which invented ones must not mix with."""


class Demo:
    """One filling of one database; `steps` does the work piece by piece."""

    def __init__(
        self, sessions: Sessions, plan: Plan, *, messages: int, zone: ZoneInfo, actor: str
    ) -> None:
        self.posted = 0
        self.queued = 0
        self._sessions = sessions
        self._plan = plan
        self._messages = messages
        self._zone = zone
        self._actor = actor
        self._coming: list[tuple[datetime, int, Post]] = []  # a heap; what is not posted yet
        self._last_answered: Planned | None = None

    def steps(self) -> Iterator[Progress]:
        """Fill the database, and say after each step how far it is.

        Raises:
            NotEmptyError: before anything is written.
        """
        self._begin()
        self._expect(self._plan.oddities())
        for planned in self._plan.hours():
            self._add(planned)
            if planned:
                self._post(min(planned[-1].created_at, self._plan.batch_at))
            yield Progress("messages", self.queued, self._messages)
        self._add_batch()
        if self._last_answered:
            self._expect([self._plan.forged(self._last_answered)])
        self._post(self._plan.until)
        yield Progress("messages", self._messages, self._messages)
        hours = rollups.refresh(self._sessions)
        yield Progress("hours", hours, hours)

    def _begin(self) -> None:
        with self._sessions.begin() as session:
            if not store.is_empty(session):
                raise NotEmptyError("the database is not empty")
            store.add_carriers(session, CARRIERS)
            accounts.audit(session, self._actor, "demo.fill", now=self._plan.until)

    def _add(self, planned: list[Planned], batch_id: int | None = None) -> None:
        """Write messages down as they are when their calls have ended, and expect their posts."""
        for first in range(0, len(planned), AT_ONCE):
            some = planned[first : first + AT_ONCE]
            with self._sessions.begin() as session:
                store.add(session, [_called(one, batch_id) for one in some])
            self.queued += len(some)
            for one in some:
                self._expect(one.posts)
                if one.tracking_id and one.created_at < self._plan.batch_at:
                    self._last_answered = one

    def _expect(self, posts: Sequence[Post]) -> None:
        for post in posts:
            if post.at <= self._plan.until:  # what comes later has not happened yet
                self.posted += 1
                heapq.heappush(self._coming, (post.at, self.posted, post))

    def _post(self, through: datetime) -> None:
        """Take what the gateway posts until a moment, in order, as the receiver does."""
        while self._coming and self._coming[0][0] <= through:
            some: list[Post] = []
            while self._coming and self._coming[0][0] <= through and len(some) < AT_ONCE:
                some.append(heapq.heappop(self._coming)[2])
            read = [
                arrivals.read(one.body, "text/xml", zone=self._zone, now=one.at) for one in some
            ]
            receive.ingest(self._sessions, read, zone=self._zone, now=some[-1].at)

    def _add_batch(self) -> None:
        """Write down a file of messages that was paused when two thirds of it were sent."""
        seats = self._plan.seats(min(MOST_SEATS, max(12, self._messages // 60)))
        with self._sessions.begin() as session:
            batch_id = batches.add(session, _batch(len(seats), self._plan, self._actor))
        self._add(seats, batch_id)


def _batch(rows: int, plan: Plan, actor: str) -> dict[str, Any]:
    headers = ["to", "mms_id", "reference", "pass.BARCODEVALUE"]
    size = len(",".join(headers)) + 1 + rows * 36
    counts = {"rows": rows, "wrong_rows": 0, "warnings": 0, "queued_rows": rows}
    return {
        "public_id": uuid5(_NAMES, f"{plan.until}"), "name": "concert-seats.csv",
        "status": Stage.QUEUED, "hold": Hold.PAUSED, "is_dry_run": False,
        "skips_wrong_rows": False, "actor": actor, "defaults": {"from": SENDER},
        "columns": [{"header": header, "field": header} for header in headers],
        "format": {"encoding": "utf-8", "separator": ",", "headers": headers},
        "size": size, "position": size, "position_row": rows, **counts,
        "created_at": plan.batch_at, "updated_at": plan.batch_at, "finished_at": plan.batch_at,
    }  # fmt: skip


def _called(planned: Planned, batch_id: int | None) -> Called:
    claim_id, pass_id = uuid5(_NAMES, planned.public_id.hex), planned.public_id.hex
    content: dict[str, Any] = {
        "custom_subject": None, "custom_text": [], "ddm": None, "data": {},
        "pass_data": {"BARCODEVALUE": pass_id[:12].upper(), "CUSTOMPASSID": pass_id},
    }  # fmt: skip
    message: dict[str, Any] = {
        "public_id": planned.public_id, "recipient": planned.to, "sender": SENDER,
        "mms_id": planned.mms_id, "campaign_ref": planned.campaign_ref,
        "reference": planned.reference, "custom_pass_id": pass_id,
        "created_at": planned.created_at, "batch_id": batch_id, "batch_row": planned.batch_row,
        **_outcome(planned), "attempts": 0 if planned.is_held_back else 1,
        "claim_id": None if planned.is_held_back else claim_id,
    }  # fmt: skip
    attempt = None if planned.is_held_back else {"claim_id": claim_id, **_attempt(planned)}
    return Called(message, content, attempt)


def _status(planned: Planned) -> Status:
    if planned.is_held_back:
        return Status.QUEUED
    if planned.tracking_id:
        return Status.ACCEPTED
    return Status.REFUSED if planned.code else Status.UNKNOWN


def _outcome(planned: Planned) -> dict[str, Any]:
    status, at = _status(planned), planned.answered_at
    is_accepted = status is Status.ACCEPTED
    return {
        "status": status,
        "updated_at": planned.created_at if planned.is_held_back else at,
        "tracking_id": planned.tracking_id,
        "tracking_key": tracking_key(planned.tracking_id) if planned.tracking_id else None,
        "sender_used": SENDER if is_accepted else None,
        "accepted_at": at if is_accepted else None,
        "error_code": planned.code,
        "error_info": planned.info,
        "finished_at": at if status is Status.REFUSED else None,
    }


def _attempt(planned: Planned) -> dict[str, Any]:
    detail = f"{planned.code}: {planned.info}" if planned.code else planned.info
    answer = (
        "<RESPONSE><STATUS>Success</STATUS>"
        f"<TRACKINGID>{planned.tracking_id}</TRACKINGID><FROM>{SENDER}</FROM></RESPONSE>"
    )
    return {
        "started_at": planned.begun_at,
        "finished_at": planned.answered_at,
        "outcome": _status(planned).value,
        "detail": detail,
        "answer": answer if planned.tracking_id else None,
    }
