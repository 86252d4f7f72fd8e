"""`tracker postback-token`: the secrets of the URL that the gateway posts to."""

from dataclasses import asdict

import click

from tracker.config import Settings
from tracker.services import postback_tokens
from tracker.services.describe import iso
from tracker.services.postback_tokens import LastTokenError, PostbackTokenError, TokenState

from .accounts import as_json
from .common import RefusedError, actor, now, opened, plain, print_json, talk


@click.group("postback-token")
def postback_token() -> None:
    """Secrets of the URL that the gateway posts to."""


@postback_token.command()
@click.argument("name")
@as_json
def create(name: str, *, as_json: bool) -> None:
    """Make a token and print it; it cannot be shown again. The others stay valid."""
    sessions = opened(Settings.from_environ())
    try:
        made = postback_tokens.create(sessions, name, actor=actor(), now=now())
    except PostbackTokenError as error:
        raise RefusedError(str(error)) from error
    if as_json:
        print_json(asdict(made))
    else:
        click.echo(made.token)
    talk(f"The path of the new postback URL: /postbacks/{made.token}")
    talk("Running servers know it within 2 seconds. Give the gateway the new URL; when")
    talk("`tracker postback-token list` says that it was used, revoke the old one.")


@postback_token.command("list")
@as_json
def list_tokens(*, as_json: bool) -> None:
    """List the tokens without their secrets, those of the settings and the first start too."""
    settings = Settings.from_environ()
    for state in postback_tokens.rows(opened(settings), settings.own_postback_tokens()):
        if as_json:
            print_json(_shown(state))
        else:
            used = iso(state.last_used_at) or "-"
            click.echo(
                f"{state.id or '-':>4} {plain(state.name):<24} used {used:<27} {state.state}"
            )


@postback_token.command()
@click.argument("name_or_id")
@click.option("--force", "is_forced", is_flag=True, help="Also the last one that is valid.")
def revoke(name_or_id: str, *, is_forced: bool) -> None:
    """End a token for ever, by its name or id; one of the settings or the first start too."""
    settings = Settings.from_environ()
    sessions = opened(settings)
    own = settings.own_postback_tokens()
    try:
        was = postback_tokens.revoke(
            sessions, own, name_or_id, actor=actor(), now=now(), is_forced=is_forced
        )
    except LastTokenError as error:
        raise RefusedError(f"{error}, or add --force") from error
    except PostbackTokenError as error:
        raise RefusedError(str(error)) from error
    talk(f"{plain(was.name)} is revoked; running servers know it within 2 seconds.")


def _shown(state: TokenState) -> dict[str, object]:
    return {
        "id": state.id,
        "name": state.name,
        "created_at": iso(state.made_at),
        "last_used_at": iso(state.last_used_at),
        "revoked_at": iso(state.revoked_at),
        "valid": state.is_valid,
        "state": state.state,
    }
