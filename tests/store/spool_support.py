"""What the tests of the spool share; run as a program, the process they run beside, or kill.

append FOLDER FIRST COUNT    append one record after the other, and print each that is kept
drain FOLDER LEDGER          drain again and again until killed or told "stop" on stdin
fork FOLDER                  append 0, fork, append 1 in the child, then 2 in the parent
limit FOLDER BYTES           append until a file may not grow, then once more without the limit
nobody FOLDER                append and drain without the rights of root
"""

import logging
import os
import resource
import select
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from tracker.store.spool import Spool, SpoolError, SpoolRecord

NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
NOBODY = 65534


def a_record(
    body: bytes = b"<postback/>",
    content_type: str | None = "text/xml",
    received_at: datetime = NOW,
    headers: str | None = None,
) -> SpoolRecord:
    return SpoolRecord(received_at, content_type, body, headers)


def numbered(number: int) -> SpoolRecord:
    """Make a record that is known by its number, of a length of its own."""
    return a_record(b"%d:" % number + b"\x00\xff" * (number * 37 % 300))


def number(record: SpoolRecord) -> int:
    return int(record.body.split(b":")[0])


def drained(folder: Path, limit: int = 256) -> list[SpoolRecord]:
    """Drain as the next start would."""
    taken: list[SpoolRecord] = []
    count = Spool(folder).drain(taken.extend, limit=limit)
    assert count == len(taken)
    return taken


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.spool*"))


def program(*arguments: object) -> "subprocess.Popen[str]":
    """Start this file as a process of its own."""
    return subprocess.Popen(
        [sys.executable, __file__, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def output(*arguments: object) -> list[str]:
    """Run this file to its end, and return the lines it printed."""
    process = program(*arguments)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said
    return said.split("\n")[:-1]


def _say(line: object) -> None:
    print(line, flush=True)  # noqa: T201


def _append(folder: str, first: str, count: str) -> None:
    spool = Spool(Path(folder), segment_bytes=4096)
    for each in range(int(first), int(first) + int(count)):
        spool.append([numbered(each)])
        _say(each)


def _drain(folder: str, ledger: str) -> None:
    spool = Spool(Path(folder), segment_bytes=4096)
    with Path(ledger).open("a") as book:

        def take(records: list[SpoolRecord]) -> None:
            book.write("".join(f"{number(record)}\n" for record in records))
            book.flush()
            time.sleep(0.001)

        _say("ready")
        while not select.select([sys.stdin], [], [], 0)[0]:
            spool.drain(take, limit=5)


def _fork(folder: str) -> None:
    spool = Spool(Path(folder))
    spool.append([numbered(0)])
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    spool.append([numbered(2 if child else 1)])


def _limit(folder: str, size: str) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), hard))
    spool = Spool(Path(folder))
    each = 0
    try:
        while True:
            spool.append([numbered(each)])
            _say(each)
            each += 1
    except SpoolError as error:
        _say(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    spool.append([numbered(each + 1)])
    _say(each + 1)


def _nobody(folder: str) -> None:
    logging.basicConfig(stream=sys.stdout, format="%(message)s: %(file)s, %(reason)s")
    os.chdir(folder)
    if os.geteuid() == 0:
        try:
            os.seteuid(NOBODY)
        except OSError:  # a container that knows no user but root
            _say("nobody is not to be had")
            return
    spool = Spool(Path())
    try:
        spool.append([numbered(9)])
    except SpoolError as error:
        _say(error)
    for _ in range(2):
        spool.drain(lambda records: _say([number(record) for record in records]))


PROGRAMS: dict[str, Callable[..., None]] = {
    "append": _append,
    "drain": _drain,
    "fork": _fork,
    "limit": _limit,
    "nobody": _nobody,
}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](*sys.argv[2:])
