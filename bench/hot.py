"""How full the pages of `messages` may be: updates that touch no index, and the size in the end.

Usage: python bench/hot.py [--messages N]

Every message hears N501, N101 and N102, in batches of 64 and of 256, in the order of the sends and
in a random one, on a PostgreSQL of its own, with four fill factors. No time is measured.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import text
from support import messages
from support.databases import Database, database
from support.postbacks import body_of

from tracker.services import arrivals, receive
from tracker.store import db
from tracker.store.db import Sessions

ZONE = ZoneInfo("America/New_York")
FACTORS = (80, 70, 60, 50)
SIZES = (64, 256)
WORDS = (("N501", "Message Sent"), ("N101", "Message Sent"), ("N102", "Message Sent/Delivered"))
FLUSH_SECONDS = 0.3  # until a closed connection's counts are in the statistics


def main() -> None:
    """Measure and print."""
    count = _options().messages
    print("| fill factor | batch | order | HOT after N501, N101, N102 | bytes a message |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL refuses to run as root and takes another user
        with database("postgresql", folder, {}) as made:
            sessions = db.connect(made.url, in_a_hurry=True)
            first = 1
            for factor in FACTORS:
                for size in SIZES:
                    for is_random in (False, True):
                        line = _measure(made, sessions, first, count, (factor, size, is_random))
                        print(line, flush=True)
                        first += count


def _measure(
    made: Database, sessions: Sessions, first: int, count: int, how: tuple[int, int, bool]
) -> str:
    factor, size, is_random = how
    with made.engine.connect() as connection:
        connection.execute(text(f"ALTER TABLE messages SET (fillfactor = {factor})"))
        connection.execute(text("TRUNCATE messages CASCADE"))
    messages.load(made, first, count)
    before, ids, shares = _bytes(made), list(range(first, first + count)), []
    for number, (code, phrase) in enumerate(WORDS):
        if is_random:
            random.Random(number).shuffle(ids)
        updates, hot = _updates(made)
        for some in _batches(ids, size):
            _tell(sessions, some, code, phrase)
        db.engine_of(sessions).dispose()
        time.sleep(FLUSH_SECONDS)
        now_updates, now_hot = _updates(made)
        if now_updates - updates != count:
            raise SystemExit(f"{now_updates - updates} updates, not {count}")
        shares.append(f"{100 * (now_hot - hot) / count:.0f} %")
    order = "random" if is_random else "of the sends"
    grown = f"{before / count:.0f} → {_bytes(made) / count:.0f}"
    return f"| {factor} | {size} | {order} | {', '.join(shares)} | {grown} |"


def _batches(ids: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


def _tell(sessions: Sessions, ids: Sequence[int], code: str, phrase: str) -> None:
    now = datetime.now(UTC)
    bodies = (
        body_of(id_).replace("N102", code).replace("Message Sent/Delivered", phrase) for id_ in ids
    )
    arrived = [arrivals.read(body.encode(), "text/xml", zone=ZONE, now=now) for body in bodies]
    receive.ingest_each(sessions, arrived, zone=ZONE, now=now)


def _updates(made: Database) -> tuple[int, int]:
    counts = text(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'messages'"
    )
    with made.engine.connect() as connection:
        row = connection.execute(counts).one()
        return int(row[0]), int(row[1])


def _bytes(made: Database) -> int:
    with made.engine.connect() as connection:
        return int(connection.execute(text("SELECT pg_relation_size('messages')")).scalar_one())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=4096)
    return parser.parse_args()


if __name__ == "__main__":
    main()
