"""Saved views and chosen columns of the list of messages."""

import re

import pytest
from builders import accepted
from flask import Flask
from flask.testing import FlaskClient
from pages_support import press, visitor, words
from sqlalchemy import select

from tracker.services import saved_views
from tracker.store.db import Sessions
from tracker.store.models import AuditEntry, Role, SavedView

VIEWS = "/messages/views"
HOSTILE = "<script>alert(1)</script>\"'><img src=x>"
NAV = re.compile(r'<nav class="saved-views".*?</nav>', re.DOTALL)


def saved(client: FlaskClient, name: str = "Failures", **form: str) -> str:
    """Save the list's question, and say what the page says of it."""
    question = {"status": "failed", "campaign_ref": "812"}
    answer = press(client, VIEWS, **{**question, "name": name, **form})
    assert answer.status_code == 303
    return words(client.get(answer.location))


def views_above(client: FlaskClient, path: str = "/messages") -> str:
    found = NAV.search(client.get(path).text)
    return found[0] if found else ""


def id_of(sessions: Sessions, name: str) -> int:
    with sessions() as session:
        return session.scalars(select(SavedView.id).where(SavedView.name == name)).one()


def test_a_saved_view_leads_back_to_its_question(app: Flask, session_factory: Sessions) -> None:
    client = visitor(app)
    assert "Saved as the view “Failures”." in saved(client)
    nav = views_above(client)
    assert '<a href="/messages?status=failed&amp;campaign_ref=812"' in nav
    assert "aria-current" not in nav
    assert "aria-current" in views_above(client, "/messages?campaign_ref=812&status=failed")
    with session_factory() as session:
        (entry,) = session.scalars(select(AuditEntry).where(AuditEntry.action == "view.save"))
    assert (entry.actor, entry.detail) == ("user:a-operator", "Failures (private)")


def test_private_views_are_for_oneself_and_shared_ones_for_all(app: Flask) -> None:
    operator, viewer = visitor(app), visitor(app, Role.VIEWER)
    saved(operator, "Mine")
    saved(operator, "For all", is_shared="yes")
    saved(viewer, "A viewer's", is_shared="yes")
    assert "Mine" not in views_above(viewer)
    assert "For all" in views_above(viewer)
    assert "by <bdi>a-operator</bdi>" in views_above(viewer)
    assert "A viewer" not in views_above(operator)  # viewers share nothing
    assert "by <bdi>" not in views_above(operator)


def test_a_view_is_renamed_shared_and_deleted_by_its_owner_alone(
    app: Flask, session_factory: Sessions
) -> None:
    operator, viewer, admin = visitor(app), visitor(app, Role.VIEWER), visitor(app, Role.ADMIN)
    saved(operator, "Old")
    url = f"{VIEWS}/{id_of(session_factory, 'Old')}"
    assert press(admin, url, name="Stolen").status_code == 404  # private: nobody else's business
    assert press(operator, url, name="New", is_shared="yes").status_code == 303
    assert "New" in views_above(viewer)
    for other in (viewer, admin):
        assert press(other, url, name="Stolen").status_code == 404
    assert press(viewer, url, do="delete").status_code == 404
    assert "New" in words(viewer.get(VIEWS))
    assert 'value="delete"' not in viewer.get(VIEWS).text
    assert press(admin, url, do="delete").status_code == 303
    assert views_above(operator) == ""
    assert press(operator, url, do="delete").status_code == 404


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"name": ""}, "a name of 1 to 60 characters"),
        ({"name": "x" * 61}, "a name of 1 to 60 characters"),
        ({"name": "a\u202eb"}, "RIGHT-TO-LEFT OVERRIDE"),
        ({"name": "+1 202-555-0143"}, "The name looks like a phone number"),
        ({"name": "1_202_555_0143"}, "The name looks like a phone number"),
        ({"name": "(202) 555-9003"}, "The name looks like a phone number"),
        ({"reference": "2025550143"}, "One of the filters looks like a phone number"),
        ({"reference": "+1 (650) 253-0000"}, "One of the filters looks like a phone number"),
        ({"status": "", "campaign_ref": ""}, "Choose a filter first"),
    ],
)
def test_what_cannot_be_saved_is_said(app: Flask, form: dict[str, str], said: str) -> None:
    client = visitor(app)
    page = saved(client, **form)
    assert "The view was not saved." in page
    assert said in page
    assert views_above(client) == ""


def test_an_order_number_is_no_phone_number(app: Flask) -> None:
    assert "Saved as" in saved(visitor(app), reference="1234567890123")


def test_a_name_is_taken_once_and_there_is_an_end_to_them(
    app: Flask, session_factory: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = visitor(app)
    saved(client, "One")
    assert "You have a view of this name already" in saved(client, "One")
    saved(client, "Two")
    page = press(client, f"{VIEWS}/{id_of(session_factory, 'Two')}", name="One")
    assert "You have a view of this name already" in words(client.get(page.location))
    monkeypatch.setattr(saved_views, "MOST_OWN", 2)
    assert "You have 2 views already; delete one first." in saved(client, "Three")


def test_hostile_names_and_filters_stay_text(app: Flask) -> None:
    client = visitor(app)
    saved(client, HOSTILE, is_shared="yes", reference=HOSTILE)
    for one in (client, visitor(app, Role.VIEWER)):
        for path in ("/messages", VIEWS):
            page = one.get(path)
            assert page.status_code == 200
            assert "<script>alert" not in page.text
            assert HOSTILE in words(page)


def heads(client: FlaskClient, path: str = "/messages") -> list[str]:
    found = re.findall(r'role="columnheader"[^>]*>(.*?)</th>', client.get(path).text)
    return [re.sub(r"<[^>]+>", "", head) for head in found]


def test_columns_are_chosen_and_kept_for_the_person(app: Flask, session_factory: Sessions) -> None:
    accepted(session_factory, campaign_ref="812", reference="order-1")
    client, other = visitor(app), visitor(app, Role.VIEWER)
    usual = [
        "Tick", "Recipient", "Status", "Created (UTC)", "MMS id", "Handset, carrier",
        "Reference, tracking id",
    ]  # fmt: skip
    assert heads(client) == usual
    form = {"column": "campaign", "campaign_ref": "812"}
    assert press(client, "/messages/columns", **form).location == "/messages?campaign_ref=812"
    assert heads(client) == ["Tick", "Recipient", "Campaign"]
    page = client.get("/messages").text
    assert "812" in page
    assert "order-1" not in page
    assert heads(other) == usual[1:]
    press(client, "/messages/columns", do="usual")
    assert heads(client) == usual


def test_every_column_can_be_shown_and_unknown_ones_are_passed_over(
    app: Flask, session_factory: Sessions
) -> None:
    accepted(session_factory)
    client = visitor(app)
    token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/messages").text)
    assert token
    asked = re.findall(r'name="column" value="(\w+)"', client.get("/messages").text)
    form = {"csrf_token": token[1], "column": [*asked, "nonsense"]}
    assert client.post("/messages/columns", data=form).status_code == 303
    assert len(heads(client)) == 2 + len(asked)
    assert heads(client)[-1] == "Last change (UTC)"
    client.post("/messages/columns", data={"csrf_token": token[1]})
    assert heads(client) == ["Tick", "Recipient"]
