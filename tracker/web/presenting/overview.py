"""The overview, as people read it. None stands for an answer that did not come: a dash, never 0."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from flask import url_for

from tracker.domain.fold import Outcome
from tracker.domain.overview import LINK, STATUSES, Measure, Normal, Part, midnight
from tracker.domain.pace import Pace
from tracker.domain.status import LABELS
from tracker.protocol.codes import error_meaning
from tracker.services.overview import (
    HOURS_SAMPLED,
    HOURS_SHOWN,
    SAMPLED_AN_HOUR,
    Carrier,
    Recent,
    Traffic,
    week_begin,
)
from tracker.store.gateway_state import StateRow
from tracker.store.overview import Bounded, FailureRow, Queue
from tracker.store.rows import AlertRow
from tracker.store.spool import SpoolState

from .gateway import Slowed, banner_of, slowed_of
from .texts import age, gap
from .watch import AlertLine, alert_lines

PART_LABELS: Final = {
    Part.DELIVERED: "Delivered",
    Part.LINK: "Delivered as link",
    Part.WAITING: "Waiting",
    Part.UNKNOWN: "Unknown",
    Part.FAILED: "Failed",
}
_SAME: Final = 0.005  # a change below this share is none
_PERCENT: Final = "\u00a0%"  # no line is to break before it


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number, what it means, how it stands against a normal day, and where its list is."""

    name: str
    value: str | None
    meaning: str
    url: str
    against: str = ""
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class HourLine:
    """One hour of a chart, which is drawn from its table."""

    hour: datetime
    shown: str
    values: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Today:
    """How today goes; `stacks` is None when that did not come."""

    figures: list[Figure]
    normal_note: str
    is_behind: bool
    parts: list[tuple[str, str]]  # class and label
    stacks: list[HourLine] | None
    hours_shown: int
    is_empty: bool
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How the gateway, the queue and the spool do; None is a dash."""

    state: str | None
    is_paused: bool
    why: str
    since: datetime | None
    pace: str | None
    slowed: Slowed | None
    due: str | None
    oldest_due: str
    later: str | None
    sending: str | None
    last_postback_at: datetime | None
    last_postback: str | None
    spool: str | None
    is_spool_bad: bool
    now: datetime


@dataclass(frozen=True, slots=True)
class OpenAlerts:
    """The open alerts: the newest of them, and how many there are."""

    count: int | None
    lines: list[AlertLine]

    @property
    def news(self) -> str:
        """What is told to those who cannot see it change."""
        return "" if self.count is None else f"{self.count} open alerts."


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


def today_view(
    *,
    traffic: Traffic | None,
    unmatched: Bounded | None,
    quarantined: Bounded | None,
    red_from: float,
    now: datetime,
) -> Today:
    """Return how today goes; the share of failures is red from so many percent on."""
    day = midnight(now).date().isoformat()
    return Today(
        figures=[
            *_figures(traffic, day, red_from),
            _shelf("Unmatched postbacks", Outcome.UNMATCHED, unmatched, "Wait for their message"),
            _shelf("In quarantine", Outcome.QUARANTINED, quarantined, "Kept aside, change nothing"),
        ],
        normal_note=_normal_note(traffic, now),
        is_behind=bool(traffic and traffic.is_behind),
        parts=[(part.value, PART_LABELS[part]) for part in Part],
        stacks=_stacks(traffic) if traffic else None,
        hours_shown=HOURS_SHOWN,
        is_empty=bool(traffic and not any(stack.values() for stack in traffic.stacks)
                      and not any(traffic.today.values())),
        now=now,
    )  # fmt: skip


def health_view(
    *,
    state: StateRow | None,
    pace: Pace | None,
    rate: float | None,
    queue: Queue | None,
    last_postback: tuple[datetime | None] | None,
    spool: SpoolState | None,
    now: datetime,
) -> Health:
    """Return how the gateway, the queue and the spool do."""
    banner = banner_of(state) if state and state.is_paused else None
    slowed = slowed_of(pace) if pace and pace.interval else None
    at = last_postback[0] if last_postback else None
    return Health(
        state=_state(state, slowed) if state else None,
        is_paused=banner is not None,
        why=f"By {banner.by}: {banner.why}" if banner else "",
        since=banner.since if banner else None,
        pace=_pace(rate) if state else None,
        slowed=slowed,
        due=_bounded(queue.due) if queue else None,
        oldest_due=f"the oldest {age(now - queue.oldest_due_at)}"
        if queue and queue.oldest_due_at
        else "",
        later=f"{queue.later:,}" if queue else None,
        sending=f"{queue.sending:,}" if queue else None,
        last_postback_at=at,
        last_postback=last_postback and (age(now - at) if at else "None yet"),
        spool=_spool(spool, now) if spool else None,
        is_spool_bad=bool(spool and (spool.records or spool.set_aside)),
        now=now,
    )


def alerts_view(count: int | None, rows: Sequence[AlertRow] | None) -> OpenAlerts:
    """Return the open alerts; without their number nothing is said of them."""
    return OpenAlerts(None if rows is None else count, alert_lines(rows or ()))


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


def _figures(traffic: Traffic | None, day: str, red_from: float) -> list[Figure]:
    share = traffic.failed_share if traffic else None
    is_bad = share is not None and 100 * share >= red_from
    said = {
        Measure.SENT: ("Sent", "The gateway took them"),
        Measure.DELIVERED: ("Delivered", "A receipt says so"),
        Measure.LINK: ("Delivered as link", "Of the delivered, as a text message with a link"),
        Measure.WAITING: ("Waiting", "In the queue, or sent and without a receipt so far"),
        Measure.FAILED: ("Failed", _failed_meaning(share, red_from, is_bad=is_bad)),
        Measure.UNKNOWN: ("Unknown", "No answer from the gateway, or no receipt in days"),
    }
    return [
        Figure(
            name=name,
            value=f"{traffic.today[measure]:,}" if traffic else None,
            meaning=meaning,
            url=_list_url(measure, day),
            against=_against(traffic, measure),
            is_bad=is_bad and measure is Measure.FAILED,
        )
        for measure, (name, meaning) in said.items()
    ]


def _failed_meaning(share: float | None, red_from: float, *, is_bad: bool) -> str:
    if share is None:
        return "Refused by the gateway, or not delivered"
    side = "too many: red from" if is_bad else "red from"
    return f"{_percent(share)} of those the gateway was asked for; {side} {red_from:g}{_PERCENT}"


def _against(traffic: Traffic | None, measure: Measure) -> str:
    """Say how a number stands against the same part of a normal day."""
    if traffic is None or traffic.normal is None or measure is Measure.WAITING:
        return ""  # what waited then has ended since: nothing to compare with
    usual, here = traffic.normal.counts[measure], traffic.today[measure]
    said = f"Normal by now: {usual:,.0f}" if usual >= 10 else f"Normal by now: {usual:.1f}"
    if usual < 10:  # a few more or less say nothing
        return said
    change = here / usual - 1
    if abs(change) < _SAME:
        return f"{said}, as today"
    return f"{said}; today {abs(change) * 100:,.0f}{_PERCENT} {'more' if change > 0 else 'fewer'}"


def _normal_note(traffic: Traffic | None, now: datetime) -> str:
    if traffic is None:
        return ""
    normal: Normal | None = traffic.normal
    if normal is None:
        return (
            "There is too little history to say what is normal:"
            " it takes three whole days before today."
        )
    days = "the last 7 days" if normal.days == 7 else f"the {normal.days} days that are known"
    return (
        f"Normal is the mean of {days}, each from 00:00 to {now:%H:%M} UTC;"
        f" of the hour from {now:%H}:00 each gives the part that has passed today."
    )


def _shelf(name: str, outcome: Outcome, count: Bounded | None, meaning: str) -> Figure:
    return Figure(
        name=name,
        value=_bounded(count) if count else None,
        meaning=f"{meaning}; of all days",
        url=url_for("journal.list_postbacks", outcome=outcome.value),
    )


def _list_url(measure: Measure, day: str) -> str:
    asked: dict[str, Any] = {"status": [s.value for s in STATUSES[measure]], "created_from": day}
    if measure is Measure.LINK:
        asked["sent_as"] = LINK
    return url_for("pages.list_messages", **asked)


def _stacks(traffic: Traffic) -> list[HourLine]:
    return [
        HourLine(hour, _hour(hour), [f"{stack[part]}" for part in Part])
        for hour, stack in zip(traffic.hours, traffic.stacks, strict=True)
    ]


def _times(recent: Recent) -> list[HourLine]:
    return [
        HourLine(one.hour, _hour(one.hour), [_seconds(one.median), _seconds(one.slow)])
        for one in recent.times
    ]


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f}"


def _hour(hour: datetime) -> str:
    return f"{hour.day} {hour:%b, %H:%M}"


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
            _percent(row.delivered / row.ended) if row.ended else "none ended",
            _duration(carrier.usual) if carrier.usual is not None else "too few",
        ],
    )


def _handsets(recent: Recent, now: datetime) -> list[Line]:
    day = (now - timedelta(hours=HOURS_SAMPLED)).date().isoformat()
    return [
        Line(
            name,
            url_for("pages.list_messages", handset=name, created_from=day),
            [f"{count:,}", _percent(count / recent.named)],
        )
        for name, count in recent.handsets
    ]


def _sample_note(recent: Recent | None) -> str:
    if recent is None:
        return ""
    note = f"From the last {HOURS_SAMPLED} hours, at most {SAMPLED_AN_HOUR} messages of each hour"
    return f"{note}; some hours had more." if recent.is_cut else f"{note}; no hour had more."


def _state(state: StateRow, slowed: Slowed | None) -> str:
    if state.is_paused:
        return "Paused"
    return "Sending, slowed" if slowed else "Sending"


def _pace(rate: float | None) -> str:
    return f"At most {rate:g} a second, over all senders" if rate else "As fast as it can"


def _spool(spool: SpoolState, now: datetime) -> str:
    parts = []
    if spool.records:
        since = f", the oldest {age(now - spool.oldest_at)}" if spool.oldest_at else ""
        parts.append(f"{spool.records:,} postbacks wait on disk for the database{since}")
    if spool.set_aside:
        parts.append(f"{spool.set_aside} damaged pieces set aside")
    return "; ".join(parts) or "Empty"


def _bounded(count: Bounded) -> str:
    return f"more than {count.count:,}" if count.is_more else f"{count.count:,}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}{_PERCENT}"


def _duration(seconds: float) -> str:
    return gap(timedelta(seconds=seconds)).removeprefix("+")
