"""How gunicorn serves the application; `tracker web` uses this file, and so may a service unit.

Environment: WEB_BIND (default 127.0.0.1:8000), WEB_WORKERS, WEB_THREADS, and every TRACKER_ name.
"""

import os
import shutil
import sys
import tempfile

from gunicorn.workers.base import Worker
from prometheus_client import multiprocess

from tracker.config import Settings, SettingsError


def _settings() -> Settings:
    try:
        return Settings.from_environ()
    except SettingsError as error:
        sys.exit(f"gunicorn: {error}")


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 1000):
        sys.exit(f"gunicorn: {name}: {text!r} is not a whole number from 1 to 1000")
    return int(text)


wsgi_app = "tracker.web:from_environ()"
bind = os.environ.get("WEB_BIND", "127.0.0.1:8000")

_settings()  # a wrong one stops the start, here and not in each worker

# One process takes more postbacks than two: what waits together shares one commit, and SQLite has
# one writer anyway. More are for pages, on a machine with cores to spare.
workers = _number("WEB_WORKERS", 1)
worker_class = "tracker.web.worker.Worker"
# For pages and the API. The worker takes postbacks without a thread, and idle clients need none.
threads = _number("WEB_THREADS", 16)
# For a further client, the one that has idled longest has to go.
worker_connections = 1000

# The gateway gives up after 10 s. A worker silent for longer is stuck, and is replaced.
timeout = 30
graceful_timeout = 20
keepalive = 5

# Heads beyond these are nobody's; a drop-in call by GET may name all its fields in the first line.
# The worker limits bodies, and the application has its own limits.
limit_request_line = 8190
limit_request_fields = 64
limit_request_field_size = 8190

# No access log here: it would hold the postback token and what people search for.
accesslog = None
errorlog = "-"
loglevel = "warning"
control_socket_disable = True  # it has one path for every instance on a machine

# Each process writes its numbers there, and /metrics adds them up; a reload goes on with them.
_metrics = os.environ.get("PROMETHEUS_MULTIPROC_DIR") or tempfile.mkdtemp(prefix="tracker-metrics-")
os.environ["PROMETHEUS_MULTIPROC_DIR"] = _metrics


def child_exit(_server: object, worker: Worker) -> None:
    """Take the gauges of a process that ended out of the sums; its counts stay."""
    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(_server: object) -> None:
    """Leave nothing behind."""
    shutil.rmtree(_metrics, ignore_errors=True)


worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: PTH112, S108
