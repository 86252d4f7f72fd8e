"""Log format: one JSON object a line; on a terminal the same in colour. Values go in `extra`.

No secret and no whole number is ever logged: callers pass public ids and masked numbers.
"""

import logging
import re
import sys
from typing import Final

import structlog

_TOKEN_IN_PATH: Final = re.compile(r"(/postbacks/)[^\s/?\"']+")
_KEY_IN_QUERY: Final = re.compile(r"(/gateway/[^\s?\"']*\?)[^\s\"']+")
# PostgreSQL prints the row that it refuses: numbers, texts, a whole body.
_DETAIL: Final = re.compile(
    r"^(DETAIL|CONTEXT):.*?(?=^\[SQL|^\(Background|^The above |^During handling |\Z)",
    re.DOTALL | re.MULTILINE,
)
_SHARED: Final = (
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def configure(level: int = logging.INFO) -> None:
    """Send the log of this process to stderr."""
    is_terminal = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if is_terminal else structlog.processors.JSONRenderer()
    )
    last = (
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        _without_rows,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=list(_SHARED), processors=[*last, renderer]
        )
    )
    handler.addFilter(_hide_tokens)
    # gunicorn writes its errors by a handler of its own, and some name the address asked for.
    logging.getLogger("gunicorn.error").addFilter(_hide_tokens)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("urllib3", "alembic", "werkzeug"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _hide_tokens(record: logging.LogRecord) -> bool:
    """Take tokens out of addresses that a library names: of the receiver, and of GET calls."""
    text = record.getMessage()
    if "/postbacks/" in text or "/gateway/" in text:
        hidden = _KEY_IN_QUERY.sub(r"\1***", _TOKEN_IN_PATH.sub(r"\1***", text))
        record.msg, record.args = hidden, ()
    return True


def _without_rows(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Take out of an error of the database what it tells of a row."""
    if isinstance(text := event.get("exception"), str) and (
        "DETAIL:" in text or "CONTEXT:" in text
    ):
        event["exception"] = _DETAIL.sub(r"\1: left out, it may hold values\n", text)
    return event
