"""Trials with clients that are many, rude, or early."""

import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
from sqlalchemy import create_engine, func, select

from tracker.domain.status import Status
from tracker.sandbox.behaviour import Behaviour
from tracker.sandbox.options import Delays, SandboxOptions
from tracker.sandbox.server import RunningSandbox, running
from tracker.services import submit
from tracker.store import db
from tracker.store.db import Sessions
from tracker.store.models import Message, Postback, PostbackBody

from . import load
from .postbacks import FORM, MMS_ID, postback, recipient
from .servers import PATH, wait_until
from .stage import Stage

TIMES = 20  # the same body
SILENT = 500  # connections that say nothing
SLOW = 50
MORE_MEMORY = 50 * 1024 * 1024
NUMBERS_FROM = 900_000  # of messages that the trial itself queues
EARLY_SECONDS = 60.0
Usage = tuple[int, int]  # bytes of memory, open files


def same_body(stage: Stage) -> None:
    """One body is posted many times at once: one row, and the others are counted as repeats."""
    rounds = max(10, int(stage.seconds * 10))
    numbers = [load.together(stage.server.port, PATH, stage.ledger, TIMES) for _ in range(rounds)]
    bodies = {postback(number).body for number in numbers}
    engine = create_engine(stage.database.url)
    rows = select(PostbackBody.body, func.sum(Postback.repeats)).join(
        Postback, Postback.body_id == PostbackBody.id
    )
    with engine.connect() as connection:
        found = connection.execute(rows.group_by(PostbackBody.body)).tuples().all()
    engine.dispose()
    wrong = [count for body, count in found if body in bodies and count != TIMES - 1]
    if wrong:
        stage.complaints.append(f"{len(wrong)} of {rounds} rows count other repeats: {wrong[:5]}")
    stage.notes.append(f"{rounds} bodies, {TIMES} times each at once")


def early(stage: Stage) -> None:
    """Postbacks come before the call that sent the message has returned, or at the same instant."""
    stage.is_alone = False
    count = max(20, int(stage.seconds * 10))
    sessions = db.connect(stage.database.url)
    with _gateway(stage) as sandbox, _sender(stage, sandbox):
        _queue(sessions, count)
        seconds = wait_until(
            lambda: _count_delivered(sessions) == count, EARLY_SECONDS, "messages stay undelivered"
        )
        wait_until(
            lambda: all(posted.state != "waiting" for posted in sandbox.postbacks),
            EARLY_SECONDS, "postbacks of the sandbox stay unanswered",
        )  # fmt: skip
        states = Counter(posted.state for posted in sandbox.postbacks)
    with sessions() as session:
        rows = select(Postback.outcome, func.count()).group_by(Postback.outcome)
        outcomes = dict(session.execute(rows).tuples().all())
    db.engine_of(sessions).dispose()
    if outcomes.get("unmatched"):
        stage.complaints.append(f"{outcomes['unmatched']} are still unmatched")
    if set(states) != {"accepted"}:
        stage.complaints.append(f"postbacks of the sandbox ended as {dict(states)}")
    stage.notes.append(
        f"{count} messages delivered within {seconds:.1f} s by {states['accepted']} postbacks"
        f" of the sandbox; in the journal: {outcomes}"
    )


def _queue(sessions: Sessions, count: int) -> None:
    for number in range(count):
        request = {
            "to": recipient(NUMBERS_FROM + number),
            "mms_id": MMS_ID,
            "from": "11111",
            "pass_data": {"BARCODEVALUE": str(number)},
        }
        submit.one(sessions, request, default_from=None, now=datetime.now(UTC))


def _count_delivered(sessions: Sessions) -> int:
    rows = select(func.count()).where(
        Message.status == Status.DELIVERED, Message.custom_pass_id.not_like("trial-%")
    )
    with sessions() as session:
        return session.scalar(rows) or 0


@contextmanager
def _gateway(stage: Stage) -> Iterator[RunningSandbox]:
    """Play a gateway that posts at once; for half of the numbers before it answers the call."""
    at_once = Delays(discovery=0, discovery_receipt=0, sending=0, receipt=0)
    before = Behaviour(postback_before_answer=True)
    options = SandboxOptions(
        postback_url=stage.server.url + PATH,
        delays=at_once,
        retry_seconds=1,
        behaviours={str(digit): before for digit in range(0, 10, 2)},
    )
    with running(options) as sandbox:
        yield sandbox


@contextmanager
def _sender(stage: Stage, sandbox: RunningSandbox) -> Iterator[None]:
    environ = {
        **stage.server.environ,
        "TRACKER_GATEWAY_URL": sandbox.gateway_url,
        "TRACKER_GATEWAY_API_KEY": SandboxOptions().api_key,
    }
    command = [str(Path(sys.executable).with_name("tracker")), "sender"]
    with (stage.folder / "sender.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=stage.folder, env=environ, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(40)


def rude(stage: Stage) -> None:
    """Silent, slow, lying and fleeing clients come while one client posts as it should."""
    (worker,) = stage.server.workers()[:1]
    with stage.load():
        time.sleep(1)
    before = _usage(worker)
    port, stop = stage.server.port, threading.Event()
    jobs = [threading.Thread(target=job, args=(port, stop)) for job in (_slow, _lying, _fleeing)]
    with stage.load(), ExitStack() as crowd:
        for _ in range(SILENT):
            crowd.enter_context(_connect(port))
        for job in jobs:
            job.start()
        amid = _highest(worker, stage.seconds)
        stop.set()
        for job in jobs:
            job.join()
    servers_files = before[1] + 10
    wait_until(
        lambda: _usage(worker)[1] <= servers_files, 30, f"{_usage(worker)} open files stay open"
    )
    after = _usage(worker)
    if after[0] - before[0] > MORE_MEMORY:
        stage.complaints.append(f"memory grew from {before[0]} to {after[0]} bytes")
    _complain_about_halves(stage)
    megabytes = " / ".join(f"{usage[0] / 1e6:.0f}" for usage in (before, amid, after))
    files = " / ".join(str(usage[1]) for usage in (before, amid, after))
    stage.notes.append(f"one worker before / amid / after: {megabytes} MB, {files} files")


def _highest(worker: psutil.Process, seconds: float) -> Usage:
    """Return the most memory and the most files that are used within some seconds."""
    until, most = time.monotonic() + seconds, (0, 0)
    while time.monotonic() < until:
        time.sleep(0.5)
        memory, files = _usage(worker)
        most = max(most[0], memory), max(most[1], files)
    return most


def _usage(worker: psutil.Process) -> Usage:
    return worker.memory_info().rss, worker.num_fds()


def _complain_about_halves(stage: Stage) -> None:
    engine = create_engine(stage.database.url)
    with engine.connect() as connection:
        rude_ones = select(func.count()).where(Postback.tracking_key.like("RUDE%"))
        count = connection.scalar(rude_ones)
    engine.dispose()
    if count:
        stage.complaints.append(f"{count} halves were stored")


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 15)


def _request(length: int, body: bytes) -> bytes:
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: {length}"
    return head.encode() + b"\r\n\r\n" + body


_HALF = b"<POSTBACK><CODE>N102</CODE><TRACKINGID>RUDE</TRACKINGID></POSTBACK>"


def _slow(port: int, stop: threading.Event) -> None:
    """Send bodies one byte a second, on many connections, and never to the end."""
    with ExitStack() as crowd:
        clients = [crowd.enter_context(_connect(port)) for _ in range(SLOW)]
        for client in clients:
            client.sendall(_request(len(_HALF) + 1000, b""))
        for byte in _HALF:
            if stop.wait(1):
                return
            for client in clients:
                with suppress(OSError):  # the server may have had enough
                    client.send(bytes([byte]))


def _lying(port: int, stop: threading.Event) -> None:
    """Announce more than comes, and close in good order."""
    while not stop.wait(0.05):
        with suppress(OSError), _connect(port) as client:
            client.sendall(_request(len(_HALF) + 7, _HALF))
            client.shutdown(socket.SHUT_WR)
            client.recv(4096)


def _fleeing(port: int, stop: threading.Event) -> None:
    """Go away in the middle, with a reset."""
    chance = random.Random(0)
    while not stop.wait(0.05):
        with suppress(OSError), _connect(port) as client:
            request = _request(len(_HALF), _HALF)
            client.sendall(request[: chance.randrange(10, len(request) - 1)])
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
