"""Who may speak to the receiver: tokens that come and go, the allow-list, and floods."""

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

import pytest
from builders import NUMBER, a_postback, accepted, reloaded
from conftest import POSTBACK_TOKEN
from flask.testing import FlaskClient
from prometheus_client import REGISTRY
from sqlalchemy import text
from werkzeug.middleware.proxy_fix import ProxyFix

from tracker.config import AllowMode, Settings
from tracker.domain.status import Status
from tracker.services import postback_tokens
from tracker.store import alerts, db
from tracker.store.db import Sessions
from tracker.store.rows import AlertRow
from tracker.web import create_app
from tracker.web.receiver import MAX_LINES_PER_MINUTE, MAX_UNKNOWN_PER_MINUTE, RECEIVER, Receiver
from tracker.web.sources import MAX_SOURCES, AllowList, PerMinute, behind_proxies, site_of

KNOWN_SECONDS = 2.0  # until a new or a revoked token is known to a running server
URL = f"/postbacks/{POSTBACK_TOKEN}"
OWN = {"settings": POSTBACK_TOKEN}
LIST = ("203.0.113.0/24", "2001:db8:1::/48", "::ffff:198.51.100.0/120")
TRACKING_ID = "TU1TXzEyMzQ2"
INSIDE, OUTSIDE = "203.0.113.7", "192.0.2.9"


class Server:
    """A running application, and a gateway or a stranger at its door."""

    def __init__(self, settings: Settings) -> None:
        self.app = create_app(settings)
        self.app.testing = False
        self.client: FlaskClient = self.app.test_client()
        self.receiver: Receiver = self.app.extensions[RECEIVER]
        self.receiver.start()

    def close(self) -> None:
        self.receiver.stop()
        db.engine_of(self.app.extensions["tracker.sessions"]).dispose()

    def post(
        self,
        body: bytes,
        source: str = OUTSIDE,
        token: str = POSTBACK_TOKEN,
        forwarded_for: str | None = None,
    ) -> int:
        return self.client.post(
            f"/postbacks/{token}",
            data=body,
            headers={"X-Forwarded-For": forwarded_for} if forwarded_for else {},
            environ_overrides={"REMOTE_ADDR": source},
        ).status_code

    def unknown(self, count: int, source: str = OUTSIDE) -> int:
        """Post a body with this many tracking ids that nobody knows."""
        first = time.monotonic_ns()
        return self.post(a_body(*(f"UNKNOWN{first + number}" for number in range(count))), source)

    def contradicting(self, count: int, source: str = OUTSIDE) -> int:
        """Post a body with one tracking id, and this many numbers that are not its own."""
        numbers = [f"1202556{number:04}" for number in range(count)]
        return self.post(a_body(*[TRACKING_ID] * count, numbers=numbers), source)


def a_body(*tracking_ids: str, numbers: list[str] | None = None) -> bytes:
    """Return a body of the oldest dialect, which has several events."""
    events = (
        f"<NOTIFICATION><CODE>N102</CODE><STATUS>Message Sent/Delivered</STATUS><TO>{number}</TO>"
        f"<TRACKINGID>{tracking_id}</TRACKINGID></NOTIFICATION>"
        for tracking_id, number in zip(
            tracking_ids, numbers or [NUMBER] * len(tracking_ids), strict=True
        )
    )
    return f"<POSTBACK>{''.join(events)}</POSTBACK>".encode()


@pytest.fixture
def serve(settings: Settings) -> Iterator[Callable[..., Server]]:
    running = []

    def start(**changes: object) -> Server:
        running.append(Server(replace(settings, **changes)))  # type: ignore[arg-type]
        return running[-1]

    yield start
    for server in running:
        server.close()


def networks(*names: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(map(ip_network, names))


def listed(mode: AllowMode = AllowMode.REPORT) -> dict[str, object]:
    return {"postback_allow_from": networks(*LIST), "postback_allow_mode": mode}


def refused(reason: str) -> float:
    return REGISTRY.get_sample_value("tracker_postbacks_refused_total", {"reason": reason}) or 0.0


def until(condition: Callable[[], bool], seconds: float = KNOWN_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def open_alerts(sessions: Sessions) -> list[AlertRow]:
    with sessions() as session:
        return alerts.open_ones(session, 10)


@contextmanager
def within_one_minute() -> Iterator[None]:
    """Counts begin anew with each minute: wait for the next one when this one is nearly over."""
    left = 60 - time.monotonic() % 60
    if left < 15:
        time.sleep(left + 0.1)
    yield


# Tokens.


def test_a_running_server_learns_of_new_and_revoked_tokens(
    serve: Callable[..., Server], sessions: Sessions, now: datetime
) -> None:
    server = serve()
    body = a_postback()
    made = postback_tokens.create(sessions, "new", actor="tests", now=now)
    until(lambda: server.post(body, token=made.token) == HTTPStatus.OK)
    assert server.post(body) == HTTPStatus.OK  # the old one is valid still
    postback_tokens.revoke(sessions, OWN, "settings", actor="tests", now=now)
    until(lambda: server.post(body) == HTTPStatus.NOT_FOUND)
    assert server.post(body, token=made.token) == HTTPStatus.OK
    postback_tokens.revoke(sessions, OWN, "new", actor="tests", now=now, is_forced=True)
    until(lambda: server.post(body, token=made.token) == HTTPStatus.NOT_FOUND)


def test_a_revoked_token_of_the_settings_is_refused_after_a_restart_too(
    serve: Callable[..., Server], sessions: Sessions, now: datetime
) -> None:
    postback_tokens.revoke(sessions, OWN, "settings", actor="tests", now=now, is_forced=True)
    assert serve().post(a_postback()) == HTTPStatus.NOT_FOUND


def test_when_a_token_was_used_is_noted(
    serve: Callable[..., Server], sessions: Sessions, now: datetime
) -> None:
    made = postback_tokens.create(sessions, "new", actor="tests", now=now)
    server = serve()
    for token in (made.token, POSTBACK_TOKEN):
        assert server.post(a_postback(), token=token) == HTTPStatus.OK
    server.post(a_postback(), token="nobody-s")

    def states() -> dict[str, str]:
        return {state.name: state.state for state in postback_tokens.rows(sessions, OWN)}

    until(lambda: states() == {"settings": "Valid", "new": "Valid"})


def test_tokens_that_were_known_stay_so_while_the_database_is_away(
    serve: Callable[..., Server], sessions: Sessions, now: datetime
) -> None:
    made = postback_tokens.create(sessions, "new", actor="tests", now=now)
    server = serve()
    with sessions.begin() as session:
        session.execute(text("ALTER TABLE postback_tokens RENAME TO gone"))
    time.sleep(KNOWN_SECONDS)
    for token in (made.token, POSTBACK_TOKEN):
        assert server.receiver.refusal(token, INSIDE) is None
    answer = server.receiver.refusal("nobody-s", INSIDE)
    assert answer is not None
    assert answer.status == HTTPStatus.NOT_FOUND


def test_before_the_database_was_read_nobody_is_told_that_a_token_is_wrong(
    settings: Settings, sqlite_template: Path, tmp_path: Path
) -> None:
    path = tmp_path / "later.db"
    server = Server(replace(settings, database_url=f"sqlite:///{path}"))
    body = a_postback()
    assert server.post(body, token="nobody-s") == HTTPStatus.SERVICE_UNAVAILABLE
    assert server.post(body) == HTTPStatus.OK  # a token of the settings needs no database
    shutil.copy(sqlite_template, tmp_path / "copy.db")
    (tmp_path / "copy.db").rename(path)
    until(lambda: server.post(body, token="nobody-s") == HTTPStatus.NOT_FOUND, seconds=5)
    server.close()


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "x",
        POSTBACK_TOKEN[:-1],
        POSTBACK_TOKEN + "x",
        POSTBACK_TOKEN.upper(),
        "ä" * 3000,
        "\udcff",
    ],
)
def test_nearly_right_is_wrong_and_counted(serve: Callable[..., Server], wrong: str) -> None:
    receiver = serve().receiver
    before = refused("token")
    answer = receiver.refusal(wrong, INSIDE)
    assert answer is not None
    assert (answer.status, answer.line) == (HTTPStatus.NOT_FOUND, "not found")
    assert refused("token") == before + 1


def test_a_storm_of_wrong_tokens_is_counted_and_not_written_down(
    serve: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    receiver = serve().receiver
    before = refused("token")
    with within_one_minute(), caplog.at_level(logging.WARNING):
        for _ in range(2000):
            receiver.refusal("wrong", OUTSIDE)
    lines = [record for record in caplog.records if "wrong token" in record.message]
    assert len(lines) == 1
    assert lines[0].source == OUTSIDE  # type: ignore[attr-defined]
    assert refused("token") == before + 2000


def test_a_storm_from_many_places_does_not_fill_the_log_either(
    serve: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    receiver = serve().receiver
    with within_one_minute(), caplog.at_level(logging.WARNING):
        for number in range(3000):
            receiver.refusal("wrong", f"10.0.{number // 250}.{number % 250}")
            receiver.refusal("wrong", f"2001:db8::{number:x}")  # all of them are one customer's
            receiver.too_large(f"10.0.{number // 250}.{number % 250}")
    assert 0 < len(caplog.records) <= MAX_LINES_PER_MINUTE


# The allow-list.


@pytest.mark.parametrize(
    ("source", "is_inside"),
    [
        ("203.0.113.7", True),
        ("::ffff:203.0.113.7", True),
        ("198.51.100.20", True),  # its network is given as mapped
        ("::ffff:198.51.100.20", True),
        ("2001:db8:1::5", True),
        ("203.0.114.7", False),
        ("2001:db8:2::5", False),
        ("::203.0.113.7", False),
        ("", False),
        ("unknown", False),
        ("203.0.113.7:443", False),
        ("203.0.113.007", False),
        ("0xcb.0.113.7", False),
    ],
)
def test_an_address_is_looked_up_in_both_families(source: str, is_inside: bool) -> None:
    assert AllowList(networks(*LIST)).has(source) is is_inside


def test_an_empty_list_has_nobody() -> None:
    assert AllowList(()).is_empty
    assert not AllowList(()).has(INSIDE)


@pytest.mark.parametrize(
    ("mode", "answer"),
    [(AllowMode.OFF, 200), (AllowMode.REPORT, 200), (AllowMode.ENFORCE, 403)],
)
def test_the_mode_says_what_becomes_of_a_stranger(
    serve: Callable[..., Server],
    sessions: Sessions,
    caplog: pytest.LogCaptureFixture,
    mode: AllowMode,
    answer: int,
) -> None:
    public_id = accepted(sessions)
    server = serve(**listed(mode))
    with caplog.at_level(logging.WARNING):
        assert server.post(a_postback("N102")) == answer
    status = reloaded(sessions, public_id).status
    assert status is (Status.ACCEPTED if answer == 403 else Status.DELIVERED)
    said = [r.source for r in caplog.records if "outside" in r.message]  # type: ignore[attr-defined]
    assert said == ([] if mode is AllowMode.OFF else [OUTSIDE])
    assert server.post(a_postback("N102"), "::ffff:203.0.113.7") == HTTPStatus.OK


def test_refused_and_only_reported_are_counted_apart(serve: Callable[..., Server]) -> None:
    reasons = ("address", "address, only reported")
    before = [refused(reason) for reason in reasons]
    serve(**listed(AllowMode.ENFORCE)).receiver.refusal(POSTBACK_TOKEN, OUTSIDE)
    serve(**listed(AllowMode.REPORT)).receiver.refusal(POSTBACK_TOKEN, OUTSIDE)
    assert [refused(reason) for reason in reasons] == [count + 1 for count in before]


def test_a_right_address_does_not_stand_in_for_a_token(serve: Callable[..., Server]) -> None:
    server = serve(**listed(AllowMode.ENFORCE))
    assert server.post(a_postback(), INSIDE, token="wrong") == HTTPStatus.NOT_FOUND


# Proxies.


@pytest.mark.parametrize(
    ("hops", "header", "source"),
    [
        (0, "203.0.113.7", "peer"),
        (1, None, "peer"),
        (1, "", "peer"),
        (1, " , ", "peer"),
        (1, "203.0.113.7", "203.0.113.7"),
        (1, "forged, 203.0.113.7", "203.0.113.7"),
        (1, "forged,,203.0.113.7 ", "203.0.113.7"),
        (2, "203.0.113.7", "peer"),
        (2, "203.0.113.7, 10.0.0.1", "203.0.113.7"),
        (2, "forged, forged, 203.0.113.7, 10.0.0.1", "203.0.113.7"),
        (3, "203.0.113.7, 10.0.0.1", "peer"),
    ],
)
def test_the_address_is_what_the_outermost_trusted_proxy_saw(
    hops: int, header: str | None, source: str
) -> None:
    assert behind_proxies("peer", header, hops) == source
    environ = {"REMOTE_ADDR": "peer"} | ({} if header is None else {"HTTP_X_FORWARDED_FOR": header})
    assert fixed_by_werkzeug(environ, hops) == source


def fixed_by_werkzeug(environ: dict[str, str], hops: int) -> str:
    def ignore(*_: object) -> Callable[[bytes], object]:
        return len

    app = ProxyFix(lambda environ, _start: [environ["REMOTE_ADDR"].encode()], x_for=hops)
    return b"".join(app(environ, ignore)).decode()


@pytest.mark.parametrize("forged", ['"', '"x', 'x", "', "\\", ",,,", '"\\"'])
def test_nothing_written_in_front_moves_the_address(forged: str) -> None:
    for hops, seen in ((1, "192.0.2.9"), (2, "192.0.2.9, 10.0.0.1")):
        assert behind_proxies("10.0.0.2", f"203.0.113.7, {forged}, {seen}", hops) == "192.0.2.9"


def test_a_forged_header_lets_nobody_in(serve: Callable[..., Server]) -> None:
    server = serve(**listed(AllowMode.ENFORCE), trusted_proxies=1)
    body, proxy = a_postback(), "127.0.0.1"
    assert server.post(body, proxy, forwarded_for=INSIDE) == HTTPStatus.OK
    forged = f"{INSIDE}, {INSIDE}, {OUTSIDE}"
    assert server.post(body, proxy, forwarded_for=forged) == HTTPStatus.FORBIDDEN
    assert server.post(body, proxy) == HTTPStatus.FORBIDDEN
    without_proxies = serve(**listed(AllowMode.ENFORCE))
    assert without_proxies.post(body, OUTSIDE, forwarded_for=INSIDE) == HTTPStatus.FORBIDDEN


def test_a_long_header_is_not_remembered_whole() -> None:
    assert len(behind_proxies("peer", "x" * 8000, 1)) <= 64


# Guessing.


def test_too_many_unknown_ids_of_a_stranger_are_refused_and_known_ones_never(
    serve: Callable[..., Server], sessions: Sessions
) -> None:
    public_id = accepted(sessions)
    server = serve(**listed())
    with within_one_minute():
        assert server.unknown(MAX_UNKNOWN_PER_MINUTE - 1) == HTTPStatus.OK
        assert [server.unknown(1) for _ in range(3)] == [200, 429, 429]
        assert server.post(a_postback("N102")) == HTTPStatus.OK
        assert server.unknown(1, "192.0.2.10") == HTTPStatus.OK
        assert server.unknown(1, INSIDE) == HTTPStatus.OK
    assert reloaded(sessions, public_id).status is Status.DELIVERED


def test_whoever_has_many_addresses_of_one_network_is_one_stranger(
    serve: Callable[..., Server],
) -> None:
    server = serve(**listed())
    with within_one_minute():
        assert server.unknown(MAX_UNKNOWN_PER_MINUTE, "2001:db8:9::1") == HTTPStatus.OK
        assert server.unknown(1, "2001:db8:9::2") == HTTPStatus.TOO_MANY_REQUESTS


def test_one_large_body_is_no_way_around_the_limit(serve: Callable[..., Server]) -> None:
    server = serve(**listed())
    with within_one_minute():
        assert server.unknown(MAX_UNKNOWN_PER_MINUTE + 1) == HTTPStatus.TOO_MANY_REQUESTS


@pytest.mark.parametrize("source", [INSIDE, OUTSIDE])
def test_nobody_is_limited_inside_of_the_list_or_without_one(
    serve: Callable[..., Server], source: str
) -> None:
    server = serve(**(listed() if source == INSIDE else {}))
    assert server.unknown(MAX_UNKNOWN_PER_MINUTE, source) == HTTPStatus.OK
    assert server.unknown(MAX_UNKNOWN_PER_MINUTE + 1, source) == HTTPStatus.OK


def test_a_body_of_which_one_event_is_refused_must_come_again(
    serve: Callable[..., Server], sessions: Sessions
) -> None:
    public_id = accepted(sessions)
    server = serve(**listed())
    body = a_body(TRACKING_ID, "NOBODYKNOWS")
    with within_one_minute():
        server.unknown(MAX_UNKNOWN_PER_MINUTE)
        assert server.post(body) == HTTPStatus.TOO_MANY_REQUESTS
    assert reloaded(sessions, public_id).status is Status.DELIVERED
    assert server.post(body, INSIDE) == HTTPStatus.OK


def test_a_stranger_who_guesses_ids_sounds_one_alert(
    serve: Callable[..., Server], sessions: Sessions
) -> None:
    accepted(sessions)
    server = serve(**listed())
    with within_one_minute():
        assert server.unknown(70) == HTTPStatus.TOO_MANY_REQUESTS
        assert server.contradicting(30) == HTTPStatus.OK
        time.sleep(1.5)
        assert open_alerts(sessions) == []  # a hundred may be an accident
        server.unknown(10)
    until(lambda: bool(open_alerts(sessions)))
    time.sleep(1.5)
    (alert,) = open_alerts(sessions)
    assert (alert.kind, alert.subject, alert.count) == ("guessing", OUTSIDE, 1)
    assert "stolen token" in alert.detail


def test_the_gateway_itself_sounds_no_alert(
    serve: Callable[..., Server], sessions: Sessions
) -> None:
    server = serve(**listed())
    server.unknown(110, INSIDE)
    time.sleep(1.5)
    assert open_alerts(sessions) == []


def test_repeats_are_no_guesses(serve: Callable[..., Server], sessions: Sessions) -> None:
    server = serve(**listed())
    body = a_body(*(f"UNKNOWN{number}" for number in range(MAX_UNKNOWN_PER_MINUTE)))
    assert [server.post(body) for _ in range(3)] == [HTTPStatus.OK] * 3
    time.sleep(1.5)
    assert open_alerts(sessions) == []


# Counting.


def test_no_more_sources_are_remembered_than_there_is_room_for() -> None:
    counts = PerMinute()
    for number in range(MAX_SOURCES + 500):
        counts.add(str(number))
    assert len(counts) == MAX_SOURCES
    assert counts.count("0") == 0


@pytest.mark.parametrize(
    ("source", "site"),
    [
        ("192.0.2.9", "192.0.2.9"),
        ("::ffff:192.0.2.9", "192.0.2.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("no address", "no address"),
        ("", ""),
    ],
)
def test_one_customer_is_one_source(source: str, site: str) -> None:
    assert site_of(source) == site


def test_the_clock_of_uses_is_utc(
    serve: Callable[..., Server], sessions: Sessions, now: datetime
) -> None:
    server = serve()
    server.post(a_postback())
    until(lambda: postback_tokens.rows(sessions, OWN)[0].last_used_at is not None)
    used_at = postback_tokens.rows(sessions, OWN)[0].last_used_at
    assert used_at is not None
    assert now <= used_at <= datetime.now(UTC)
