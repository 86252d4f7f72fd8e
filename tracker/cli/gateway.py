"""`tracker gateway`: whether the gateway is called, how fast, what waits; pause and resume."""

import click

from tracker.config import Settings
from tracker.services import gateway as service
from tracker.services.describe import iso
from tracker.services.gateway import GatewayView, NoReasonError, NotPausedError
from tracker.store.db import Sessions

from .common import RefusedError, actor, now, opened, plain, print_json, talk


@click.group()
def gateway() -> None:
    """Whether the gateway is called, and how fast; pause and resume."""


@gateway.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(*, as_json: bool) -> None:
    """Say whether messages are sent, how fast, and how many wait."""
    settings = Settings.from_environ()
    _report(opened(settings), settings, as_json=as_json)


@gateway.command()
@click.argument("reason")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def pause(reason: str, *, as_json: bool) -> None:
    """Send nothing from now on, because of REASON, until somebody resumes."""
    settings = Settings.from_environ()
    sessions = opened(settings)
    try:
        service.pause(sessions, actor(), reason, now())
    except NoReasonError as error:
        raise RefusedError(f"REASON {error}") from error
    talk("Paused. Calls that are under way end as usual; nothing else is sent.")
    _report(sessions, settings, as_json=as_json)


@gateway.command()
@click.argument("reason")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def resume(reason: str, *, as_json: bool) -> None:
    """Send again, because of REASON."""
    settings = Settings.from_environ()
    sessions = opened(settings)
    try:
        service.resume(sessions, actor(), reason, now())
    except NoReasonError as error:
        raise RefusedError(f"REASON {error}") from error
    except NotPausedError as error:
        raise RefusedError(str(error)) from error
    talk("Resumed.")
    _report(sessions, settings, as_json=as_json)


def _report(sessions: Sessions, settings: Settings, *, as_json: bool) -> None:
    with sessions() as session:
        found = service.view(session, settings.send_rate, now())
    if as_json:
        print_json(service.describe(found))
        return
    for line in _lines(found):
        click.echo(plain(line))


def _lines(found: GatewayView) -> list[str]:
    state, queue = found.state, found.queue
    lines = []
    if state.is_paused:
        lines.append(
            f"Paused since {iso(state.paused_at)} by {state.paused_by}: {state.paused_why}"
        )
        lines.append(service.explained(state))
        if state.probe_at:
            lines.append(f"The next message tries it at {iso(state.probe_at)}.")
    else:
        lines.append("Messages are sent.")
    if found.rate:
        lines.append(f"At most {found.rate:g} a second, over all senders.")
    if found.pace.interval:
        seconds = found.pace.interval.total_seconds()
        lines.append(
            f"Slowed by {found.pace.code}: one call every {seconds:g} s; faster again from"
            f" {iso(found.pace.until)} on, step by step."
        )
    oldest = f", the oldest since {iso(queue.oldest_due_at)}" if queue.oldest_due_at else ""
    lines.append(f"{queue.due} due{oldest}; {queue.later} for later; {queue.sending} being sent.")
    return lines
