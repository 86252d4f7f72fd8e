"""The worker's HTTP: what it reads, what it refuses, and that answers come in order."""

import json
import random
import socket
import time
from collections.abc import Iterator

import pytest
from worker_support import (
    PATIENCE,
    ROOT,
    Gunicorn,
    answers,
    chunked,
    everything,
    get,
    gunicorn,
    post,
    until,
)

CLOSE = "Connection: close"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    folder = tmp_path_factory.mktemp("http")
    here = str(ROOT / "tests" / "web")
    options = ("--keep-alive", "2", "--pythonpath", here, "worker_app:app")
    with gunicorn(folder, *options) as started:
        yield started


def calls(served: Gunicorn) -> int:
    """Return how many requests have reached the application, but for those that ask."""
    (answer,) = answers(served.ask(get("/counts", CLOSE)))
    return int(answer.body.split()[0])


def echoed(served: Gunicorn, *pieces: bytes) -> dict[str, str]:
    (answer,) = answers(served.ask(*pieces))
    assert answer.status == 200
    seen: dict[str, str] = json.loads(answer.body)
    return seen


# Requests as they may be.


def test_the_application_sees_the_request(served: Gunicorn) -> None:
    lines = (CLOSE, "Content-Type: text/xml", "X-One: a", "X-One: b", "Cookie: a=1", "Cookie: b=2")
    seen = echoed(served, post("/a%20b%C3%A9//c;d?q=%20&r#s", b"\xff\0body", *lines))
    assert seen["body"] == "\xff\0body"
    wanted = {
        "REQUEST_METHOD": "POST", "SCRIPT_NAME": "", "PATH_INFO": "/a b\xc3\xa9//c;d",
        "QUERY_STRING": "q=%20&r", "SERVER_PROTOCOL": "HTTP/1.1", "CONTENT_TYPE": "text/xml",
        "CONTENT_LENGTH": "6", "HTTP_HOST": "tracker.test", "HTTP_X_ONE": "a,b",
        "HTTP_COOKIE": "a=1; b=2", "REMOTE_ADDR": "127.0.0.1", "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(served.port), "wsgi.url_scheme": "http", "wsgi.multithread": True,
        "wsgi.input_terminated": True, "wsgi.run_once": False,
    }  # fmt: skip
    assert {name: seen.get(name) for name in wanted} == wanted
    assert not {"HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE"} & set(seen)


def test_a_name_with_underscores_is_nobodys(served: Gunicorn) -> None:
    seen = echoed(served, get("/", "X_Forwarded_For: 6.6.6.6", "X-Real: 1", CLOSE))
    assert "HTTP_X_FORWARDED_FOR" not in seen
    assert seen["HTTP_X_REAL"] == "1"


def test_the_absolute_form_is_a_path_too(served: Gunicorn) -> None:
    assert echoed(served, get("http://else.test/a/b?c", CLOSE))["PATH_INFO"] == "/a/b"
    assert echoed(served, get("http://else.test?c", CLOSE))["QUERY_STRING"] == "c"


def test_chunks_become_one_body(served: Gunicorn) -> None:
    trailer = b"0;last\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"
    request = chunked("/", b"ab", b"c" * 70_000, b"d", end=trailer)
    seen = echoed(served, request.replace(b"\r\n2\r\n", b"\r\n2;x=y\r\n"))
    assert seen["body"] == "ab" + "c" * 70_000 + "d"
    assert seen["CONTENT_LENGTH"] == "70003"
    assert not {"HTTP_TRANSFER_ENCODING", "HTTP_X_FORWARDED_FOR"} & set(seen)


@pytest.mark.parametrize("request_", [post("/", b"dripped", CLOSE), chunked("/", b"drip", b"ped")])
def test_a_request_byte_by_byte_is_one_request(served: Gunicorn, request_: bytes) -> None:
    request_ = b"\r\n" + request_  # a blank line before is nothing, say RFC 9112 and old clients
    assert echoed(served, *(bytes([byte]) for byte in request_))["body"] == "dripped"


def test_pipelined_requests_are_answered_in_order(served: Gunicorn) -> None:
    requests = [
        get("/sleep?n=0.3"),
        post("/1", b"one"),
        get("/stream?n=3"),
        chunked("/2", b"two").replace(b"Connection: close\r\n", b""),
        get("/fails"),
        get("/3", CLOSE),
    ]
    found = answers(served.ask(b"".join(requests)))
    assert [answer.status for answer in found] == [200, 200, 200, 200, 500, 200]
    assert found[0].body == b"slept 0.3"
    assert [json.loads(found[i].body)["PATH_INFO"] for i in (1, 3, 5)] == ["/1", "/2", "/3"]
    assert len(found[2].body) == 3 * 65_536


def test_a_long_pipeline_is_answered_to_its_end(served: Gunicorn) -> None:
    requests = [get(f"/{number}") for number in range(1500)]
    found = answers(served.ask(b"".join(requests) + get("/last", CLOSE)))
    paths = [json.loads(answer.body)["PATH_INFO"] for answer in found]
    assert paths == [*(f"/{number}" for number in range(1500)), "/last"]


def test_a_connection_is_kept_and_left_after_a_while(served: Gunicorn) -> None:
    with served.connect() as connection:
        for number in range(20):
            connection.sendall(post("/", str(number).encode()))
            (answer,) = answers(until(connection, b"}"))
            assert json.loads(answer.body)["body"] == str(number)
            assert "connection" not in answer.fields
        began = time.monotonic()
        assert everything(connection) == b""
        assert time.monotonic() - began < 10


def test_http_1_0_is_closed_unless_it_asks_otherwise(served: Gunicorn) -> None:
    (answer,) = answers(served.ask(post("/", b"x", version="1.0")))
    assert (answer.status, answer.fields["connection"]) == (200, "close")
    kept = post("/", b"x", "Connection: keep-alive", version="1.0")
    first, second = answers(served.ask(kept, get("/", version="1.0")))
    assert (first.fields["connection"], second.fields["connection"]) == ("keep-alive", "close")


def test_http_1_0_gets_no_chunks(served: Gunicorn) -> None:
    request = get("/stream?n=2", "Connection: keep-alive", version="1.0")
    (answer,) = answers(served.ask(request + get("/never")))
    assert (answer.fields["connection"], len(answer.body)) == ("close", 2 * 65_536)
    assert "transfer-encoding" not in answer.fields


def test_head_has_the_fields_and_no_body(served: Gunicorn) -> None:
    paths = ["/", "/one-part", "/stream?n=1", "/large?n=9", "/valid"]
    requests = [get(path, method="HEAD") for path in paths]
    found = answers(served.ask(*requests, get("/", CLOSE, method="HEAD")), heads_only=True)
    assert [answer.status for answer in found] == [200] * 6
    lengths = [answer.fields.get("content-length") for answer in found]
    assert (lengths[1], lengths[2], lengths[3]) == ("8", None, str(9 * 65_536))


def test_a_client_that_waits_for_100_is_asked_for_its_body(served: Gunicorn) -> None:
    head, body = post("/", b"body", "Expect: 100-Continue", CLOSE)[:-4], b"body"
    with served.connect() as connection:
        connection.sendall(head)
        assert until(connection, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        (answer,) = answers(everything(connection))
        assert json.loads(answer.body)["body"] == "body"


def test_100_keeps_its_place_in_the_pipeline(served: Gunicorn) -> None:
    head = post("/", b"body", "Expect: 100-continue", CLOSE)[:-4]
    with served.connect() as connection:
        connection.sendall(get("/sleep?n=0.3") + head)
        came = until(connection, b"100 Continue\r\n\r\n")
        connection.sendall(b"body")
        found = answers(came + everything(connection))
    assert [answer.status for answer in found] == [200, 100, 200]


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_an_offer_of_http_2_is_passed_over(served: Gunicorn, framing: str) -> None:
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    request = post("/", b"body", *offer)
    if framing == "chunks":
        request = get("/", *offer, "Transfer-Encoding: chunked", method="POST")
        request += b"4\r\nbody\r\n0\r\n\r\n"
    for pieces in ([request * 3 + get("/", *offer), get("/", CLOSE)], [request, get("/", CLOSE)]):
        found = answers(served.ask(*pieces))
        assert {answer.status for answer in found} == {200}
        bodies = [json.loads(answer.body)["body"] for answer in found]
        assert bodies in ([*["body"] * 3, "", ""], ["body", ""])


def test_who_says_no_more_still_gets_the_answer(served: Gunicorn) -> None:
    (answer,) = answers(served.ask(get("/sleep?n=0.3"), half_close=True))
    assert answer.body == b"slept 0.3"
    assert len(answers(served.ask(get("/") * 40, half_close=True))) == 40
    assert served.ask(b"", half_close=True) == b""
    assert served.ask(b"\r\n", half_close=True) == b""


# Requests as they may not be.

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n"
REFUSED = {
    "length and chunks": (HEAD + b"Content-Length: 4\r\n" + CHUNKED[26:] + b"\r\n0\r\n\r\n", 400),
    "chunks and length": (CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n", 400),
    "length twice": (HEAD + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nbody", 400),
    "two lengths": (HEAD + b"Content-Length: 4, 4\r\n\r\nbody", 400),
    "no length": (HEAD + b"Content-Length: x\r\n\r\n", 400),
    "empty length": (HEAD + b"Content-Length:\r\n\r\n", 400),
    "negative length": (HEAD + b"Content-Length: -1\r\n\r\n", 400),
    "length with plus": (HEAD + b"Content-Length: +4\r\n\r\nbody", 400),
    "length of 20 digits": (HEAD + b"Content-Length: 99999999999999999999\r\n\r\n", 400),
    "large length": (HEAD + b"Content-Length: 3000000\r\n\r\n", 413),
    "large chunk": (CHUNKED + b"\r\n2dc6c0\r\n" + b"x" * 2_200_000, 413),
    "other coding": (HEAD + b"Transfer-Encoding: gzip\r\n\r\n", 400),
    "two codings": (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    "coding twice": (CHUNKED + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "odd coding": (HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    "chunks in 1.0": (CHUNKED.replace(b"1.1", b"1.0") + b"\r\n0\r\n\r\n", 400),
    "no chunk size": (CHUNKED + b"\r\nzz\r\nbody\r\n0\r\n\r\n", 400),
    "blank chunk size": (CHUNKED + b"\r\n\r\n0\r\n\r\n", 400),
    "chunk too long": (CHUNKED + b"\r\n2\r\nbody\r\n0\r\n\r\n", 400),
    "chunk of 2^64": (CHUNKED + b"\r\nfffffffffffffffff\r\nbody", 400),
    "length in trailer": (CHUNKED + b"\r\n0\r\nContent-Length: 4\r\n\r\n", 400),
    "endless trailer": (CHUNKED + b"\r\n0\r\nX: " + b"x" * 90_000, 431),
    "endless chunk extension": (CHUNKED + b"\r\n1;" + b"x" * 90_000, 431),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "version 2.0": (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 400),
    "version 0.9": (b"GET / HTTP/0.9\r\nHost: x\r\n\r\n", 400),
    "version 1.10": (b"GET / HTTP/1.10\r\nHost: x\r\n\r\n", 400),
    "nonsense": (b"nonsense\r\n\r\n", 400),
    "nothing known": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "line feeds": (b"GET / HTTP/1.1\nHost: x\n\n", 400),
    "folded": (b"GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n", 400),
    "carriage return": (b"GET / HTTP/1.1\r\nX: a\rb\r\n\r\n", 400),
    "nul": (b"GET / HTTP/1.1\r\nX: a\0\r\n\r\n", 400),
    "blank in name": (b"GET / HTTP/1.1\r\nX : a\r\n\r\n", 400),
    "no name": (b"GET / HTTP/1.1\r\n: a\r\n\r\n", 400),
    "blank in target": (b"GET /a b HTTP/1.1\r\n\r\n", 400),
    "no method of ours": (b"FETCH / HTTP/1.1\r\n\r\n", 400),
    "proxy": (b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n", 405),
    "two hosts": (HEAD + b"Host: y\r\nContent-Length: 0\r\n\r\n", 400),
    "expectation": (HEAD + b"Expect: the-unexpected\r\nContent-Length: 4\r\n\r\n", 417),
    "long target": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
    "endless target": (b"GET /" + b"a" * 90_000, 414),
    "large field": (HEAD + b"X: " + b"a" * 9000 + b"\r\n\r\n", 431),
    "endless field": (HEAD + b"X: " + b"a" * 90_000, 431),
    "many fields": (HEAD + b"X: a\r\n" * 70 + b"\r\n", 431),
    "large head": (HEAD + (b"X: " + b"a" * 8000 + b"\r\n") * 20, 431),
}  # fmt: skip


@pytest.mark.parametrize(("request_", "status"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_gets_one_answer_and_the_end(
    served: Gunicorn, request_: bytes, status: int
) -> None:
    before = calls(served)
    came = served.ask(get("/first"), request_, b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
    first, *others = answers(came)
    assert json.loads(first.body)["PATH_INFO"] == "/first"
    assert [answer.status for answer in others] == [status]
    assert others[0].fields["connection"] == "close"
    assert calls(served) - before == 2


@pytest.mark.parametrize(
    "request_",
    [post("/", b"body")[:-1], chunked("/", b"body")[:-3], HEAD, b"GET"],
    ids=["body", "chunks", "head", "line"],
)
def test_half_a_request_is_refused_when_its_client_says_no_more(
    served: Gunicorn, request_: bytes
) -> None:
    before = calls(served)
    (answer,) = answers(served.ask(request_, half_close=True))
    assert (answer.status, answer.fields["connection"]) == (400, "close")
    assert calls(served) - before == 1


def test_a_client_that_is_still_sending_gets_its_refusal(served: Gunicorn) -> None:
    """Without a gentle goodbye the system would reset, and take the answer away again."""
    with served.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 9000000\r\n\r\n")
        for _ in range(90):
            connection.sendall(b"x" * 100_000)
        (answer,) = answers(everything(connection))
    assert answer.status == 413


def test_what_the_api_refuses_before_its_views_is_a_problem_document_too(served: Gunicorn) -> None:
    with served.connect() as connection:
        head = b"POST /api/v1/messages HTTP/1.1\r\nHost: x\r\n"
        connection.sendall(head + b"Content-Length: 9000000\r\n\r\n")
        (answer,) = answers(everything(connection))
    told = json.loads(answer.body)
    assert (told["status"], told["title"]) == (413, "Request Entity Too Large")
    assert answer.fields["content-type"] == "application/problem+json"


def test_a_client_that_goes_away_leaves_nothing_behind(served: Gunicorn) -> None:
    for request in (b"", b"GET /", post("/", b"x")[:-1], get("/sleep?n=0.2"), get("/stream?n=99")):
        for _ in range(10):
            with served.connect() as connection:
                connection.sendall(request)
                linger = b"\1\0\0\0\0\0\0\0"  # reset
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    assert calls(served)


MARKS = [
    b"\r\n",
    b"\r",
    b"\n",
    b"\0",
    b" ",
    b":",
    b"chunked",
    b"Content-Length: 3\r\n",
    b"0\r\n\r\n",
]


def mutated(dice: random.Random, request: bytes) -> bytes:
    """Return a request with some bytes changed, lost, repeated or put in."""
    data = bytearray(request)
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(len(data) + 1)
        match dice.randrange(5):
            case 0:
                data[at:at] = dice.choice(MARKS)
            case 1:
                data[at : at + 1] = bytes([dice.randrange(256)])
            case 2:
                del data[at : at + dice.randint(1, 20)]
            case 3:
                data[at:at] = data[at : at + dice.randint(1, 60)]
            case _:
                data[at:at] = dice.randbytes(dice.randint(1, 8))
    return bytes(data)


def test_garbage_is_the_clients_fault(served: Gunicorn) -> None:
    """Whatever comes, the server answers below 500 or not at all, and closes in time."""
    dice, said = random.Random(20_240), len(served.log.read_text())
    good = [get("/a?b", CLOSE), post("/", b"body", CLOSE), chunked("/", b"a", b"bc"), get("/") * 3]
    good.append(get("/", "Connection: upgrade", "Upgrade: h2c"))
    for number in range(400):
        garbage = dice.randbytes(dice.randint(1, 400))
        request = mutated(dice, dice.choice(good)) if number % 8 else garbage
        began = time.monotonic()
        came = served.ask(request, half_close=True)
        assert time.monotonic() - began < PATIENCE
        statuses = [answer.status for answer in answers(came)] if b"HEAD" not in request else []
        assert all(status < 500 for status in statuses), (number, request, came)
    assert "Traceback" not in served.log.read_text()[said:]
