"""`tracker postback`: feed one by hand."""

from typing import BinaryIO

import click

from tracker.config import Settings
from tracker.protocol.postback import NotAPostbackError
from tracker.protocol.transport import MAX_BODY_BYTES
from tracker.services import describe, receive
from tracker.services.receive import Recorded
from tracker.store import postbacks
from tracker.store.db import Sessions

from .common import RefusedError, now, opened, plain, print_json


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option("--content-type", help="The Content-Type that the gateway sent with it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one postback a line.")
def postback(file: BinaryIO, content_type: str | None, *, as_json: bool) -> None:
    """Feed the postback in FILE (- for standard input) as if the gateway had posted it."""
    settings = Settings.from_environ()
    body = file.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        raise RefusedError("larger than 1 MiB, which no postback is")
    sessions = opened(settings)
    try:
        recorded = receive.record(
            sessions, body, content_type, zone=settings.gateway_zone, now=now()
        )
    except NotAPostbackError as error:
        raise RefusedError(f"not a postback: {error}") from error
    for one in recorded:
        if as_json:
            _print_json(sessions, one)
        else:
            outcome = "repeat" if one.is_repeat else one.outcome
            click.echo(plain(f"{one.postback_id} {outcome}: {one.reason}"))


def _print_json(sessions: Sessions, recorded: Recorded) -> None:
    with sessions() as session:
        row = postbacks.by_id(session, recorded.postback_id)
    assert row is not None  # noqa: S101  # written a moment ago, and never deleted
    print_json(describe.postback_object(row))
