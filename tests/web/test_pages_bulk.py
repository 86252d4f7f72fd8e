"""Bulk actions in the dashboard: from the list to the count, the confirmation and the result."""

import csv
import io
import re
from uuid import UUID, uuid4

import pytest
from builders import queued, reloaded
from flask import Flask
from flask.testing import FlaskClient
from pages_support import press, visitor, words
from sqlalchemy import func, select, update

from tracker.domain.status import Status
from tracker.services import bulk_actions
from tracker.store.db import Sessions
from tracker.store.models import AuditEntry, BulkAction, Message, Role

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
BULK = "/messages/bulk"
GOES_ON = 'hx-trigger="load delay:200ms"'


def made(sessions: Sessions, status: Status, **changes: object) -> UUID:
    public_id = queued(sessions, **changes)
    with sessions.begin() as session:
        session.execute(update(Message).where(Message.public_id == public_id).values(status=status))
    return public_id


def proposal(client: FlaskClient, do: str, **form: str) -> str:
    answer = press(client, BULK, do=do, **form)
    assert answer.status_code == 303
    return answer.location


def test_the_list_as_filtered_is_counted_then_cancelled(
    app: Flask, session_factory: Sessions
) -> None:
    wanted = [queued(session_factory, campaign_ref="812") for _ in range(2)]
    made(session_factory, Status.DELIVERED, campaign_ref="812")
    other = queued(session_factory)
    client = visitor(app)
    url = proposal(client, "cancel", campaign_ref="812")
    page = words(client.get(url))
    assert "2 messages will be cancelled" in page
    assert "Chosen from: Campaign: 812." in page
    assert "1 message cannot be, because" in page
    assert "Delivered: only what is queued can be cancelled. 1" in page
    assert reloaded(session_factory, wanted[0]).status is Status.QUEUED
    assert press(client, url).location == url
    page = words(client.get(url))
    assert "Done 2 cancelled." in page
    assert "1 were left out from the beginning" in page
    assert {reloaded(session_factory, one).status for one in wanted} == {Status.CANCELLED}
    assert reloaded(session_factory, other).status is Status.QUEUED


def test_ticked_rows_are_taken_alone_and_a_second_confirm_sends_nothing(
    app: Flask, session_factory: Sessions
) -> None:
    ticked, other = (made(session_factory, Status.FAILED) for _ in range(2))
    client = visitor(app)
    url = proposal(client, "resend", id=str(ticked))
    page = words(client.get(url))
    assert "1 message will be sent again" in page
    assert "Chosen from: 1 ticked message." in page
    for _ in range(2):
        press(client, url)
    assert "Done 1 queued again." in words(client.get(url))
    with session_factory() as session:
        told = session.scalar(select(AuditEntry.detail).where(AuditEntry.action == "messages.bulk"))
    assert told == "resend, 1 message; 1 ticked message"
    assert reloaded(session_factory, ticked).resent_as
    assert reloaded(session_factory, other).resent_as is None


def test_who_may_have_the_pass_already_is_warned_of(app: Flask, session_factory: Sessions) -> None:
    made(session_factory, Status.DELIVERED)
    made(session_factory, Status.UNKNOWN)
    made(session_factory, Status.FAILED)
    client = visitor(app)
    page = words(client.get(proposal(client, "resend")))
    assert "2 recipients have the first message already, or may have it" in page


def test_settling_several_asks_how_one_knows(app: Flask, session_factory: Sessions) -> None:
    public_id = made(session_factory, Status.UNKNOWN)
    client = visitor(app)
    url = proposal(client, "not_sent")
    refused = press(client, url, reason="")
    assert refused.status_code == 422
    assert "It must say why, in 1 to 500 characters." in words(refused)
    assert reloaded(session_factory, public_id).status is Status.UNKNOWN
    press(client, url, reason=HOSTILE)
    assert reloaded(session_factory, public_id).status is Status.REFUSED
    page = client.get(f"/messages/{public_id}")
    assert "<script>alert" not in page.text
    assert HOSTILE in words(page)


def test_a_long_action_goes_on_by_request_with_and_without_script(
    app: Flask, session_factory: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_actions, "STEP", 1)
    monkeypatch.setattr(bulk_actions.go_on, "__defaults__", (0.0,))
    for _ in range(3):
        queued(session_factory)
    client = visitor(app)
    url = proposal(client, "cancel")
    press(client, url)
    page = client.get(url)
    assert "1 of 3: 1 cancelled." in words(page)
    assert GOES_ON in page.text
    assert "is not finished: look at it" in words(client.get("/messages"))
    assert press(client, f"{url}/go-on").location == url
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token
    headers = {"HX-Request": "true"}
    for expected in ("3 of 3: 3 cancelled.", "Done 3 cancelled."):
        part = client.post(f"{url}/go-on", data={"csrf_token": token[1]}, headers=headers)
        assert expected in words(part)
        assert "<html" not in part.text
    assert "hx-post" not in part.text
    assert "is not finished" not in words(client.get("/messages"))


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """One message a request."""
    monkeypatch.setattr(bulk_actions, "STEP", 1)
    monkeypatch.setattr(bulk_actions.go_on, "__defaults__", (0.0,))


@pytest.mark.usefixtures("slow")
def test_to_look_at_an_action_later_does_not_go_on_with_it(
    app: Flask, session_factory: Sessions
) -> None:
    for _ in range(3):
        queued(session_factory)
    client, admin = visitor(app), visitor(app, Role.ADMIN)
    url = proposal(client, "cancel")
    press(client, url)
    assert GOES_ON not in admin.get(url).text
    assert GOES_ON in client.get(url).text  # where the confirm led to
    for _ in range(2):
        later = client.get(url)
        assert GOES_ON not in later.text
        assert "It waits" in words(later)
        assert f'action="{url}/go-on"' in later.text
    press(admin, f"{url}/go-on")  # one press of somebody else is one request
    page = admin.get(url)
    assert "2 of 3: 2 cancelled." in words(page)
    assert GOES_ON not in page.text
    press(client, f"{url}/go-on")
    assert GOES_ON in client.get(url).text


@pytest.mark.usefixtures("slow")
def test_an_action_is_stopped_where_it_is(app: Flask, session_factory: Sessions) -> None:
    for _ in range(3):
        queued(session_factory)
    operator, admin = visitor(app), visitor(app, Role.ADMIN)
    url = proposal(operator, "cancel")
    press(operator, url)
    told = admin.get("/messages")
    assert "What others began with many messages is not finished: a-operator," in words(told)
    assert f'href="{url}"' in told.text
    assert "What others began" not in operator.get("/messages").text
    assert press(visitor(app, Role.VIEWER), f"{url}/stop").status_code == 403
    assert press(admin, f"{url}/stop").location == url
    page = words(operator.get(url))
    assert "Stopped 1 cancelled, 2 left as they were." in page
    assert "Go on" not in page
    press(operator, f"{url}/go-on")
    assert "Stopped 1 cancelled, 2 left as they were." in words(operator.get(url))
    assert "What others began" not in admin.get("/messages").text
    assert press(admin, f"{BULK}/{uuid4()}/stop").status_code == 404
    assert "Stopped acting on many messages" in words(admin.get("/audit"))


def test_more_than_one_action_may_take_is_said_and_the_older_ones_can_follow(
    app: Flask, session_factory: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_actions, "MOST", 2)
    monkeypatch.setattr(bulk_actions, "PAGE", 2)
    for _ in range(3):
        queued(session_factory)
    client = visitor(app)
    url = proposal(client, "cancel", status="queued")
    page = words(client.get(url))
    assert "2 messages will be cancelled" in page
    assert "The list has more than 10,000 messages." in page
    older = press(client, f"{url}/older").location
    assert "1 message will be cancelled" in words(client.get(older))
    assert press(client, f"{older}/older").location == older  # there is nothing behind it


def test_ticked_rows_as_a_file_and_the_list_as_a_file(
    app: Flask, session_factory: Sessions
) -> None:
    ticked = queued(session_factory)
    queued(session_factory)
    client = visitor(app)
    answer = press(client, BULK, do="export", id=str(ticked))
    assert [row["id"] for row in csv.DictReader(io.StringIO(answer.text))] == [str(ticked)]
    whole = press(client, BULK, do="export", status="queued")
    assert whole.location == "/messages.csv?status=queued"


def test_nothing_to_do_is_said(app: Flask, session_factory: Sessions) -> None:
    made(session_factory, Status.DELIVERED)
    client = visitor(app)
    page = client.get(proposal(client, "cancel"))
    assert "Nothing can be done" in words(page)
    assert 'id="confirm"' not in page.text
    assert "The list is empty." in words(client.get(proposal(client, "cancel", mms_id="9")))


def test_viewers_tick_nothing_and_do_nothing(app: Flask, session_factory: Sessions) -> None:
    queued(session_factory)
    operator = visitor(app)
    url = proposal(operator, "cancel")
    viewer = visitor(app, Role.VIEWER)
    assert "data-tick" not in viewer.get("/messages").text
    assert "data-tick" in operator.get("/messages").text
    assert viewer.get(url).status_code == 403
    for path in (BULK, url, f"{url}/go-on", f"{url}/older"):
        assert press(viewer, path, do="cancel").status_code == 403


@pytest.mark.parametrize(
    ("form", "status"),
    [({"do": "nonsense"}, 400), ({}, 400), ({"do": "cancel", "id": "x"}, 400)],
)
def test_odd_forms_are_refused(app: Flask, form: dict[str, str], status: int) -> None:
    assert press(visitor(app), BULK, **form).status_code == status


UNREADABLE = [
    ("created_from", "2026-13-45", "“From” holds “2026-13-45”; write a day as 2026-11-22."),
    ("created_to", "9999-12-31", "“To” holds “9999-12-31”; write a day as 2026-11-22."),
    ("status", "nonsense", "“Status” holds “nonsense”; use one of queued, sending,"),
]


@pytest.mark.parametrize(("field", "value", "said"), UNREADABLE)
def test_a_filter_that_cannot_be_read_never_becomes_all_messages(
    app: Flask, session_factory: Sessions, field: str, value: str, said: str
) -> None:
    public_id = queued(session_factory)
    client = visitor(app)
    asked = {field: value}
    page = client.get("/messages", query_string=asked)
    assert f'type="hidden" name="{field}" value="{value}"' in page.text  # the form says it too
    for answer in (
        *(press(client, BULK, do=do, **asked) for do in ("cancel", "export")),
        press(client, BULK, do="cancel", id=str(public_id), **asked),
        press(client, "/messages/views", name="Mine", **asked),
        client.get("/messages.csv", query_string=asked),
    ):
        assert answer.status_code == 400
        assert said in words(answer)
    with session_factory() as session:
        assert session.scalar(select(func.count()).select_from(BulkAction)) == 0
        kept = session.scalars(select(AuditEntry.action)).all()
    assert not {"messages.export", "view.save"} & set(kept)


@pytest.mark.parametrize("value", [HOSTILE, "x" * 300])
def test_what_cannot_be_read_stays_text_and_is_cut(app: Flask, value: str) -> None:
    client = visitor(app)
    for path in ("/messages", "/messages.csv"):
        page = client.get(path, query_string={"status": value})
        assert "<script>alert" not in page.text
    assert f"“{value[:60]}…”" in words(page) if len(value) > 60 else f"“{value}”" in words(page)


def test_an_id_that_no_action_has_is_not_found(app: Flask) -> None:
    client = visitor(app)
    url = f"{BULK}/{uuid4()}"
    assert client.get(url).status_code == 404
    for path in (url, f"{url}/go-on", f"{url}/older"):
        assert press(client, path).status_code == 404


def test_a_form_without_its_token_does_nothing(app: Flask, session_factory: Sessions) -> None:
    queued(session_factory)
    client = visitor(app)
    url = proposal(client, "cancel")
    assert client.post(url, data={}).status_code == 400
    assert "1 message will be cancelled" in words(client.get(url))
