"""The same calls to the gateway and to the drop-in: the same answers, save for the key."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import pytest
import requests
from builders import NUMBER
from dropin_support import PATIENCE, a_document, a_query, said, serving
from flask import Flask

from tracker.config import Settings
from tracker.domain.pace import Pace
from tracker.sandbox.fixture import API_KEY
from tracker.sandbox.server import RunningSandbox
from tracker.services import accounts
from tracker.store import gateway_state
from tracker.store.db import Sessions

Post = tuple[bytes | dict[str, str], str | None]
BARCODE: Final = "<BARCODEVALUE>1</BARCODEVALUE>"
ENTITY: Final = "<!ENTITY x SYSTEM 'file:///etc/passwd'>"


def doc(**changes: Any) -> Callable[[str], Post]:
    return lambda key: ({"xml": a_document(key, **changes)}, None)


def raw(write: Callable[[str], str | bytes], content_type: str | None = None) -> Any:
    def post(key: str) -> Post:
        body = write(key)
        return body if isinstance(body, bytes) else body.encode(), content_type

    return post


def get(**changes: str | None) -> Callable[[str], dict[str, str]]:
    return lambda key: a_query(key, **changes)


def fields(**values: str) -> str:
    return BARCODE + "".join(f"<{name}>{value}</{name}>" for name, value in values.items())


POSTS: Final[dict[str, Callable[[str], Post]]] = {
    "good": doc(),
    "nothing": raw(lambda _: ""),
    "blanks": raw(lambda _: " \r\n "),
    "an empty field": lambda _: ({"xml": ""}, None),
    "another field": lambda key: ({"document": a_document(key)}, None),
    "pairs": lambda key: (a_query(key), None),
    "json": raw(lambda _: '{"to": 1}', "application/json"),
    "html": raw(lambda _: "<html><body/></html>"),
    "cut off": raw(lambda key: a_document(key)[:-4]),
    "another root": raw(lambda key: a_document(key).replace("REQUEST", "MESSAGE")),
    "a doctype": raw(lambda key: "<!DOCTYPE REQUEST>" + a_document(key)),
    "entities": raw(lambda key: f"<!DOCTYPE a [{ENTITY}]>{a_document('&x;' + key)}"),
    "unescaped": doc(CUSTOMSUBJECT="Fish & Chips"),
    "deep": doc(inner="<A>" * 40 + "</A>" * 40),
    "bad bytes": raw(lambda key: a_document(key).encode().replace(b"A-17", b"\xff")),
    "latin": raw(
        lambda key: b"<?xml version='1.0' encoding='ISO-8859-1'?>"
        + a_document(key, CUSTOMSUBJECT="ü").encode("latin-1")
    ),
    "a BOM": raw(lambda key: "\ufeff" + a_document(key), "text/plain"),
    "form type": raw(a_document, "application/x-www-form-urlencoded"),
    "multipart without boundary": raw(a_document, "multipart/form-data"),
    "no action": doc(ACTION=None),
    "another action": doc(ACTION="sendSavedMMS"),
    "no action, no key": doc(ACTION=None, API_KEY=None),
    "no key": doc(API_KEY=None),
    "empty key": doc(API_KEY=" "),
    "no key, no mms id": doc(API_KEY=None, MMSID=None),
    "wrong key": doc(API_KEY="wrong"),
    "key in capitals": lambda key: ({"xml": a_document(key.swapcase())}, None),
    "wrong key, nothing else": doc(API_KEY="wrong", MMSID=None, TO=None, FROM=None),
    "no mms id": doc(MMSID=None),
    "no mms id, no number": doc(MMSID=None, TO=None),
    "no number": doc(TO=None),
    "no number, no sender": doc(TO=None, FROM=None),
    "no sender": doc(FROM=None),
    "no sender, bad number": doc(FROM=None, TO="+1"),
    "odd sender": doc(FROM="SHOP"),
    "signed sender": doc(FROM="+11111"),
    "another's sender": doc(FROM="22222"),
    "another's sender, no such MMS": doc(FROM="22222", MMSID="1"),
    "plus": doc(TO=f"+{NUMBER}"),
    "dialling prefix": doc(TO=f"00{NUMBER}"),
    "punctuation": doc(TO="1 (202) 555-0143"),
    "blanks around": doc(TO=f"  {NUMBER} "),
    "short number": doc(TO="123456"),
    "long number": doc(TO="1234567890123456"),
    "other digits": doc(TO="١٢٠٢٥٥٥٠١٤٣"),
    "bad number, no such MMS": doc(TO="+1", MMSID="1"),
    "blocked": doc(TO="16505550199"),
    "blocked, no such MMS": doc(TO="16505550199", MMSID="1"),
    "no such MMS": doc(MMSID="1"),
    "odd MMS": doc(MMSID="../etc"),
    "encoding": doc(MMSID="40301"),
    "no pass": doc(MMSID="39755"),
    "no barcode": doc(PASSDATA=None),
    "fixed field": doc(MMSID="35674", PASSDATA="<HEADERVALUE1>x</HEADERVALUE1>"),
    "ignored fields": doc(PASSDATA=fields(WHATEVER="1", PRIMARYLABEL2="x")),
    "bad latitude": doc(PASSDATA=fields(RELLATITUDE3="91", RELLONGITUDE3="0")),
    "no longitude": doc(PASSDATA=fields(RELLATITUDE3="9")),
    "bad longitude": doc(PASSDATA=fields(RELLATITUDE10="9", RELLONGITUDE10="east")),
    "exponent": doc(PASSDATA=fields(RELLATITUDE1="1e1", RELLONGITUDE1="0")),
    "text alone": doc(PASSDATA=fields(RELTEXT4="here")),
    "abroad": doc(TO="491701234567"),
    "internal error": doc(TO="12025559023"),
    "too fast": doc(TO="12025559025"),
    "billing": doc(TO="12025559026"),
    "operator": doc(TO="12025559027"),
    "twice": doc(inner="<TO>16505550199</TO><MMSID>1</MMSID><FROM>1</FROM>"),
    "others": doc(inner="<FROM_MASK>Shop</FROM_MASK><DEVICE>x</DEVICE>"),
    "successor": doc(TO="12025559015"),
}  # fmt: skip
GETS: Final[dict[str, Callable[[str], dict[str, str]]]] = {
    "good": get(),
    "nothing": lambda _: {},
    "something else": lambda _: {"x": "1"},
    "document in the query": lambda key: {"xml": a_document(key)},
    "names in capitals": lambda key: {n.upper(): v for n, v in a_query(key).items()},
    "no action": get(action=None),
    "no key": get(api_key=None),
    "wrong key": get(api_key="wrong"),
    "key and a blank": lambda key: a_query(key + " "),
    "no mms id": get(mmsid=None),
    "blank before the mms id": get(mmsid=" 45633"),
    "no number": get(to=None),
    "plus": get(to=f"+{NUMBER}"),
    "an unescaped plus": get(to=f" {NUMBER}"),
    "no sender": get(from_=None),
    "blank before the sender": get(from_=" 11111"),
    "no such MMS": get(mmsid="1"),
    "no barcode": get(pd_barcodevalue=None),
    "bad latitude": get(pd_rellatitude1="x", pd_rellongitude1="1"),
    "cache buster": get(_="1764067200"),
    "odd names": get(**{"pd_1st": "x", "1st": "y", "utf8": "✓"}),
}  # fmt: skip


@pytest.fixture
def settings(settings: Settings, sandbox: RunningSandbox) -> Settings:
    return replace(settings, gateway_url=sandbox.gateway_url, gateway_api_key=API_KEY)


@pytest.fixture
def url(app: Flask) -> Iterator[str]:
    with serving(app) as address:
        yield address


@pytest.fixture
def key(session_factory: Sessions, now: Any) -> str:
    return accounts.create_token(session_factory, "shop", actor="test", now=now).token


def heard(response: requests.Response) -> dict[str, str | None]:
    """Return what an answer says, but for the words and for the id, which is another each time."""
    answer = said(response)
    return {
        "status": answer.status,
        "code": answer.error_code,
        "mms_id": answer.mms_id,
        "to": answer.to,
        "from": answer.from_,
        "tracking": "yes" if answer.tracking_id else None,
    }


def posted(url: str, post: Post) -> dict[str, str | None]:
    data, content_type = post
    headers = {"Content-Type": content_type} if content_type else {}
    return heard(requests.post(url, data=data, headers=headers, timeout=PATIENCE))


def test_a_posted_call_is_answered_as_by_the_gateway(
    url: str, key: str, sandbox: RunningSandbox, session_factory: Sessions, now: datetime
) -> None:
    differences, codes = {}, set()
    for name, post in POSTS.items():
        with session_factory.begin() as session:  # as if nothing had been refused before
            gateway_state.resume(session, now)
            gateway_state.set_pace(session, Pace())
        direct, ours = posted(sandbox.gateway_url, post(API_KEY)), posted(url, post(key))
        codes.add(direct["code"])
        if direct != ours:
            differences[name] = (direct, ours)
    assert differences == {}
    assert len(codes) >= 20  # the table is about something


def test_a_get_call_is_answered_as_by_the_gateway(
    url: str, key: str, sandbox: RunningSandbox
) -> None:
    differences = {}
    for name, query in GETS.items():
        direct, ours = (
            heard(requests.get(address, params=query(secret), timeout=PATIENCE))
            for address, secret in ((sandbox.gateway_url, API_KEY), (url, key))
        )
        if direct != ours:
            differences[name] = (direct, ours)
    assert differences == {}


def test_of_two_faults_the_one_that_only_the_gateway_knows_comes_second(
    url: str, key: str, sandbox: RunningSandbox
) -> None:
    """The one known difference: which senders an account has, nobody tells us."""
    post = doc(FROM="22222", TO="+1")
    assert posted(sandbox.gateway_url, post(API_KEY))["code"] == "E111"
    assert posted(url, post(key))["code"] == "E110"


def test_a_parameter_that_xml_cannot_carry_is_unreadable(url: str, key: str) -> None:
    for query in (a_query(key, mmsid="4\x005"), a_query(key, data_1st="x")):
        answer = heard(requests.get(url, params=query, timeout=PATIENCE))
        assert answer["code"] == "E108"
