"""The overview, as people read it. None stands for an answer that did not come: a dash, never 0."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from flask import url_for

from tracker.domain.fold import Outcome
from tracker.domain.overview import LINK, STATUSES, Measure, Normal, Part, midnight
from tracker.services.overview import (
    HOURS_SHOWN,
    Traffic,
)
from tracker.store.overview import Bounded

from .overview_lines import PERCENT, HourLine, bounded, hour_text, percent

PART_LABELS: Final = {
    Part.DELIVERED: "Delivered",
    Part.LINK: "Delivered as link",
    Part.WAITING: "Waiting",
    Part.UNKNOWN: "Unknown",
    Part.FAILED: "Failed",
}
_SAME: Final = 0.005  # a change below this share is none


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number, what it means, how it stands against a normal day, and where its list is."""

    name: str
    value: str | None
    meaning: str
    url: str
    against: str = ""
    is_bad: bool = False


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
    return f"{percent(share)} of those the gateway was asked for; {side} {red_from:g}{PERCENT}"


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
    return f"{said}; today {abs(change) * 100:,.0f}{PERCENT} {'more' if change > 0 else 'fewer'}"


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
        value=bounded(count) if count else None,
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
        HourLine(hour, hour_text(hour), [f"{stack[part]}" for part in Part])
        for hour, stack in zip(traffic.hours, traffic.stacks, strict=True)
    ]
