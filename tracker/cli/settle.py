"""`tracker settle`: say what became of a message whose answer was lost."""

import click
from sqlalchemy.orm import Session

from tracker.config import Settings
from tracker.domain.message import InvalidMessageError
from tracker.domain.reasons import status_reason
from tracker.services import answers, describe, manage
from tracker.services import settle as service
from tracker.services.settle import Decision, Verdict
from tracker.store import messages
from tracker.store.db import Sessions
from tracker.store.rows import MessageRow

from .common import RefusedError, actor, now, opened, plain, print_json, talk


@click.command()
@click.argument("message", metavar="ID")
@click.option("--sent", "verdict", flag_value="sent", help="It went out.")
@click.option("--not-sent", "verdict", flag_value="not_sent", help="It did not; it is refused.")
@click.option("--resend", "verdict", flag_value="resend", help="Send the pass again, knowingly.")
@click.option("--tracking-id", help="With --sent: the gateway's id of it.")
@click.option(
    "--postback",
    "postback_id",
    type=click.IntRange(1, service.MAX_ID),
    help="With --sent: the postback on the shelf that is its answer.",
)
@click.option("--reason", help="Why; it is kept with your name.")
@click.option("--json", "as_json", is_flag=True, help="Print the message as JSON.")
def settle(
    message: str,
    *,
    verdict: str | None,
    tracking_id: str | None,
    postback_id: int | None,
    reason: str | None,
    as_json: bool,
) -> None:
    """Say what became of the message ID, whose outcome is unknown.

    ID is that of the message, or a reference that it alone has. Without an option, print which
    postbacks may be its answer.
    """
    settings = Settings.from_environ()
    sessions = opened(settings)
    with sessions() as session:
        row = _the_one(session, message)
        if verdict is None:
            _print_offers(session, row, as_json=as_json)
            return
    decision = Decision(
        verdict=Verdict(verdict),
        reason=reason or "",
        tracking_id=tracking_id,
        postback_id=postback_id,
    )
    try:
        settled = service.decide(
            sessions,
            row.public_id,
            decision,
            actor=actor(),
            zone=settings.gateway_zone,
            now=now(),
        )
    except (manage.NoSuchMessageError, manage.NotPossibleError) as error:
        raise RefusedError(f"nothing was changed: {error}") from error
    except InvalidMessageError as error:
        said = "; ".join(f"--{p.field.replace('_', '-')} {p.detail}" for p in error.problems)
        raise click.UsageError(said) from error
    _report(sessions, str(settled), as_json=as_json)


def _the_one(session: Session, text: str) -> MessageRow:
    found = messages.find(session, text, limit=2)
    if not found:
        raise RefusedError("no message has this id or reference")
    if len(found) > 1:
        raise RefusedError("several messages have this; give the id of the one that is meant")
    return found[0]


def _print_offers(session: Session, row: MessageRow, *, as_json: bool) -> None:
    offers = answers.offers(session, row)
    if as_json:
        for offer in offers:
            print_json(describe.candidate(offer))
        return
    for offer in offers:
        click.echo(plain(f"{offer.postback_id}  {offer.code}  {offer.tracking_id}  {offer.why}"))
    if not answers.is_open(row):
        talk(f"{row.status_label}: {status_reason(row)}")
    elif offers:
        talk("Take one with --sent --postback NUMBER --reason TEXT.")
    else:
        talk("No postback on the shelf fits; say --sent, --not-sent or --resend, and --reason.")


def _report(sessions: Sessions, public_id: str, *, as_json: bool) -> None:
    with sessions() as session:
        row = _the_one(session, public_id)
        if as_json:
            print_json(describe.message_object(session, row))
        else:
            click.echo(plain(f"{public_id}  {row.status_label}. {status_reason(row)}"))
