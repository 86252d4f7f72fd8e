"""The postbacks: their list, one of them, its bytes, and judging anew."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from builders import NUMBER, a_postback, accepted, begin_call, claim_due, queued, reloaded
from flask import Flask
from flask.testing import FlaskClient
from pages_support import SPELLED, arrived, page_of, token_of, visitor, words
from sqlalchemy import event, select, update
from test_pages_headers import INLINE
from werkzeug.test import TestResponse

from tracker.config import DEFAULT_ZONE
from tracker.domain.fold import Outcome
from tracker.domain.status import Status
from tracker.gateway import Unknown
from tracker.protocol.notification import Kind
from tracker.services import accounts, send
from tracker.store import db
from tracker.store.base import Base
from tracker.store.db import Sessions
from tracker.store.models import AuditEntry, Message, Postback, Role
from tracker.store.spool import SpoolRecord
from tracker.web import journal
from tracker.web.journal import PAGE_SIZE
from tracker.web.presenting.body import MOST_SHOWN, hex_dump
from tracker.web.presenting.journal_question import KINDS, OUTCOMES
from tracker.web.presenting.texts import age, visible

UNREADABLE = b"<POSTBACK><CODE>"
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202eevil"


def listed(page: TestResponse) -> list[int]:
    return [int(found) for found in re.findall(r'<a id="p-(\d+)"', page.text)]


def parked(sessions: Sessions) -> UUID:
    """Queue a message whose call had an outcome that nobody knows."""
    public_id = queued(sessions)
    later = reloaded(sessions, public_id).created_at
    claimed = next(c for c in claim_due(sessions, 100, later) if c.public_id == public_id)
    begin_call(sessions, claimed, later)
    send.record(sessions, claimed, Unknown("cut off", None), zone=DEFAULT_ZONE, now=later)
    return public_id


def aged(sessions: Sessions, ago: timedelta) -> None:
    """Let everything that came have come so long ago."""
    with sessions.begin() as session:
        session.execute(update(Postback).values(received_at=datetime.now(UTC) - ago))


def rename(sessions: Sessions, tracking_id: str) -> None:
    """Let the message be known by another tracking id, unnoticed by what waits."""
    with sessions.begin() as session:
        session.execute(update(Message).values(tracking_id=tracking_id, tracking_key=tracking_id))


def dump(sessions: Sessions) -> dict[str, list[Any]]:
    """Return every row of every table but the users, whom a visit touches."""
    with sessions() as session:
        return {
            table.name: [
                tuple(row)
                for row in session.execute(select(table).order_by(*table.primary_key.columns))
            ]
            for table in Base.metadata.sorted_tables
            if table.name != "users"
        }


def confirm(client: FlaskClient, page: TestResponse) -> TestResponse:
    """Press the button of a replay page, with all that its form holds."""
    form = re.search(r'<form class="replay-form".*?</form>', page.text, re.DOTALL)
    assert form, "the page has nothing to confirm"
    return client.post(
        "/journal/replay", data=dict(re.findall(r'name="([^"]+)" value="([^"]*)"', form[0]))
    )


def test_the_list_shows_every_postback_newest_first(app: Flask, session_factory: Sessions) -> None:
    public_id = accepted(session_factory)
    ids = [
        arrived(session_factory, a_postback("N102")),
        arrived(session_factory, a_postback("N101", TRACKINGID="LOST")),
        arrived(session_factory, UNREADABLE),
    ]
    page = visitor(app).get("/journal")
    assert listed(page) == ids[::-1]
    for part in (
        "N102 Message Sent/Delivered MMS delivery Applied",
        "Set the status to Delivered. Its message",
        "N101 Message Sent MMS delivery Unmatched",
        "Could not be read Not known Quarantined",
        "+1 202-555-0143 TU1TXzEyMzQ2",
        "Replay all that wait",
    ):
        assert part in words(page)
    assert f'href="{page_of(public_id)}"' in page.text
    assert f'href="/journal/{ids[2]}/bytes"' in page.text


def test_no_address_of_the_pages_has_a_number(app: Flask, session_factory: Sessions) -> None:
    parked(session_factory)
    postback_id = arrived(session_factory, a_postback("N101", TRACKINGID="LOST"))
    client = visitor(app)
    for path in ("", f"/{postback_id}", f"/{postback_id}/bytes", "/replay"):
        page = client.get("/journal" + path)
        assert page.status_code == 200
        for address in re.findall(r'(?:href|action)="([^"]*)"', page.text):
            assert NUMBER not in address
            assert not SPELLED.search(address)


def test_the_navigation_leads_to_the_postbacks(app: Flask) -> None:
    client = visitor(app)
    assert '<a href="/journal">' in client.get("/messages").text
    assert '<a href="/journal" aria-current="page">' in client.get("/journal").text


@pytest.mark.parametrize(
    ("ago", "said"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=1), "1 min ago"),
        (timedelta(hours=3, minutes=59), "3 h ago"),
        (timedelta(days=400), "400 d ago"),
    ],
)
def test_an_age_is_said_in_one_unit(ago: timedelta, said: str) -> None:
    assert age(ago) == said


def test_an_unmatched_line_has_its_age_and_its_candidates(
    app: Flask, session_factory: Sessions
) -> None:
    public_id = parked(session_factory)
    postback_id = arrived(session_factory, a_postback("N101", TRACKINGID="LOST"))
    client = visitor(app)
    for path in ("/journal?outcome=unmatched", f"/journal/{postback_id}"):
        page = client.get(path)
        text = words(page)
        assert "It may be about" in text
        assert "just now" in text
        assert "Outcome unknown MMS id 45633" in text
        assert "with the same MMS id, and nobody knows whether it went through." in text
        assert f'href="{page_of(public_id)}"' in page.text
    aged(session_factory, timedelta(hours=3))
    page = client.get("/journal?outcome=unmatched")
    assert re.search(
        r'<time class="age" datetime="[^"]+Z" title="[^"]+ UTC">3 h ago</time>', page.text
    )


def test_what_told_its_message_has_no_age_and_no_replay(
    app: Flask, session_factory: Sessions
) -> None:
    accepted(session_factory)
    arrived(session_factory)
    page = visitor(app).get("/journal")
    assert 'class="age"' not in page.text
    assert "/journal/replay?id=" not in page.text


def test_tabs_and_filters_hold_together_and_each_has_a_way_out(
    app: Flask, session_factory: Sessions
) -> None:
    accepted(session_factory)
    arrived(session_factory, a_postback("N102"))
    wanted = arrived(session_factory, a_postback("N101", TRACKINGID="LOST"))
    other = arrived(session_factory, a_postback("N501", TRACKINGID="LOST"))
    spoilt = arrived(session_factory, UNREADABLE)
    client = visitor(app)
    today = datetime.now(UTC).date().isoformat()
    for query, found in (
        ("outcome=unmatched", [other, wanted]),
        ("outcome=quarantined", [spoilt]),
        ("code=n101", [wanted]),
        ("kind=ddm", [other]),
        ("tracking_id=LOST%3D", [other, wanted]),
        (f"kind=mms&outcome=unmatched&received_from={today}&received_to={today}", [wanted]),
        ("code=N101&received_to=2020-01-01", []),
    ):
        assert listed(client.get(f"/journal?{query}")) == found
    page = client.get("/journal?outcome=unmatched&kind=mms&code=N101&received_from=2020-01-01")
    chips = dict(
        re.findall(r'<a class="chip" href="([^"]+)"><span class="muted">([^<]+)', page.text)
    )
    assert sorted(chips.values()) == ["Code", "From", "Kind", "Outcome"]
    assert '<a href="/journal?outcome=unmatched&amp;kind=mms' in page.text
    assert re.search(r'outcome=unmatched[^"]*" aria-current="true">Unmatched', page.text)
    without_kind = next(url for url, name in chips.items() if name == "Kind")
    assert "kind" not in without_kind
    assert "code=N101" in without_kind


def test_every_outcome_and_kind_can_be_chosen_and_has_words(app: Flask) -> None:
    page = visitor(app).get("/journal?kind=ddm&outcome=noted")
    assert set(OUTCOMES) == set(Outcome)
    assert set(KINDS) == set(Kind)
    assert '<option value="ddm" selected>Discovery message</option>' in page.text
    assert '<option value="noted" selected>Noted</option>' in page.text


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "No postback yet"),
        ("outcome=unmatched", "Nothing is unmatched"),
        ("outcome=quarantined", "Nothing is in quarantine"),
        ("outcome=quarantined&code=N101", "No postback fits"),
        ("outcome=nonsense&kind=nonsense", "No postback yet"),
        ("cursor=1", "Nothing older"),
        ("received_from=soon", "Not a day; write it as 2026-11-22."),
        ("code=%00%3Cscript%3E", "No postback fits"),
    ],
)
def test_an_empty_list_says_why(app: Flask, query: str, says: str) -> None:
    page = visitor(app).get(f"/journal?{query}")
    assert page.status_code == 200
    assert says in words(page)
    assert "<script>alert" not in page.text


def test_pages_follow_one_another_without_a_gap(app: Flask, session_factory: Sessions) -> None:
    made = [
        arrived(session_factory, a_postback("N101", TRACKINGID=f"LOST_{number}"))
        for number in range(2 * PAGE_SIZE + 1)
    ]
    client = visitor(app)
    url, seen = "/journal?outcome=unmatched", []
    while url:
        page = client.get(url)
        seen.append(listed(page))
        older = re.search(r'href="([^"]+)" rel="next"', page.text)
        url = older[1].replace("&amp;", "&") if older else ""
    newest = made[::-1]
    assert seen == [newest[:PAGE_SIZE], newest[PAGE_SIZE : 2 * PAGE_SIZE], newest[-1:]]
    assert 'href="/journal?outcome=unmatched"' in page.text


def test_a_page_asks_as_much_for_many_as_for_one(app: Flask, session_factory: Sessions) -> None:
    parked(session_factory)
    client = visitor(app)
    said: list[str] = []
    event.listen(
        db.engine_of(session_factory), "before_cursor_execute", lambda *a: said.append(a[2])
    )
    counts = []
    for count in (1, 30):
        for number in range(count):
            arrived(session_factory, a_postback("N101", TRACKINGID=f"LOST_{count}_{number}"))
        said.clear()
        assert client.get("/journal").status_code == 200
        counts.append(len(said))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("text", ["nonsense", "-1", "", "1" * 19, "\0", "\u0661"])
@pytest.mark.parametrize("path", ["?cursor={}", "/replay?id={}", "/replay?through={}"])
def test_a_damaged_number_in_an_address_is_said_to_be_one(app: Flask, path: str, text: str) -> None:
    name = path.strip("/?={}").removeprefix("replay?")
    page = visitor(app).get("/journal" + path.split("?", maxsplit=1)[0], query_string={name: text})
    assert page.status_code == 400
    assert "This cannot be read" in words(page)


@pytest.mark.parametrize("below", ["", "/bytes", "/raw"])
@pytest.mark.parametrize("name", ["4711", "0", "9" * 25, "x"])
def test_a_postback_that_is_not_there_is_a_404(app: Flask, below: str, name: str) -> None:
    assert visitor(app).get(f"/journal/{name}{below}").status_code == 404


@pytest.mark.parametrize("path", ["", "/1", "/1/bytes", "/1/raw", "/replay"])
def test_nothing_is_shown_without_a_login(client: FlaskClient, path: str) -> None:
    answer = client.get("/journal" + path)
    assert answer.status_code == 302
    assert answer.location.startswith("/login")


def test_the_receiver_keeps_its_address(app: Flask, client: FlaskClient) -> None:
    assert client.get("/postbacks/wrong-token").status_code == 404
    assert client.get("/postbacks/postback-token-of-the-tests").status_code == 200


def test_a_postback_without_a_message_has_a_page(app: Flask, session_factory: Sessions) -> None:
    postback_id = arrived(session_factory, a_postback("N102", TRACKINGID="LOST"))
    page = visitor(app).get(f"/journal/{postback_id}")
    for part in (
        "N102 Message Sent/Delivered Unmatched",
        "Kept on the shelf: no message has this tracking id yet.",
        "tracking_id LOST",
        "<CODE>N102</CODE>",
        "Exact bytes",
    ):
        assert part in words(page)


def test_the_page_shows_the_headers_that_were_kept(app: Flask, session_factory: Sessions) -> None:
    operator = visitor(app)
    public_id = accepted(session_factory)
    told = arrived(session_factory, headers="user-agent: Poster/1\nvia: 1.1 a\nvia: 1.1 <b>")
    for path in (f"/journal/{told}", page_of(public_id, "postbacks", told)):
        said = words(operator.get(path))
        assert "user-agent Poster/1 via 1.1 a via 1.1 <b> Of the request" in said
    by_hand = arrived(session_factory, a_postback("N101"))
    assert "They were not kept" in words(operator.get(f"/journal/{by_hand}"))
    bare = arrived(session_factory, a_postback("E101"), headers="")
    assert "The request had none." in words(operator.get(f"/journal/{bare}"))


def test_viewers_see_no_number_in_a_header(app: Flask, session_factory: Sessions) -> None:
    told = arrived(session_factory, headers=f"x-msisdn: {NUMBER}\nx-request-id: 4711")
    said = words(visitor(app, Role.VIEWER).get(f"/journal/{told}"))
    assert "x-msisdn •••143 x-request-id 4711" in said


def test_hostile_text_stays_text_on_every_page(app: Flask, session_factory: Sessions) -> None:
    escaped = HOSTILE.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    postback_id = arrived(
        session_factory,
        a_postback(STATUS=escaped, TO=escaped, TRACKINGID=escaped, HANDSET=escaped, MMSID=escaped),
        "text/xml; x=<script>alert(1)</script>",
    )
    spoilt = arrived(session_factory, UNREADABLE + HOSTILE.encode())
    client = visitor(app)
    for path in (
        "", f"/{postback_id}", f"/{postback_id}/bytes", f"/{postback_id}/bytes?as=hex",
        f"/{spoilt}", f"/{spoilt}/bytes", "/replay", f"/replay?id={spoilt}",
    ):  # fmt: skip
        page = client.get("/journal" + path)
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "<img" not in page.text


def test_no_page_has_inline_script_or_style(app: Flask, session_factory: Sessions) -> None:
    parked(session_factory)
    postback_id = arrived(session_factory, a_postback("N101", TRACKINGID="LOST"))
    client = visitor(app)
    for path in ("", f"/{postback_id}", f"/{postback_id}/bytes", "/replay"):
        assert not INLINE.search(client.get("/journal" + path).text)


def test_bytes_are_shown_letter_for_letter_with_what_hides_in_them(
    app: Flask, session_factory: Sessions
) -> None:
    body = UNREADABLE + b"a\x00b\x1b[31mc\td\r\ne\xe2\x80\xaef\xc2\x9bg"
    postback_id = arrived(session_factory, body)
    page = visitor(app).get(f"/journal/{postback_id}/bytes")
    shown = re.sub(r"</?span[^>]*>", "", page.text)
    assert "a[NUL]b[ESC][31mc[TAB]d[CR]\ne[U+202E]f[U+009B]g" in shown
    assert 'b<span class="unseen">[ESC]</span>[31mc' in page.text
    assert 'aria-current="true">Text' in page.text
    assert f"{len(body)} bytes, content type text/xml." in words(page)


def test_bytes_that_are_no_text_are_shown_as_a_hex_dump(
    app: Flask, session_factory: Sessions
) -> None:
    postback_id = arrived(session_factory, UNREADABLE + b"\xff\xfe\x00")
    client = visitor(app)
    page = client.get(f"/journal/{postback_id}/bytes")
    assert 'aria-current="true">Hex dump' in page.text
    assert "00000010  ff fe 00" in page.text
    assert (
        "3c 50 4f 53 54 42 41 43  4b 3e 3c 43 4f 44 45 3e  &lt;POSTBACK&gt;&lt;CODE&gt;"
        in page.text
    )
    as_text = client.get(f"/journal/{postback_id}/bytes?as=text")
    assert "Some of these bytes are no text and are shown as �" in words(as_text)


def test_a_huge_body_is_shown_in_part_and_said_to_be(app: Flask, session_factory: Sessions) -> None:
    postback_id = arrived(session_factory, UNREADABLE + b"x" * MOST_SHOWN)
    client = visitor(app)
    for way in ("text", "hex"):
        page = client.get(f"/journal/{postback_id}/bytes?as={way}")
        assert "The first 65,536 are shown; the download has them all." in words(page)
        assert len(page.data) < 8 * MOST_SHOWN


def test_a_hex_dump_has_place_bytes_and_letters() -> None:
    assert hex_dump(b"") == ""
    assert hex_dump(b"A\n") == "00000000  41 0a" + " " * 45 + "A."
    assert len({len(line) for line in hex_dump(bytes(range(64))).splitlines()}) == 1


def test_every_character_that_cannot_be_seen_is_named() -> None:
    assert visible("a\u200b\ufeff\u2028é\n�") == [
        ("a", False), ("[U+200B][U+FEFF][U+2028]", True), ("é\n�", False),
    ]  # fmt: skip
    assert visible("\ud800\x7f\x1f") == [("[U+D800][U+007F][US]", True)]
    assert visible("") == []


def test_the_download_is_the_exact_bytes_and_nothing_a_browser_opens(
    app: Flask, session_factory: Sessions
) -> None:
    body = UNREADABLE + b"\xff\x00\r\n<script>alert(1)</script>"
    postback_id = arrived(session_factory, body, "text/html")
    answer = visitor(app).get(f"/journal/{postback_id}/raw")
    assert answer.data == body
    assert answer.content_type == "text/plain"
    assert answer.headers["Content-Disposition"] == (
        f"attachment; filename=postback-{postback_id}.txt"
    )
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_viewer_may_look_and_may_not_replay(app: Flask, session_factory: Sessions) -> None:
    postback_id = arrived(session_factory, a_postback("N102", TRACKINGID="LOST"))
    client = visitor(app, Role.VIEWER)
    for path in ("/journal", f"/journal/{postback_id}"):
        page = client.get(path)
        assert page.status_code == 200
        assert "Replay" not in words(page)
    assert client.get("/journal/replay").status_code == 403
    form = {"csrf_token": token_of(client.get("/journal")), "id": str(postback_id)}
    before = dump(session_factory)
    assert client.post("/journal/replay", data=form).status_code == 403
    assert dump(session_factory) == before


@pytest.mark.parametrize("token", [None, "wrong"])
def test_a_replay_needs_our_own_form(
    app: Flask, session_factory: Sessions, token: str | None
) -> None:
    postback_id = arrived(session_factory, a_postback("N102", TRACKINGID="FIRST"))
    accepted(session_factory)
    rename(session_factory, "FIRST")
    form = {"id": str(postback_id), **({"csrf_token": token} if token else {})}
    client = visitor(app)
    before = dump(session_factory)
    assert client.post("/journal/replay", data=form).status_code == 400
    assert client.get(f"/journal/replay?id={postback_id}").status_code == 200
    assert dump(session_factory) == before


def test_one_is_replayed_after_a_look_at_what_would_change(
    app: Flask, session_factory: Sessions
) -> None:
    public_id = accepted(session_factory)
    postback_id = arrived(session_factory, a_postback("N102", TRACKINGID="FIRST"))
    rename(session_factory, "FIRST")
    client = visitor(app)
    before = dump(session_factory)
    page = client.get(f"/journal/replay?id={postback_id}")
    for part in (
        "1 would be applied.",
        "Nothing has been changed so far.",
        f"N102 no. {postback_id} Unmatched Applied Set the status to Delivered.",
        "Replay it",
        "Leave all as it is",
    ):
        assert part in words(page)
    assert dump(session_factory) == before
    done = confirm(client, page)
    assert (done.status_code, done.location) == (303, f"/journal/{postback_id}")
    assert "1 applied." in words(client.get(done.location))
    assert reloaded(session_factory, public_id).status is Status.DELIVERED
    with session_factory() as session:
        found = session.scalars(select(AuditEntry).where(AuditEntry.action.contains("replay")))
        assert {(e.actor, e.action) for e in found} == {
            ("user:a-operator", "postback.replay"), ("user:a-operator", "postbacks.replay"),
        }  # fmt: skip


def test_a_whole_filter_is_replayed_and_nothing_that_came_since(
    app: Flask, session_factory: Sessions
) -> None:
    accepted(session_factory)
    for code in ("N101", "N102"):
        arrived(session_factory, a_postback(code, TRACKINGID="FIRST"))
    never = arrived(session_factory, a_postback("N102", TRACKINGID="NEVER"))
    spoilt = arrived(session_factory, UNREADABLE)
    rename(session_factory, "FIRST")
    client = visitor(app)
    page = client.get("/journal/replay?outcome=unmatched&code=N102")
    assert "1 would be applied, 1 stays unmatched." in words(page)
    assert "2 postbacks were judged anew" in words(page)
    with session_factory.begin() as session:
        since = session.get_one(Postback, never)
        session.add(Postback(**{
            **{c.name: getattr(since, c.name) for c in Postback.__table__.columns},
            "id": never + 100, "fingerprint": b"since", "tracking_key": "FIRST",
        }))  # fmt: skip
    done = confirm(client, page)
    assert done.location == "/journal?outcome=unmatched&code=N102"
    assert "1 applied, 1 stays unmatched." in words(client.get(done.location))
    whole = client.get("/journal/replay")
    assert "1 would be outranked, 2 stay unmatched, 1 still cannot be read." in words(whole)
    assert f"Postback {spoilt} : " in words(whole)


def test_a_replay_that_would_change_nothing_has_nothing_to_confirm(
    app: Flask, session_factory: Sessions
) -> None:
    arrived(session_factory, a_postback("N102", TRACKINGID="LOST"))
    page = visitor(app).get("/journal/replay?outcome=unmatched")
    assert "1 stays unmatched." in words(page)
    assert "A replay would change nothing" in words(page)
    assert "replay-form" not in page.text
    empty = visitor_again(app).get("/journal/replay?outcome=quarantined")
    assert "There is nothing to judge anew." in words(empty)


def visitor_again(app: Flask) -> FlaskClient:
    return visitor(app, Role.ADMIN)


def test_more_than_a_page_holds_is_cut_and_said_to_be(
    app: Flask, session_factory: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted(session_factory)
    for number in range(5):
        arrived(session_factory, a_postback("N101", TRACKINGID="FIRST", STATUSDETAILS="x",
                                            TIMESTAMP=f"2026-11-20T07:20:4{number}Z"))  # fmt: skip
    rename(session_factory, "FIRST")
    monkeypatch.setattr(journal, "MOST_JUDGED", 4)
    monkeypatch.setattr(journal, "MOST_SHOWN", 3)
    client = visitor(app)
    page = client.get("/journal/replay?outcome=unmatched")
    assert "4 would be applied." in words(page)
    assert "And 1 more." in words(page)
    assert "These are the oldest 4." in words(page)
    assert page.text.count('role="rowheader">') == 3
    confirm(client, page)
    assert len(listed(client.get("/journal?outcome=unmatched"))) == 1


@pytest.mark.parametrize("outcome", ["applied", "noted", "outranked"])
def test_what_has_told_its_message_cannot_be_replayed(app: Flask, outcome: str) -> None:
    client = visitor(app)
    assert client.get(f"/journal/replay?outcome={outcome}").status_code == 400
    assert "Replay" not in words(client.get(f"/journal?outcome={outcome}"))


def test_the_replay_of_a_postback_that_is_not_there_is_a_404(app: Flask) -> None:
    assert visitor(app).get("/journal/replay?id=4711").status_code == 404


def test_the_api_says_what_a_replay_would_change(app: Flask, session_factory: Sessions) -> None:
    public_id = accepted(session_factory)
    postback_id = arrived(session_factory, a_postback("N102", TRACKINGID="FIRST"))
    spoilt = arrived(session_factory, UNREADABLE)
    rename(session_factory, "FIRST")
    client, headers = app.test_client(), bearer(session_factory)
    path = f"/api/v1/postbacks/{postback_id}/replay"
    client.get("/api/v1/messages", headers=headers)  # a token notes when it was used
    before = dump(session_factory)
    for flag in ("1", "true"):
        answer = client.post(f"{path}?dry_run={flag}", headers=headers)
        assert answer.status_code == 200
        assert answer.json == {
            "id": postback_id,
            "dry_run": True,
            "would_change": True,
            "before": {"outcome": "unmatched", "message_id": None},
            "after": {
                "outcome": "applied",
                "outcome_reason": "Set the status to Delivered.",
                "message_id": str(public_id),
            },
        }
    assert without_tokens(dump(session_factory)) == without_tokens(before)
    assert client.post(f"{path}?dry_run=maybe", headers=headers).status_code == 400
    unreadable = client.post(f"/api/v1/postbacks/{spoilt}/replay?dry_run=1", headers=headers)
    assert unreadable.status_code == 409
    done: Any = client.post(f"{path}?dry_run=0", headers=headers).json
    assert done["outcome"] == "applied"
    assert reloaded(session_factory, public_id).status is Status.DELIVERED


def bearer(sessions: Sessions) -> dict[str, str]:
    made = accounts.create_token(sessions, "tests", actor="tests", now=datetime.now(UTC))
    return {"Authorization": f"Bearer {made.token}"}


def without_tokens(dumped: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {name: rows for name, rows in dumped.items() if name != "api_tokens"}


def test_what_waits_in_the_spool_is_said(app: Flask, now: datetime) -> None:
    client = visitor(app, Role.VIEWER)
    assert "wait on disk" not in client.get("/journal").text
    app.extensions["tracker.receiver"].spool.set_aside([SpoolRecord(now, None, b"<x/>")])
    assert "1 damaged pieces lie" in client.get("/journal").text
