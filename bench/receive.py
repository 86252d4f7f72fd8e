"""Durable postbacks a second, as a ratio to an empty Flask view under the same gunicorn.

Usage: python bench/receive.py [--postbacks N] [--rounds N]

Both are asked in turns by the same client: eight connections at a time, a new one each request.
Stored rows are counted against the answers. SQLite alone; nothing but loopback is used.
"""

import argparse
import http.client
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import func, select

from tracker.store import db, schema
from tracker.store.models import Postback

ROOT = Path(__file__).parents[1]
TOKEN = "postback-token-of-the-benchmark"
EMPTY = (
    "from flask import Flask\napp = Flask('empty')\n@app.post('/')\ndef view():\n    return ''\n"
)
BODY = (
    "<POSTBACK><ORIGIN>MMS_MT</ORIGIN><CODE>N102</CODE><STATUS>Message Sent/Delivered</STATUS>"
    "<TO>12025550143</TO><TRACKINGID>BENCH_{}</TRACKINGID><SPID>0001890</SPID>"
    "<TIMESTAMP>2026-11-20T07:20:49-05:00</TIMESTAMP><HANDSET>motol7c</HANDSET></POSTBACK>"
)
CONNECTIONS = 8


@contextmanager
def gunicorn(folder: Path, application: str) -> Iterator[int]:
    """Serve an application with our own configuration on a free port while the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    environ = {
        **os.environ,
        "WEB_BIND": f"127.0.0.1:{port}",
        "TRACKER_DATABASE_URL": f"sqlite:///{folder}/bench.db",
        "TRACKER_POSTBACK_TOKENS": TOKEN,
    }
    command = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "deploy" / "gunicorn.conf.py")]
    process = subprocess.Popen([*command, application], cwd=folder, env=environ)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def rate(port: int, path: str, bodies: list[str]) -> float:
    """Post all bodies and return how many a second; every answer must be 200."""

    def post(body: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("POST", path, body, {"Content-Type": "text/xml"})
        status = connection.getresponse().status
        connection.close()
        return status

    started = time.monotonic()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        statuses = set(pool.map(post, bodies))
    seconds = time.monotonic() - started
    if statuses != {200}:
        raise SystemExit(f"not every answer was 200: {statuses}")
    return len(bodies) / seconds


def main() -> None:
    """Measure in turns and print medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postbacks", type=int, default=1000, help="per round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "empty.py").write_text(EMPTY)
        sessions = db.connect(f"sqlite:///{folder}/bench.db")
        schema.upgrade(db.engine_of(sessions))
        with (
            gunicorn(folder, "empty:app") as empty_port,
            gunicorn(folder, "tracker.web:from_environ()") as port,
        ):
            empty, durable = [], []
            for number in range(options.rounds):
                first = number * options.postbacks
                bodies = [BODY.format(first + i) for i in range(options.postbacks)]
                empty.append(rate(empty_port, "/", bodies))
                durable.append(rate(port, f"/postbacks/{TOKEN}", bodies))
        with sessions() as session:
            stored = session.scalar(select(func.count(Postback.id)))
    print(f"empty Flask view     {statistics.median(empty):8.0f} /s")
    print(f"durable postbacks    {statistics.median(durable):8.0f} /s  (SQLite, unmatched)")
    print(f"ratio                {statistics.median(durable) / statistics.median(empty):8.2f}")
    print(f"stored               {stored} of {options.rounds * options.postbacks}")


if __name__ == "__main__":
    main()
