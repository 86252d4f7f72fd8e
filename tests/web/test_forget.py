"""A person who was forgotten is nowhere any more, whichever way she came in."""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote_plus
from uuid import UUID

import pytest
from api_support import Caller
from batch_support import a_row, finish
from builders import a_postback, begin_call, claim_due, reloaded
from conftest import POSTBACK_TOKEN
from flask import Flask
from pages_support import press, visitor
from sqlalchemy import JSON, LargeBinary, String, func, select
from test_sender import a_sender

from tracker.config import DEFAULT_ZONE, Settings
from tracker.gateway import Unknown
from tracker.sandbox.server import RunningSandbox
from tracker.services import rollups, send
from tracker.services.forget import BeingSentError, Certificate, Forget, Means
from tracker.services.rebuild import Mode, Rebuild
from tracker.store import batches as stored
from tracker.store import suppressions
from tracker.store.base import Base
from tracker.store.db import Sessions
from tracker.store.models import AuditEntry, Checkpoint, Message, Postback, Rollup
from tracker.store.spool import Spool, SpoolRecord
from tracker.web.receiver import RECEIVER

NUMBER = "4915123456789"
SPELLED = "+49 (151) 2345-6789"
ZEROES = "0049 151 23456789"
AT_HOME = "0151/23456789"
OTHER = "12025550177"
NATIONAL = "15123456789"  # that is in every spelling of it


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class World:
    """An installation that has heard of two people, in every way there is."""

    app: Flask
    sessions: Sessions
    settings: Settings
    spool: Spool
    theirs: UUID  # a message to the one who is forgotten
    others: UUID  # a message to somebody else, which names her

    def run(self, number: str = NUMBER, **more: Any) -> Forget:
        means = Means(
            sessions=self.sessions, spool=self.spool, zone=DEFAULT_ZONE,
            secret_key=self.settings.secret_key or "", clock=now,
        )  # fmt: skip
        return Forget(means, number, actor="tests", rest=lambda _: None, **more)

    def forget(self, **more: Any) -> Certificate:
        work = self.run(**more)
        for _ in work.steps():
            pass
        return work.end()


def post(app: Flask, body: bytes, content_type: str = "text/xml") -> None:
    answer = app.test_client().post(
        f"/postbacks/{POSTBACK_TOKEN}", data=body, content_type=content_type
    )
    assert answer.status_code == 200, answer.text


def sent(api: Caller, to: str, **more: Any) -> UUID:
    key = more.pop("key", f"key of {to}")
    request = {"to": to, "mms_id": "45633", "from": "11111", **more}
    answer = api.post("/messages", request, **{"Idempotency-Key": key})
    assert answer.status_code == 202, answer.text
    return UUID(answer.json["id"])


@pytest.fixture
def world(
    app: Flask, session_factory: Sessions, settings: Settings, sandbox: RunningSandbox
) -> Iterator[World]:
    sessions, api = session_factory, Caller(app)
    lost = sent(api, NUMBER, key="lost")
    (claim,) = claim_due(sessions, 1, now())
    assert begin_call(sessions, claim, now()) is not None
    send.record(sessions, claim, Unknown(f"{SPELLED}: no"), zone=DEFAULT_ZONE, now=now())
    theirs = sent(
        api, SPELLED, reference=f"order of {SPELLED}", custom_subject=f"For {AT_HOME}",
        custom_text=[{"slide": 1, "value": f"Call {ZEROES}"}], data={"PHONE": NUMBER},
        ddm={"title": NUMBER, "text": SPELLED, "timeout_minutes": 5},
        pass_data={"BARCODEVALUE": NUMBER, "CUSTOMPASSID": f"P{NUMBER}"},
    )  # fmt: skip
    others = sent(
        api,
        OTHER,
        pass_data={"BARCODEVALUE": "B-1", "PRIMARYVALUE1": f"Met {ZEROES}"},
        reference="r-other",
    )
    said = api.post(f"/messages/{lost}/settle", {"outcome": "sent", "reason": f"{SPELLED} has it"})
    assert said.status_code == 200, said.text
    handed_in(api, sessions)
    a_sender(sessions, sandbox.gateway_url).drain()
    for public_id, number in ((theirs, NUMBER), (others, OTHER)):
        key = reloaded(sessions, public_id).tracking_id
        assert key, reloaded(sessions, public_id)
        post(app, a_postback("N101", TRACKINGID=key, TO=f"+{number}"))
        form = "xml=" + quote(a_postback("N102", TRACKINGID=key, TO=f"+{number}").decode())
        post(app, form.encode(), "application/x-www-form-urlencoded")
    post(app, a_postback("N102", TRACKINGID="NOBODYS", TO=f" {NUMBER}"))
    post(app, f"<POSTBACK><CODE>N102 {SPELLED} <TO>{NUMBER}".encode())
    post(app, a_postback("E999", TO=None, STATUSDETAILS=f"No room for {ZEROES}"))
    post(app, stop_of(NUMBER))
    api.post("/gateway/pause", {"reason": f"Asked for by {SPELLED}"})
    api.post("/gateway/resume", {"reason": f"Asked for by {ZEROES}"})
    operator = visitor(app)
    press(operator, "/handsets", number=SPELLED)
    press(operator, "/search", q=SPELLED)
    app.extensions[RECEIVER].stop()  # it would bring the next one to the database by itself
    spool = Spool(settings.spool_dir)
    waited = a_postback("N102", TRACKINGID="WAITED", TO=NUMBER)
    spool.append([SpoolRecord(now(), None, waited, f"x-msisdn: {NUMBER}")])  # the newest bytes
    spool.set_aside([SpoolRecord(now(), None, f"half of {SPELLED}".encode())])
    rollups.refresh(sessions)
    yield World(app, sessions, settings, spool, theirs, others)
    spool.close()


def handed_in(api: Caller, sessions: Sessions) -> None:
    """Hand in a file with a good row for the person, and one that is wrong."""
    lines = [f"{NUMBER},45633,r-1,A,B", f"+{NUMBER} ext,45633,r-2,A,B", a_row(3)]
    content = "\n".join(["to,mms_id,reference,pass.BARCODEVALUE,data.FIRST_NAME", *lines, ""])
    answer = api.client.post(
        "/api/v1/batches?skip_wrong_rows=1&name=spring", data=content.encode(),
        headers={**api.headers, "Content-Type": "text/csv", "Idempotency-Key": f"file {NUMBER}"},
    )  # fmt: skip
    assert answer.status_code == 202, answer.text
    assert answer.json
    with sessions() as session:
        batch = stored.by_public_id(session, UUID(answer.json["id"]))
    assert batch is not None
    finish(sessions, batch.id)


def stop_of(number: str) -> bytes:
    """Return what the gateway posts when a phone writes. Source: PROTOCOL 6.9; a guess."""
    return (
        "<POSTBACK><ORIGIN>SMS_MO</ORIGIN><CODE>N401</CODE>"
        f"<FROM>{number}</FROM><TO>60856</TO><TEXT>STOP</TEXT></POSTBACK>"
    ).encode()


def in_words(value: object) -> Iterator[str]:
    """Yield what somebody could read out of a value; told apart from the code under test."""
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    yield text
    yield unquote_plus(text)
    if isinstance(value, bytes) and value[:1] == b"x":
        try:
            yield zlib.decompress(value).decode()
        except (zlib.error, UnicodeDecodeError):
            return


def places_of(world: World, digits: str = NATIONAL) -> set[str]:
    """Return every column of every table that has the number, and the files that have it."""
    found = set()
    with world.sessions() as session:
        for table in Base.metadata.sorted_tables:
            for column in table.c:
                if isinstance(column.type, String | JSON | LargeBinary):
                    for value in session.scalars(select(column)):
                        if any(digits in re.sub("[^0-9A-Za-z]", "", t) for t in in_words(value)):
                            found.add(f"{table.name}.{column.name}")
    for path in world.settings.spool_dir.rglob("*"):
        if path.is_file() and digits in re.sub(r"[^0-9A-Za-z]", "", path.read_text("latin-1")):
            found.add(path.parent.name)
    return found


def test_the_number_is_nowhere_any_more(world: World) -> None:
    before = places_of(world)
    assert before >= {
        "messages.recipient", "messages.reference", "messages.custom_pass_id",
        "message_contents.custom_subject", "message_contents.custom_text", "message_contents.ddm",
        "message_contents.data", "message_contents.pass_data", "postbacks.fields",
        "postback_bodies.body", "handsets.number", "suppressions.number", "alerts.detail",
        "idempotency_keys.key", "reference_keys.reference", "settlements.reason", "audit.detail",
        "batch_errors.value", "batches.idempotency_key", "send_attempts.detail", "spool", "damaged",
    }  # fmt: skip
    certificate = world.forget(with_suppression=True)
    assert places_of(world) == set()
    assert certificate.suppression == "erased"
    assert NATIONAL not in re.sub("[^0-9a-z]", "", str(certificate.as_json()))
    with world.sessions() as session:
        (entry,) = session.scalars(select(AuditEntry).where(AuditEntry.action == "person.forget"))
        assert entry.subject == certificate.id
        assert session.scalar(select(func.count()).select_from(Checkpoint)) == 0


def test_a_suppression_that_holds_stays_as_the_number_alone(world: World) -> None:
    certificate = world.forget()
    assert certificate.suppression == "kept"
    assert places_of(world) == {"suppressions.number"}
    refused = Caller(world.app, "again").post(
        "/messages", {"to": NUMBER, "mms_id": "45633", "from": "11111"}
    )
    assert refused.status_code == 422


def test_counts_and_other_people_stay_as_they_are(world: World) -> None:
    others, counted = reloaded(world.sessions, world.others), counts_of(world)
    postbacks = number_of(world, Postback) + 1  # one waits in the spool
    world.forget()
    assert counts_of(world) == counted
    assert number_of(world, Postback) == postbacks
    assert reloaded(world.sessions, world.others) == others
    erased = reloaded(world.sessions, world.theirs)
    assert (erased.recipient, erased.status, erased.tracking_id) == ("erased", "delivered", None)
    assert places_of(world, OTHER) >= {"messages.recipient", "postback_bodies.body"}
    found: list[object] = []
    rebuild = Rebuild(
        world.sessions, mode=Mode.REPAIR, zone=DEFAULT_ZONE, clock=now, tell=found.append
    )
    for _ in rebuild.steps():
        pass
    assert found == []
    assert counts_of(world) == counted


def counts_of(world: World) -> dict[tuple[Any, ...], int]:
    columns = (Rollup.hour, Rollup.status, Rollup.spid, Rollup.sent_as)
    with world.sessions() as session:
        rows = session.execute(select(*columns, func.sum(Rollup.messages)).group_by(*columns))
        return {tuple(alike): int(count) for *alike, count in rows}


def number_of(world: World, model: type[Base]) -> int:
    with world.sessions() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def test_once_more_finds_nothing(world: World) -> None:
    assert world.forget().erased["messages"] == 3
    again = world.forget()
    assert (again.erased, again.suppression) == ({}, "kept")
    assert world.forget(with_suppression=True).erased == {"suppressions": 1}


def test_a_dry_run_counts_what_a_run_erases_and_changes_nothing(world: World) -> None:
    world.spool.drain(lambda _: None)  # what waits there is not counted
    before = places_of(world)
    counted = world.forget(only_counts=True)
    assert places_of(world) == before
    assert counted.is_dry_run
    assert counted.erased == world.forget().erased


def test_a_run_that_was_stopped_anywhere_goes_on(world: World) -> None:
    whole = world.forget(only_counts=True).erased
    work = world.run(step=1, with_suppression=True)
    stops = 0
    while True:
        steps = work.steps()
        try:
            for _ in range(3 + stops):  # further each time
                next(steps)
        except StopIteration:
            break
        stops += 1
        assert stops < 200
        work = world.run(step=1, with_suppression=True)
    certificate = work.end()
    assert stops > 3
    assert places_of(world) == set()
    assert certificate.erased["messages"] == whole["messages"]


def test_it_waits_for_what_is_still_to_be_sent(world: World) -> None:
    with world.sessions.begin() as session:
        suppressions.lift(session, NUMBER, "tests", told_at=None, now=now())
    queued = sent(Caller(world.app, "late"), NUMBER, key="late")
    with pytest.raises(BeingSentError, match=f"message {queued} is queued: cancel it"):
        world.forget()
    assert "messages.recipient" in places_of(world)
    with world.sessions.begin() as session:
        row = session.scalars(select(Message).where(Message.public_id == queued)).one()
        row.status = "sending"  # type: ignore[assignment]
    with pytest.raises(BeingSentError, match="is sending"):
        world.forget(only_counts=True)


def test_a_file_that_waits_stands_in_the_way(world: World) -> None:
    api = Caller(world.app, "filer")
    answer = api.client.post(
        "/api/v1/batches", data=f"to,mms_id\n{OTHER},1\n{SPELLED},1\n".encode("utf-16"),
        headers={**api.headers, "Content-Type": "text/csv"},
    )  # fmt: skip
    assert answer.status_code == 202, answer.text
    assert answer.json
    with pytest.raises(BeingSentError, match=f"batch {answer.json['id']} has a row for it"):
        world.forget()


def test_an_erased_message_is_shown_and_not_sent_again(world: World) -> None:
    world.forget()
    api = Caller(world.app, "reader")
    shown = api.get(f"/messages/{world.theirs}").json
    assert (shown["to"], shown["status"], shown["reference"]) == ("erased", "delivered", None)
    assert api.post(f"/messages/{world.theirs}/resend").status_code == 409
    page = visitor_again(world.app).get(f"/messages/{world.theirs}")
    assert page.status_code == 200
    assert "erased" in page.text
    for entry in api.get("/postbacks").json["items"]:
        raw = api.get(f"/postbacks/{entry['id']}/raw").status_code
        assert raw in (200, 410)


def visitor_again(app: Flask) -> Any:
    from pages_support import log_in  # noqa: PLC0415

    client = app.test_client()
    assert log_in(client, "a-operator").status_code == 303
    return client
