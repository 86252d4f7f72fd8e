"""What the last hours and days tell, as people read it. None is a dash, never 0."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import url_for

from tracker.domain.status import LABELS
from tracker.protocol.codes import error_meaning
from tracker.services.overview import (
    HOURS_SAMPLED,
    SAMPLED_AN_HOUR,
    Carrier,
    Recent,
    week_begin,
)
from tracker.store.overview import FailureRow

from .overview_lines import HourLine, hour_text, percent
from .texts import gap


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a small table, with the list behind its name."""

    name: str
    url: str | None
    values: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """What the last hours and days tell; None is a dash."""

    times: list[HourLine] | None
    has_times: bool
    failures: list[Line] | None
    carriers: list[Line] | None
    handsets: list[Line] | None
    sample_note: str
    since: datetime
    now: datetime


def detail_view(
    *,
    recent: Recent | None,
    failures: Sequence[FailureRow] | None,
    carriers: Sequence[Carrier] | None,
    now: datetime,
) -> Detail:
    """Return what the last hours and days tell."""
    since = week_begin(now)
    day = since.date().isoformat()
    return Detail(
        times=_times(recent) if recent else None,
        has_times=bool(recent and any(one.count for one in recent.times)),
        failures=None if failures is None else [_failure(row, day) for row in failures],
        carriers=None if carriers is None else [_carrier(one, day) for one in carriers],
        handsets=None if recent is None else _handsets(recent, now),
        sample_note=_sample_note(recent),
        since=since,
        now=now,
    )


def _times(recent: Recent) -> list[HourLine]:
    return [
        HourLine(one.hour, hour_text(one.hour), [_seconds(one.median), _seconds(one.slow)])
        for one in recent.times
    ]


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f}"


def _failure(row: FailureRow, day: str) -> Line:
    asked: dict[str, Any] = {"status": row.status.value, "created_from": day}
    name = LABELS[row.status]
    if row.code:
        asked["code"] = row.code
        name = f"{name}: {row.code}, {error_meaning(row.code) or 'a code nobody documented'}"
    return Line(name, url_for("pages.list_messages", **asked), [f"{row.messages:,}"])


def _carrier(carrier: Carrier, day: str) -> Line:
    row = carrier.row
    url = url_for("pages.list_messages", spid=row.spid, created_from=day)
    return Line(
        f"{carrier.name}, {row.spid}" if carrier.name else row.spid,
        url,
        [
            f"{row.messages:,}",
            percent(row.delivered / row.ended) if row.ended else "none ended",
            _duration(carrier.usual) if carrier.usual is not None else "too few",
        ],
    )


def _handsets(recent: Recent, now: datetime) -> list[Line]:
    day = (now - timedelta(hours=HOURS_SAMPLED)).date().isoformat()
    return [
        Line(
            name,
            url_for("pages.list_messages", handset=name, created_from=day),
            [f"{count:,}", percent(count / recent.named)],
        )
        for name, count in recent.handsets
    ]


def _sample_note(recent: Recent | None) -> str:
    if recent is None:
        return ""
    note = f"From the last {HOURS_SAMPLED} hours, at most {SAMPLED_AN_HOUR} messages of each hour"
    return f"{note}; some hours had more." if recent.is_cut else f"{note}; no hour had more."


def _duration(seconds: float) -> str:
    return gap(timedelta(seconds=seconds)).removeprefix("+")
