"""One round of load: runs the generator as a process of its own and reads its result."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

GENERATOR = Path(__file__).with_name("generator.py")
CONNECTIONS = 32


@dataclass(slots=True)
class Asked:
    """What came of one round; processor time is that of the generator and of the server."""

    sent: int
    statuses: dict[str, int]
    seconds: float
    processor_seconds: float
    median_ms: float
    p99_ms: float
    server_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Answers with 200 a second."""
        return self.statuses.get("200", 0) / self.seconds


def ask(
    port: int,
    path: str,
    *,
    first: int,
    limit: int,
    seconds: float,
    connections: int = CONNECTIONS,
    keep_alive: bool = False,
    rate: float | None = None,
) -> Asked:
    """Post the postbacks of the messages from `first` on, `limit` at most.

    With a `rate` they leave at it, each on a new connection; else `connections` ask in turn.
    """
    job = {
        "port": port, "path": path, "first": first, "limit": limit, "seconds": seconds,
        "connections": connections, "keep_alive": keep_alive, "rate": rate,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(GENERATOR)], input=json.dumps(job), stdout=subprocess.PIPE,
        text=True, check=True, timeout=seconds + 60,
    )  # fmt: skip
    return Asked(**json.loads(done.stdout))
