"""How long the server takes for every page of the dashboard, and what a page weighs. Linux.

Usage: python bench/pages.py [--engine sqlite|postgresql|both] [--messages N] [--times N] [--json]

The database is an invented week with its postbacks, copied until there are as many messages as
asked for, over two months. Each page is asked for one after the other over one kept connection, by
a person who is logged in, about other messages, numbers and filters each time. The weight of a page
is that of its document and of all that it names from our own host, nothing kept from before.
Anything but 200 ends the run with 1. Nothing but the loopback is used.
"""

import argparse
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles

import requests
from support import many, report, servers
from support.databases import Database, database, folders
from support.options import parser_of, positive
from support.questions import Question, questions

from tracker.services import accounts
from tracker.store import db
from tracker.store.models import Role

MUST_MS = 150.0
MUST_KB = 300.0
USER, PASSWORD = "bench", "a-password-of-the-benchmark-alone"
_OWN = re.compile(r'(?:href|src)="(/static/[^"]+)"')
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Page:
    """What one page came to; times are of the whole answer, in milliseconds."""

    name: str
    median_ms: float
    p95_ms: float
    kilobytes: float

    @property
    def is_missed(self) -> bool:
        """It is slower or heavier than it may be."""
        return self.p95_ms > MUST_MS or self.kilobytes > MUST_KB


class Browser:
    """One person with one connection."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._session = requests.Session()
        self._session.trust_env = False
        self._weights: dict[str, int] = {}
        self._token = ""

    def log_in(self) -> None:
        """Log in, and keep the token of forms."""
        fields = {"username": USER, "password": PASSWORD, "csrf_token": self._token_of("/login")}
        self._session.post(f"{self._base}/login", fields).raise_for_status()
        self._token = self._token_of("/messages")

    def measure(self, question: Question) -> Page:
        """Ask for a page in all its forms."""
        self._ask(question, question.paths[0])  # what is made once for a process
        times = [self._ask(question, path) for path in question.paths]
        weights = self._weights
        return Page(
            question.name,
            median(times),
            quantiles(times, n=20, method="inclusive")[-1],
            max(weights[path] for path in question.paths) / 1000,
        )

    def _ask(self, question: Question, path: str) -> float:
        began = time.perf_counter()
        if question.is_search:
            fields = {"q": path, "csrf_token": self._token}
            answer = self._session.post(f"{self._base}/messages/search", fields)
        else:
            answer = self._session.get(self._base + path)
        took = time.perf_counter() - began
        if answer.status_code != requests.codes.ok or "/login" in answer.url:
            raise SystemExit(f"{question.name}: {path} answered {answer.status_code}")
        self._weights[path] = len(answer.content) + sum(
            self._weight(own) for own in set(_OWN.findall(answer.text))
        )
        return 1000 * took

    def _weight(self, path: str) -> int:
        if path not in self._weights:
            self._weights[path] = len(self._session.get(self._base + path).content)
        return self._weights[path]

    def _token_of(self, path: str) -> str:
        found = _TOKEN.search(self._session.get(self._base + path).text)
        if found is None:
            raise SystemExit(f"{path} has no form")
        return found[1]


def main() -> None:
    """Measure and print."""
    options = _options()
    results = {}
    with folders(options.engine) as made:
        for engine, folder in made.items():
            with database(engine, folder, {}) as found:
                began = time.monotonic()
                messages = many.fill(found, options.messages)
                print(
                    f"{engine}: {messages:,} messages in {time.monotonic() - began:.0f} s ...",
                    file=sys.stderr, flush=True,
                )  # fmt: skip
                pages = _measured(found, folder, options.times)
            results[engine] = {"messages": messages, "pages": [asdict(page) for page in pages]}
            if not options.json:
                print(f"\n{_as_text(found, messages, pages)}", flush=True)
    report.finish(results, as_json=options.json)


def _measured(found: Database, folder: Path, times: int) -> list[Page]:
    sessions = db.connect(found.url)
    accounts.add_user(
        sessions, USER, PASSWORD, Role.ADMIN, actor="bench", now=datetime.now(UTC)
    )  # fmt: skip
    db.engine_of(sessions).dispose()
    asked = questions(found, times)
    with servers.tracker(folder, found.url) as server:
        browser = Browser(server.port)
        browser.log_in()
        return [browser.measure(question) for question in asked]


def _as_text(found: Database, messages: int, pages: Sequence[Page]) -> str:
    lines = [
        f"{report.ENGINE_NAMES[found.name]} {found.version}, {messages:,} messages", "",
        "| page | median | 95th percentile | must | weight | must |",
        "| --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    lines += [
        f"| {page.name} | {page.median_ms:.0f} ms | {page.p95_ms:.0f} ms | {MUST_MS:.0f} ms"
        f" | {page.kilobytes:.0f} kB | {MUST_KB:.0f} kB |{' MISSED' if page.is_missed else ''}"
        for page in pages
    ]
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--messages", type=positive, default=100_000)
    parser.add_argument("--times", type=positive, default=20, help="each page is asked for")
    return parser.parse_args()


if __name__ == "__main__":
    main()
