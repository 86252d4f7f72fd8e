"""The WSGI entry, for any server: `gunicorn wsgi:app`."""

from tracker.config import Settings
from tracker.web import create_app

app = create_app(Settings.from_environ())
