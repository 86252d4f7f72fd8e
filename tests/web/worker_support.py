"""gunicorn with our worker, as the tests of the worker start it and speak to it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from running import free_port

ROOT = Path(__file__).parents[2]
CONF = ROOT / "deploy" / "gunicorn.conf.py"
PATIENCE = 15.0  # for whatever a test waits for; nothing takes that long


@dataclass(frozen=True)
class Gunicorn:
    """A running gunicorn."""

    port: int
    log: Path
    process: "subprocess.Popen[bytes]"
    socket_file: Path | None = None

    def connect(self) -> socket.socket:
        if self.socket_file is None:
            return socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(self.socket_file))
        except OSError:
            connection.close()
            raise
        return connection

    def ask(self, *pieces: bytes, half_close: bool = False) -> bytes:
        """Send and return everything that comes until the server closes."""
        with self.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            return everything(connection)


@dataclass
class Answer:
    """One answer, as a client reads it."""

    status: int
    fields: dict[str, str]
    body: bytes
    is_whole: bool = True
    names: list[str] = field(default_factory=list)


@contextmanager
def gunicorn(
    folder: Path, *options: str, patch: str = "", socket_file: Path | None = None
) -> Iterator[Gunicorn]:
    """Run gunicorn with the project's configuration; `patch` is run before it, as Python."""
    conf = folder / "conf.py"
    conf.write_text(f"{patch}\nexec(open({str(CONF)!r}).read())\n")
    port, log = free_port(), folder / "web.log"
    environ = {**os.environ, "TRACKER_DATABASE_URL": f"sqlite:///{folder}/none.db"}
    environ["WEB_BIND"] = f"unix:{socket_file}" if socket_file else f"127.0.0.1:{port}"
    command = [sys.executable, "-m", "gunicorn", "-c", str(conf), *options]
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=folder, env=environ, stderr=file, stdout=file)
    started = Gunicorn(port, log, process, socket_file)
    try:
        wait_until_served(started)
        yield started
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()


def wait_until_served(served: Gunicorn) -> None:
    deadline = time.monotonic() + 40
    while True:
        try:
            assert served.ask(get("/healthz", "Connection: close"))
        except OSError:
            assert time.monotonic() < deadline, served.log.read_text()
            assert served.process.poll() is None, served.log.read_text()
            time.sleep(0.05)
        else:
            return


def get(path: str, *lines: str, method: str = "GET", version: str = "1.1") -> bytes:
    head = [f"{method} {path} HTTP/{version}", "Host: tracker.test", *lines]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n"


def post(path: str, body: bytes, *lines: str, version: str = "1.1") -> bytes:
    return get(path, f"Content-Length: {len(body)}", *lines, method="POST", version=version) + body


def chunked(path: str, *chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    head = get(path, "Transfer-Encoding: chunked", "Connection: close", method="POST")
    return head + b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks) + end


def everything(connection: socket.socket) -> bytes:
    """Return what comes until the server closes."""
    received = bytearray()
    while chunk := connection.recv(65536):
        received += chunk
    return bytes(received)


def until(connection: socket.socket, what: bytes) -> bytes:
    """Return what comes until `what` has."""
    received = bytearray()
    while what not in received:
        chunk = connection.recv(65536)
        assert chunk, bytes(received)
        received += chunk
    return bytes(received)


def answers(data: bytes, *, heads_only: bool = False) -> list[Answer]:
    """Read all answers; the last one may be broken off."""
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        assert first.startswith("HTTP/1.1 "), first
        pairs = [line.split(": ", 1) for line in lines]
        fields = {name.lower(): value for name, value in pairs}
        answer = Answer(int(first[9:12]), fields, b"", names=[name for name, _ in pairs])
        if not heads_only and answer.status not in (100, 204, 304):
            data = _body(answer, data)
        found.append(answer)
    return found


def _body(answer: Answer, data: bytes) -> bytes:
    if answer.fields.get("transfer-encoding") == "chunked":
        answer.is_whole = False
        while data:
            size, _, data = data.partition(b"\r\n")
            if size == b"0":
                answer.is_whole = data.startswith(b"\r\n")
                return data[2:]
            answer.body += data[: int(size, 16)]
            data = data[int(size, 16) + 2 :]
        return data
    length = int(answer.fields.get("content-length", len(data)))
    answer.body, answer.is_whole = data[:length], len(data) >= length
    return data[length:]
