"""A small WSGI application that the tests of the worker serve: each path does one thing."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs
from wsgiref.validate import validator

Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], object]]
TEXT = [("Content-Type", "text/plain")]
BLOCK = bytes(range(256)) * 256  # 64 KiB

calls = 0
closed = 0


class Closing:
    """Parts that count when they are closed."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        return self._parts

    def close(self) -> None:
        global closed  # noqa: PLW0603
        closed += 1


def echo(environ: Environ, start: Start) -> Iterable[bytes]:
    """Say what the request was."""
    seen = {name: value for name, value in environ.items() if isinstance(value, str | bool)}
    seen["body"] = environ["wsgi.input"].read(-1).decode("latin-1")
    body = json.dumps(seen).encode()
    start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def one_part(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    return [b"one part"]


def counts(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    return [f"{calls} {closed}".encode()]


def sleep(environ: Environ, start: Start) -> Iterable[bytes]:
    time.sleep(float(query(environ)))
    start("200 OK", TEXT)
    return [b"slept ", query(environ).encode()]


def stream(environ: Environ, start: Start) -> Iterable[bytes]:
    """Send so many blocks, without saying how many."""
    start("200 OK", TEXT)
    return Closing(BLOCK for _ in range(int(query(environ))))


def drip(environ: Environ, start: Start) -> Iterable[bytes]:
    """Send a part at once, and another one later."""
    start("200 OK", TEXT)
    yield b"early"
    time.sleep(float(query(environ)))
    yield b"late"


def large(environ: Environ, start: Start) -> Iterable[bytes]:
    body = BLOCK * int(query(environ))
    start("200 OK", [*TEXT, ("Content-Length", str(len(body)))])
    return [body]


def written(environ: Environ, start: Start) -> Iterable[bytes]:
    write = start("200 OK", TEXT)
    write(b"by write, ")
    write(b"")
    return [b"by part"]


def fails(environ: Environ, start: Start) -> Iterable[bytes]:
    raise RuntimeError("a secret of the application")


def fails_late(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    yield b"begun"
    raise RuntimeError("a secret of the application")


def exits(environ: Environ, start: Start) -> Iterable[bytes]:
    raise SystemExit(3)


def thinks_again(environ: Environ, start: Start) -> Iterable[bytes]:
    """Replace an answer that has not begun."""
    start("200 OK", [("X-First", "yes")])
    error = KeyError("x")
    start("404 Not Found", TEXT, (KeyError, error, error.__traceback__))
    return [b"not here"]


def says_twice(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", TEXT)
    start("201 Created", TEXT)
    return [b"x"]


def says_nothing(environ: Environ, start: Start) -> Iterable[bytes]:
    return [b"x"]


def gives_text(environ: Environ, start: Start) -> Iterable[Any]:
    start("200 OK", TEXT)
    return ["text"]


def injects(environ: Environ, start: Start) -> Iterable[bytes]:
    name, value = {
        "value": ("X-Name", "a\r\nX-Injected: b"),
        "name": ("X-Injected: b\r\nX", "a"),
        "nul": ("X-Name", "a\0b"),
        "wide": ("X-Name", "\N{SNOWMAN}"),
    }.get(query(environ), ("X-Name", "a"))
    status = "200 OK\r\nX-Injected: b" if query(environ) == "status" else "200 OK"
    start(status, [(name, value)])
    return [b"x"]


def too_short(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [*TEXT, ("Content-Length", "9")])
    return [b"short"]


def too_long(environ: Environ, start: Start) -> Iterable[bytes]:
    start("200 OK", [*TEXT, ("Content-Length", "4")])
    return [b"lo", b"ngHTTP/1.1 200 OK\r\n\r\n"]


def no_content(environ: Environ, start: Start) -> Iterable[bytes]:
    start(f"{query(environ)} Nothing", [("ETag", '"x"')])
    return [b"never sent"]


def own_fields(environ: Environ, start: Start) -> Iterable[bytes]:
    """Say what is the server's to say."""
    fields = ("Date", "x"), ("Connection", "close"), ("Transfer-Encoding", "x"), ("X-Own", "1")
    start("200 OK", [*fields])
    return [b"x"]


valid = validator(echo)

PATHS: dict[str, Callable[[Environ, Start], Iterable[bytes]]] = {
    "/one-part": one_part, "/counts": counts, "/sleep": sleep, "/stream": stream, "/drip": drip,
    "/large": large, "/write": written, "/fails": fails, "/fails-late": fails_late,
    "/exits": exits, "/thinks-again": thinks_again, "/says-twice": says_twice,
    "/says-nothing": says_nothing, "/gives-text": gives_text, "/injects": injects,
    "/too-short": too_short, "/too-long": too_long, "/no-content": no_content,
    "/own-fields": own_fields, "/valid": valid,
}  # fmt: skip


def query(environ: Environ) -> str:
    given: list[str] = parse_qs(environ["QUERY_STRING"]).get("n", [""])
    return given[0]


def app(environ: Environ, start: Start) -> Iterable[bytes]:
    global calls  # noqa: PLW0603
    calls += 1
    return PATHS.get(environ["PATH_INFO"], echo)(environ, start)
