"""Reports: right at any minute, whatever has been counted already."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from api_support import Api, api_of, is_problem
from builders import a_postback, accepted, queued
from flask import Flask
from pages_support import arrived
from sqlalchemy import select, update

from tracker.domain.report import GroupBy
from tracker.services import manage, rollups
from tracker.store import ingest, reports
from tracker.store.db import Sessions
from tracker.store.models import Message
from tracker.store.rollups import hour_of

HOUR = timedelta(hours=1)


@pytest.fixture
def api(app: Flask, session_factory: Sessions, now: datetime) -> Api:
    return api_of(app, session_factory, now)


def seeded(sessions: Sessions) -> None:
    """Store messages of three days, of every kind that a report tells apart."""
    for number in range(12):
        campaign = {"campaign_ref": "7"} if number % 3 == 0 else {}
        accepted(sessions, f"T{number}", mms_id=["1", "2"][number % 2], **campaign)
    for number in range(9):
        arrived(sessions, a_postback("N102", TRACKINGID=f"T{number}", SPID=f"000{number % 2}"))
    arrived(sessions, a_postback("E102", TRACKINGID="T9"))
    manage.cancel(sessions, queued(sessions, mms_id="1"), "test", datetime.now(UTC))
    queued(sessions, mms_id="2")
    with sessions.begin() as session:
        for place, row in enumerate(session.scalars(select(Message).order_by(Message.id))):
            at = row.created_at - 25 * HOUR * (place % 3)
            session.execute(update(Message).where(Message.id == row.id).values(created_at=at))
            ingest.mark_hours(session, {at})


def grouped(sessions: Sessions, by: GroupBy) -> Counter[tuple[str | None, str]]:
    """Count the messages themselves, one by one."""
    found: Counter[tuple[str | None, str]] = Counter()
    with sessions() as session:
        for row in session.scalars(select(Message)):
            hour = hour_of(row.created_at).isoformat()
            value: Any = {
                "hour": hour[:13], "day": hour[:10], "code": row.error_code,
            }.get(by.value, getattr(row, by.value, None))  # fmt: skip
            found[None if value is None else str(value), row.status.value] += 1
    return found


@pytest.mark.parametrize("by", list(GroupBy))
@pytest.mark.parametrize("is_counted", [True, False])
def test_a_report_counts_what_there_is(
    api: Api, session_factory: Sessions, by: GroupBy, *, is_counted: bool
) -> None:
    seeded(session_factory)
    if is_counted:
        rollups.refresh(session_factory)
    report = api.get("/reports/summary", group_by=by.value).json
    said = Counter({
        (item["group"], status): count
        for item in report["items"]
        for status, count in item["statuses"].items()
        if count
    })  # fmt: skip
    assert said == grouped(session_factory, by)
    assert report["is_behind"] is False
    total = report["total"]
    assert (total["messages"], total["delivered"], total["waiting"]) == (14, 9, 3)
    assert (total["sent"], total["failed"], total["delivery_share"]) == (12, 1, 0.75)
    assert [item["group"] for item in report["items"]] == sorted(
        {group for group, _ in said}, key=lambda group: (group is None, group)
    )


def test_a_change_is_in_the_report_at_once(api: Api, session_factory: Sessions) -> None:
    accepted(session_factory, "T")
    rollups.refresh(session_factory)
    assert api.get("/reports/summary").json["total"]["delivered"] == 0
    arrived(session_factory, a_postback("N102", TRACKINGID="T"))
    assert api.get("/reports/summary").json["total"]["delivered"] == 1


def test_too_many_hours_out_of_date_are_said_to_be(
    api: Api, session_factory: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "MOST_LIVE", 1)
    seeded(session_factory)
    report = api.get("/reports/summary").json
    assert report["is_behind"] is True
    rollups.refresh(session_factory)
    assert api.get("/reports/summary").json["is_behind"] is False


def test_a_period_is_widened_to_whole_hours(api: Api, session_factory: Sessions) -> None:
    seeded(session_factory)
    now = datetime.now(UTC)
    asked = {"from": (now - 2 * HOUR).isoformat(), "to": now.isoformat()}
    report = api.get("/reports/summary", **asked).json
    assert report["from"] == f"{hour_of(now - 2 * HOUR):%Y-%m-%dT%H:%M:%S}Z"
    assert report["to"] == f"{hour_of(now) + HOUR:%Y-%m-%dT%H:%M:%S}Z"
    newest = [row for row in grouped(session_factory, GroupBy.HOUR).items() if row[0][0]]
    expected = sum(n for (hour, _), n in newest if str(hour) >= f"{now - 2 * HOUR:%Y-%m-%dT%H}")
    assert report["total"]["messages"] == expected


def test_the_file_has_the_same_lines(api: Api, session_factory: Sessions) -> None:
    seeded(session_factory)
    file = api.get("/reports/summary.csv", group_by="mms_id")
    assert file.content_type == "text/csv; charset=utf-8"
    head, *rows = file.text.splitlines()
    assert head.startswith("group,messages,sent,delivered,delivered_as_link,")
    items = api.get("/reports/summary", group_by="mms_id").json["items"]
    assert [row.split(",")[:2] for row in rows] == [[i["group"], str(i["messages"])] for i in items]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"group_by": "moon"}, "group_by"),
        ({"from": "yesterday"}, "from"),
        ({"form": "2026-01-01"}, "form"),
    ],
)
def test_a_wrong_question_is_named(api: Api, query: dict[str, str], field: str) -> None:
    for path in ("/reports/summary", "/reports/summary.csv"):
        problem = is_problem(api.get(path, **query), 400)
        assert {error["field"] for error in problem["errors"]} == {field}


@pytest.mark.parametrize(
    ("query", "days"),
    [
        ({"from": "2026-11-20T00:00:00Z", "to": "2026-11-19T00:00:00Z"}, 0),
        ({"from": "2026-01-01", "to": "2026-11-19", "group_by": "hour"}, 31),
        ({"from": "0044-01-01", "to": "2026-11-19"}, 3660),
        ({"to": "0001-01-01"}, 7),
        ({"from": "9999-12-31T23:30:00Z", "to": "9999-12-31T23:30:00Z"}, 0),
    ],
)
def test_an_odd_period_is_cut_and_said(api: Api, query: dict[str, str], days: int) -> None:
    report = api.get("/reports/summary", **query).json
    begin, end = (datetime.fromisoformat(report[name]) for name in ("from", "to"))
    assert end - begin == timedelta(days=days)


def test_a_report_needs_a_token(app: Flask) -> None:
    assert app.test_client().get("/api/v1/reports/summary").status_code == 401
