"""The `tracker` command; what it can do is in `commands`."""

import sys

INTERRUPTED = 130  # as shells say it of a command that Ctrl-C ended


def main() -> None:
    """Run a command; Ctrl-C ends it without a word, also while it is still being loaded."""
    try:
        from .commands import run  # noqa: PLC0415  # it takes a second, and Ctrl-C may come in it

        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
