"""`tracker up`, `web`, `sender` and `sandbox`: the running parts."""

import os
import shutil
import signal
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event

import click

from tracker import logs
from tracker.config import Settings, SettingsError, renewed_secret
from tracker.gateway import Gateway
from tracker.sandbox.fixture import TRIALS
from tracker.sandbox.options import KEPT_AT_MOST, SandboxOptions
from tracker.sandbox.server import serve as serve_sandbox
from tracker.sender import SWITCH_SECONDS, Sender
from tracker.services import accounts
from tracker.services.postback_tokens import first_valid
from tracker.services.purge import Retention
from tracker.services.take import Policy
from tracker.store.db import Sessions
from tracker.web import postback_tokens

from .common import RefusedError, now, opened, send_window, talk
from .database import ready
from .scenario import Scenario, scenario_option
from .supervisor import Part, is_free, supervise

LOOPBACK = "127.0.0.1"
WEB_PORT = 8000
SANDBOX_PORT = 8001
ORDINARY = "12025550143"
TRIAL_PREFIX = "1202"  # any number that ends in a trial's seven digits would do
EXAMPLE = Path("docs/examples/event-ticket.xml")
WITHOUT_EXAMPLE = f"{ORDINARY} --mms-id 45633 --from 11111 --pass BARCODEVALUE=HL31-000117"

port_type = click.IntRange(1, 65_535)


@click.command()
@click.option("--port", type=port_type, default=WEB_PORT, show_default=True)
@click.option(
    "--sandbox/--no-sandbox",
    "with_sandbox",
    default=None,
    help="Play the gateway too; the default, unless TRACKER_GATEWAY_URL names a real one.",
)
@click.option("--sandbox-port", type=port_type, default=SANDBOX_PORT, show_default=True)
@scenario_option
def up(
    *, port: int, with_sandbox: bool | None, sandbox_port: int, scenario: Scenario | None
) -> None:
    """Start everything on this machine: web, sender and the sandbox gateway."""
    settings = Settings.from_environ()
    if with_sandbox is None:
        with_sandbox = settings.gateway_url is None
    if with_sandbox and port == sandbox_port:
        raise click.UsageError("--port and --sandbox-port are the same; give one of them another.")
    if scenario is not None and not with_sandbox:
        raise click.UsageError("--scenario is for the sandbox, which does not start here.")
    if not with_sandbox:
        _gateway(settings)
    for name, wanted in (("--port", port), ("--sandbox-port", sandbox_port))[: 1 + with_sandbox]:
        if not is_free(LOOPBACK, wanted):
            raise RefusedError(f"port {wanted} is in use; choose another with {name}")
    sessions = ready(settings)
    posts_to = _postback_url(_valid_token(settings, sessions), port) if with_sandbox else None
    if password := accounts.first_admin(sessions, now()):
        # At once: were it said only when all runs, a failed start would keep it for ever.
        click.echo(f"Log in as admin with the password {password}  (shown only this once)")
    played = sandbox_port if with_sandbox else None
    parts = [_part("web", port)]
    if played is not None:
        parts.append(_part("sandbox", played, *(scenario.arguments if scenario else ())))
    # The sender stops first, so that its calls can still be answered.
    parts.append(Part("sender", _tracker("sender"), None, settings.gateway_timeout_seconds + 5))
    supervise(
        parts,
        _environ(settings, played, posts_to, scenario),
        lambda: _welcome(settings, port, played),
    )


@click.command()
@click.option("--port", type=port_type, default=WEB_PORT, show_default=True)
def web(*, port: int) -> None:
    """Serve the receiver, the API and the dashboard with gunicorn."""
    opened(Settings.from_environ())
    if not is_free(LOOPBACK, port):
        raise RefusedError(f"port {port} is in use; choose another with --port")
    os.environ["WEB_BIND"] = f"{LOOPBACK}:{port}"
    command = [sys.executable, "-m", "gunicorn", "-c", str(_gunicorn_conf())]
    sys.stdout.flush()
    os.execv(sys.executable, command)  # noqa: S606  # gunicorn takes this process over


@click.command()
def sender() -> None:
    """Send what is queued, until stopped. Any number may run, on any number of hosts."""
    logs.configure()
    settings = Settings.from_environ()
    gateway = _gateway(settings)
    sessions = opened(settings)
    sys.setswitchinterval(SWITCH_SECONDS)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    policy = Policy(
        rate=settings.send_rate,
        window=send_window(settings),
        default_from=settings.default_from,
        discover_known=settings.discover_known,
        receipt_patience=timedelta(hours=settings.no_receipt_hours),
    )
    made = Sender(
        sessions,
        gateway,
        zone=settings.gateway_zone,
        clock=now,
        policy=policy,
        retention=Retention(settings.retention_days, settings.body_retention_days),
    )
    made.run(stop)


@click.command()
@click.option("--port", type=port_type, default=SANDBOX_PORT, show_default=True)
@click.option(
    "--postback-url",
    envvar="TRACKER_SANDBOX_POSTBACK_URL",
    callback=lambda _context, _option, value: _http_url(value),
    help="Where postbacks go; the web part on its usual port, when not given.",
)
@scenario_option
@click.option(
    "--keep",
    type=click.IntRange(1, KEPT_AT_MOST),
    default=SandboxOptions().kept_calls,
    show_default=True,
    help="How many calls to remember, and five times as many postbacks.",
)
def sandbox(*, port: int, postback_url: str | None, scenario: Scenario | None, keep: int) -> None:
    """Play the gateway on this machine. Needs no database, and forgets all when it stops."""
    logs.configure()
    if postback_url is None:
        postback_url = _postback_url(postback_tokens(Settings.from_environ())[0], WEB_PORT)
    if not is_free(LOOPBACK, port):
        raise RefusedError(f"port {port} is in use; choose another with --port")
    talk(f"Sandbox gateway: {_sandbox_url(port)}")
    options = scenario.options if scenario else SandboxOptions()
    kept = replace(options, postback_url=postback_url, kept_calls=keep, kept_postbacks=5 * keep)
    serve_sandbox(LOOPBACK, port, kept)


def _valid_token(settings: Settings, sessions: Sessions) -> str:
    """Return a token that the sandbox can post with; a revoked one of the first start is replaced.

    Raises:
        RefusedError: the settings have revoked ones only.
    """
    if token := first_valid(sessions, postback_tokens(settings)):
        return token
    if settings.postback_tokens:
        raise RefusedError(
            "every token of TRACKER_POSTBACK_TOKENS is revoked; "
            "give another one, so that the sandbox can post, or start with --no-sandbox"
        )
    talk("The postback token of the first start was revoked; a new one takes its place.")
    return renewed_secret(settings.postback_token_file)


def _gateway(settings: Settings) -> Gateway:
    for name in ("gateway_url", "gateway_api_key"):
        if getattr(settings, name) is None:
            raise SettingsError(f"TRACKER_{name.upper()} is not set; sending needs it")
    assert settings.gateway_url and settings.gateway_api_key  # noqa: S101, PT018
    return Gateway(settings.gateway_url, settings.gateway_api_key, settings.gateway_timeout_seconds)


def _environ(
    settings: Settings, sandbox_port: int | None, posts_to: str | None, scenario: Scenario | None
) -> dict[str, str]:
    """Return the environment of the parts; what the user has set stays as it is."""
    environ = dict(os.environ)
    if sandbox_port is not None and posts_to is not None:
        environ["TRACKER_SANDBOX_POSTBACK_URL"] = posts_to
        if settings.gateway_url is None:
            # The sandbox knows this key alone; one that is set already is for the real gateway.
            options = scenario.options if scenario else SandboxOptions()
            environ["TRACKER_GATEWAY_URL"] = _sandbox_url(sandbox_port)
            environ["TRACKER_GATEWAY_API_KEY"] = options.api_key
            environ.pop("TRACKER_GATEWAY_API_KEY_FILE", None)
            environ["TRACKER_SANDBOX_NUMBERS"] = _sandbox_numbers(options)
    return environ


def _sandbox_numbers(options: SandboxOptions) -> str:
    """Return numbers of the sandbox with what becomes of each, for the form that sends."""
    played = [each for each in TRIALS if options.behaviours.get(each.suffix) == each.behaviour]
    lines = [f"{ORDINARY}=delivered", *(f"{TRIAL_PREFIX}{t.suffix}={t.what}" for t in played)]
    return "\n".join(lines)


def _welcome(settings: Settings, port: int, sandbox_port: int | None) -> None:
    click.echo(f"Dashboard   http://{LOOPBACK}:{port}/")
    if sandbox_port is not None:
        click.echo(
            f"Sandbox     http://{LOOPBACK}:{sandbox_port}/  (plays the gateway; sends nothing)"
        )
    if settings.gateway_url is not None:
        click.echo(f"Gateway     {settings.gateway_url}  (messages go here)")
    click.echo(f"State       {settings.state_dir}/")
    click.echo("")
    click.echo("Send the first pass from a second terminal, in this folder:")
    click.echo(f"  {_command()} send {_example()} --wait 60")
    click.echo("Stop with Ctrl-C.")


def _command() -> str:
    """Return how this command was started, as short as it works from here."""
    path = Path(sys.argv[0]).absolute()
    if path.is_relative_to(Path.cwd()):
        return str(path.relative_to(Path.cwd()))
    found = shutil.which(path.name)
    return path.name if found and Path(found).samefile(path) else str(path)


def _example() -> str:
    """Return what to send first: the example of the source tree, which the wheel has not."""
    for path in (EXAMPLE, Path(__file__).parents[2] / EXAMPLE):
        if path.is_file():
            return f"--xml {path}"
    return WITHOUT_EXAMPLE


def _http_url(text: str | None) -> str | None:
    if text is not None and not text.startswith(("http://", "https://")):
        raise click.BadParameter("must begin with http:// or https://")
    return text


def _part(name: str, port: int, *arguments: str) -> Part:
    command = _tracker(name, "--port", str(port), *arguments)
    return Part(name, command, f"http://{LOOPBACK}:{port}/healthz")


def _tracker(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from tracker.cli import main; main()", *arguments]


def _sandbox_url(port: int) -> str:
    return f"http://{LOOPBACK}:{port}/API/wxml/1.3/index.php"


def _postback_url(token: str, port: int) -> str:
    return f"http://{LOOPBACK}:{port}/postbacks/{token}"


def _gunicorn_conf() -> Path:
    """In the source tree under deploy/, in the wheel within the package."""
    package = Path(__file__).parents[1]
    inside = package / "deploy" / "gunicorn.conf.py"
    return inside if inside.exists() else package.parent / "deploy" / "gunicorn.conf.py"
