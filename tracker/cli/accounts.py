"""`tracker user` and `tracker token`: who may use the dashboard and the API."""

from dataclasses import asdict

import click

from tracker.config import Settings
from tracker.services import accounts, two_factor
from tracker.services.accounts import AccountError
from tracker.services.describe import iso
from tracker.store.models import Role, Scope

from .common import RefusedError, actor, now, opened, print_json, talk

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
password_option = click.password_option(
    help="Asked for when not given; better not on the command line."
)


@click.group()
def user() -> None:
    """People who log in to the dashboard."""


@user.command("add")
@click.argument("username")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.VIEWER.value,
    show_default=True,
    help="Viewers look, operators act, admins administer.",
)
@password_option
def add_user(username: str, role: str, password: str) -> None:
    """Make a user."""
    sessions = opened(Settings.from_environ())
    try:
        accounts.add_user(sessions, username, password, Role(role), actor=actor(), now=now())
    except AccountError as error:
        raise RefusedError(str(error)) from error
    talk(f"{username} can log in now.")


@user.command("list")
@as_json
def list_users(*, as_json: bool) -> None:
    """List the users."""
    for row in accounts.users(opened(Settings.from_environ())):
        if as_json:
            print_json(
                {
                    "username": row.username,
                    "role": row.role,
                    "disabled": row.is_disabled,
                    "two_factor": row.has_two_factor,
                    "created_at": iso(row.created_at),
                    "last_login_at": iso(row.last_login_at),
                }
            )
        else:
            state = "disabled" if row.is_disabled else row.role
            click.echo(f"{row.username:<24} {state:<10} last login {iso(row.last_login_at) or '-'}")


@user.command("disable")
@click.argument("username")
def disable_user(username: str) -> None:
    """Keep a user out; all sessions end."""
    sessions = opened(Settings.from_environ())
    try:
        accounts.disable_user(sessions, username, actor=actor(), now=now())
    except AccountError as error:
        raise RefusedError(str(error)) from error
    talk(f"{username} is disabled.")


@user.command("password")
@click.argument("username")
@password_option
def set_password(username: str, password: str) -> None:
    """Give a user a new password; all sessions end."""
    sessions = opened(Settings.from_environ())
    try:
        accounts.set_password(sessions, username, password, actor=actor(), now=now())
    except AccountError as error:
        raise RefusedError(str(error)) from error
    talk(f"{username} has a new password.")


@user.command("enable")
@click.argument("username")
def enable_user(username: str) -> None:
    """Let a user in again."""
    sessions = opened(Settings.from_environ())
    try:
        accounts.enable_user(sessions, username, actor=actor(), now=now())
    except AccountError as error:
        raise RefusedError(str(error)) from error
    talk(f"{username} can log in again.")


@user.command("role")
@click.argument("username")
@click.argument("role", type=click.Choice([role.value for role in Role]))
def set_role(username: str, role: str) -> None:
    """Give a user another role."""
    sessions = opened(Settings.from_environ())
    try:
        accounts.set_role(sessions, username, Role(role), actor=actor(), now=now())
    except AccountError as error:
        raise RefusedError(str(error)) from error
    talk(f"{username} has the role {role}.")


@user.command("reset-two-factor")
@click.argument("username")
def reset_two_factor(username: str) -> None:
    """Turn off the second step of somebody who has lost phone and recovery codes; sessions end."""
    sessions = opened(Settings.from_environ())
    try:
        two_factor.reset(sessions, username, actor=actor(), now=now())
    except AccountError as error:
        raise RefusedError(str(error)) from error
    talk(f"{username} logs in with the password alone now.")


@click.group()
def token() -> None:
    """Bearer tokens of the API."""


@token.command("create")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([scope.value for scope in Scope]),
    multiple=True,
    default=[scope.value for scope in Scope],
    show_default=True,
    help="What it may do; give it once for each.",
)
@click.option(
    "--rate-per-minute",
    type=click.IntRange(1, accounts.MAX_RATE_PER_MINUTE),
    help="Requests it may make in a minute.  [default: no limit]",
)
@as_json
def create_token(
    name: str, scopes: tuple[str, ...], rate_per_minute: int | None, *, as_json: bool
) -> None:
    """Make an API token and print it; it cannot be shown again."""
    sessions = opened(Settings.from_environ())
    try:
        made = accounts.create_token(
            sessions,
            name,
            scopes=[Scope(scope) for scope in scopes],
            rate_per_minute=rate_per_minute,
            actor=actor(),
            now=now(),
        )
    except AccountError as error:
        raise RefusedError(str(error)) from error
    if as_json:
        print_json(asdict(made))
    else:
        click.echo(made.token)


@token.command("list")
@as_json
def list_tokens(*, as_json: bool) -> None:
    """List the tokens, without their secrets."""
    for row in accounts.tokens(opened(Settings.from_environ())):
        if as_json:
            print_json(
                {
                    "id": row.id,
                    "name": row.name,
                    "scopes": list(row.scopes),
                    "rate_per_minute": row.rate_per_minute,
                    "created_at": iso(row.created_at),
                    "last_used_at": iso(row.last_used_at),
                    "revoked_at": iso(row.revoked_at),
                }
            )
        else:
            state = "revoked" if row.revoked_at else "active"
            limit = f"{row.rate_per_minute}/min" if row.rate_per_minute else "no limit"
            may = f"{','.join(row.scopes):<15} {limit:<12}"
            used = iso(row.last_used_at) or "-"
            click.echo(f"{row.id:>4} {row.name:<24} {state:<8} {may} used {used}")


@token.command("revoke")
@click.argument("name_or_id")
def revoke_token(name_or_id: str) -> None:
    """End a token at once, by its name or id; a number that is the id of a token is no name."""
    sessions = opened(Settings.from_environ())
    try:
        revoked = accounts.revoke_token(sessions, name_or_id, actor=actor(), now=now())
    except AccountError as error:
        raise RefusedError(str(error)) from error
    talk(f"{revoked.token.name} is revoked.")
    if other := revoked.namesake:
        talk(f"It has the id {name_or_id}. Another token, of that name, stays active: {other.id}.")
