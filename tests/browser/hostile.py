"""A database whose every text is hostile: markup, long words, other directions, emoji."""

from datetime import UTC, datetime
from itertools import cycle
from xml.sax.saxutils import escape

from batch_support import a_file, clock, received
from builders import a_postback, begin_call, claim_due, queued

from tracker.config import DEFAULT_ZONE
from tracker.domain.carriers import Entry
from tracker.gateway import Accepted, Answer, NotSent, Refused, Unknown
from tracker.protocol.codes import ErrorClass
from tracker.protocol.passdata import PASS_FIELDS
from tracker.services import accounts, carriers, gateway, postback_tokens, receive, send, templates
from tracker.services.batch_work import BatchWorker
from tracker.store import alerts, suppressions
from tracker.store.db import Sessions
from tracker.store.models import Role

SCRIPT = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
TURNS = "\u202eevil \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627"
FAMILY = "\U0001f3ab\U0001f468\u200d\U0001f469\u200d\U0001f467"
TEXT = f"{SCRIPT} {{{{7*7}}}} {'W' * 90} {TURNS} {FAMILY} {'ä' * 60}"
PRINTABLE = f"{SCRIPT} {'W' * 60} \u05e9\u05dc\u05d5\u05dd \U0001f3ab"
XML = escape(TEXT)
OTHER = "12025550199"


def fill(sessions: Sessions) -> None:
    """Put hostile text wherever something is kept."""
    accounts.create_token(sessions, PRINTABLE[:60], actor=TEXT[:80], now=_now())
    postback_tokens.create(sessions, "spare", actor=TEXT[:80], now=_now())
    _messages(sessions)
    _postbacks(sessions)
    _files(sessions)
    _lists(sessions)
    gateway.pause(sessions, TEXT[:80], PRINTABLE, _now())


def add_person(sessions: Sessions) -> None:
    """Add somebody with a hostile name; the first start makes `admin` only where nobody is."""
    password = "correct horse battery"
    actor = TEXT[:80]
    accounts.add_user(sessions, SCRIPT[:60], password, Role.VIEWER, actor=actor, now=_now())


def _now() -> datetime:
    return datetime.now(UTC)


def _messages(sessions: Sessions) -> None:
    answers: list[Answer] = [
        Accepted("TU1TXzEyMzQ2", XML[:30], TEXT),
        Refused("E620", TEXT, ErrorClass.PERMANENT_REQUEST, TEXT),
        Unknown(TEXT, TEXT),
        NotSent(TEXT),
        Accepted(f"{'W' * 120}", "11111", TEXT),
    ]
    for number, answer in enumerate(answers):
        public_id = queued(sessions, **_request(number))
        now = _now()
        claimed = next(c for c in claim_due(sessions, 100, now) if c.public_id == public_id)
        assert begin_call(sessions, claimed, now) is not None
        send.record(sessions, claimed, answer, zone=DEFAULT_ZONE, now=now)


def _request(number: int) -> dict[str, object]:
    texts = cycle((TEXT, f"{'W' * 200}", PRINTABLE))
    return {
        "reference": f"{number}{TEXT[:120]}",
        "custom_subject": TEXT[:80],
        "custom_text": [{"slide": 1, "value": TEXT}],
        "ddm": {"title": TEXT[:40], "text": TEXT[:150], "timeout_minutes": 5},
        "data": {"NAME": TEXT},
        "pass_data": {n: next(texts) for n in PASS_FIELDS if not n.startswith(("REL", "CUSTOM"))},
    }


def _postbacks(sessions: Sessions) -> None:
    odd = {
        "STATUSDETAILS": XML, "SPID": XML[:30], "HANDSET": XML[:200], "OPERATORID": XML[:30],
        "AGGREGATORID": XML[:200], "SENTAS": XML[:15], "OS": XML[:100],
    }  # fmt: skip
    for body in (
        a_postback("N101", **odd),
        a_postback("E102", **odd),
        a_postback("N777", **{**odd, "STATUS": XML, "ORIGIN": XML}),
        a_postback("N102", TO=OTHER, **odd),
        a_postback("N102", TRACKINGID="W" * 120, STATUS=XML, TO=None),
        a_postback("N101", TRACKINGID="NOBODYS"),
        a_postback("E999", TRACKINGID=None, STATUSDETAILS=XML, TO=None),
        f"<POSTBACK><CODE>N102<STATUS>{TEXT}".encode(),
        b"<POSTBACK><CODE>\xff\xfe\x00" + TEXT.encode("utf-16-le"),
    ):
        receive.record(sessions, body, TEXT.encode("ascii", "replace").decode()[:100],
                       zone=DEFAULT_ZONE, now=_now())  # fmt: skip


def _files(sessions: Sessions) -> None:
    rows = [f'{OTHER},"{TEXT.replace(chr(34), "")}",r,A,B', f"{TEXT.replace(',', ' ')},45633,s,A,B"]
    batch = received(sessions, a_file(rows), name=TEXT[:128])
    BatchWorker(sessions, clock, step=100).finish(batch.id)
    header = f'to,mms_id,"{TEXT[:100].replace(chr(34), "")}"'
    received(sessions, a_file(rows, header=header), name=TEXT[:128], is_draft=True)


def _lists(sessions: Sessions) -> None:
    described = {"title": PRINTABLE[:80], "pass_type": "event ticket"}
    templates.save(sessions, {"45633": described}, TEXT[:80], _now())
    entry = Entry("0001890", PRINTABLE[:64], PRINTABLE[:128])
    carriers.replace(sessions, [entry], TEXT[:80], _now())
    with sessions.begin() as session:
        alerts.sound(session, "odd_kind", TEXT[:128], TEXT, _now())
        alerts.sound(session, TEXT[:32], f"{'W' * 128}", TEXT, _now())
        alerts.close(session, 2, TEXT[:80], _now())
        suppressions.add(session, OTHER, TEXT[:16], TEXT, told_at=None, now=_now())
        suppressions.note_content(
            session, "45633", is_usable=False, code=TEXT[:32], detail=TEXT, told_at=None, now=_now()
        )
