"""How gunicorn serves the application; `tracker web` uses this file, and so may a service unit.

Environment: WEB_BIND (default 127.0.0.1:8000), WEB_WORKERS, WEB_THREADS, and every TRACKER_ name.
"""

import os
import sys

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

# SQLite has one writer at a time, whatever the number of processes; PostgreSQL has many.
is_sqlite = _settings().database_url.startswith("sqlite")
workers = _number("WEB_WORKERS", 1 if is_sqlite else 2)
worker_class = "tracker.web.worker.Worker"
threads = _number("WEB_THREADS", 16)

# The gateway gives up after 10 s. A worker silent for longer is stuck, and is replaced.
timeout = 30
graceful_timeout = 20
keepalive = 5

# Headers beyond these are nobody's; the body's limit is the application's, which answers it.
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190

# No access log here: it would hold the postback token and what people search for.
accesslog = None
errorlog = "-"
loglevel = "warning"
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: PTH112, S108
