"""Settings, read once from the environment and checked at start.

Each variable may also be given as NAME_FILE, the path of a file that holds the value.
"""

import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import time
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

T = TypeVar("T")

DEFAULT_DATABASE_URL: Final = "sqlite:///instance/tracker.db"
PREFIX: Final = "TRACKER_"
DEFAULT_ZONE: Final = ZoneInfo("America/New_York")  # where the gateway stands (PROTOCOL 6.6)
_ROLES: Final = ("viewer", "operator", "admin")
_URL_SAFE: Final = re.compile(r"[A-Za-z0-9._~-]{1,128}")


NAMES: Final = (
    "DATABASE_URL", "GATEWAY_URL", "GATEWAY_API_KEY", "GATEWAY_TIMEOUT_SECONDS", "DEFAULT_FROM",
    "POSTBACK_TOKENS", "POSTBACK_ALLOW_FROM", "POSTBACK_ALLOW_MODE", "SPOOL_DIR", "SECRET_KEY",
    "GATEWAY_ZONE", "TRUSTED_PROXIES", "SEND_RATE", "SEND_WINDOW", "SETTLE_UNKNOWN",
    "DISCOVER_KNOWN", "FAILURE_SHARE", "IDLE_MINUTES", "NO_RECEIPT_HOURS",
    "RETENTION_DAYS", "BODY_RETENTION_DAYS",
    "OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "OIDC_ROLE_CLAIM", "OIDC_ROLES",
)  # fmt: skip
KNOWN: Final = frozenset(f"{PREFIX}{name}{end}" for name in NAMES for end in ("", "_FILE"))


Network = IPv4Network | IPv6Network


class AllowMode(StrEnum):
    """What is done with a postback from an address outside of the allow-list."""

    OFF = "off"
    REPORT = "report"
    ENFORCE = "enforce"


class SettleUnknown(StrEnum):
    """What an N101 does that fits exactly one message whose answer was lost."""

    OFFER = "offer"
    TAKE = "take"


class SettingsError(ValueError):
    """A setting is wrong or missing; the message names its variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenId:
    """A provider of OpenID Connect through which people log in, and which role its words give."""

    issuer: str
    client_id: str
    client_secret: str
    role_claim: str
    roles: Mapping[str, str]  # a word of the claim: viewer, operator or admin

    def __repr__(self) -> str:
        """Hide everything, as settings do."""
        return "OpenId(...)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the administrator decided. Durations are in seconds unless the name says otherwise."""

    database_url: str = DEFAULT_DATABASE_URL
    gateway_url: str | None = None
    gateway_api_key: str | None = None
    gateway_timeout_seconds: float = 30.0
    default_from: str | None = None
    postback_tokens: tuple[str, ...] = ()
    postback_allow_from: tuple[Network, ...] = ()
    postback_allow_mode: AllowMode = AllowMode.OFF
    spool_dir: Path = Path("instance/spool")
    secret_key: str | None = None
    gateway_zone: ZoneInfo = DEFAULT_ZONE
    trusted_proxies: int = 0
    send_rate: float | None = None  # messages a second, over all senders
    send_window: tuple[time, time] | None = None  # by the recipient's clock; the end is not in it
    settle_unknown: SettleUnknown = SettleUnknown.OFFER
    discover_known: bool = False  # ask for discovery also where the handset is known
    failure_share: float = 3.0  # percent of failed messages from which the overview shows it in red
    # What `tracker up` tells its web part of the sandbox: numbers, and what becomes of each. Nobody
    # sets it by hand.
    sandbox_numbers: tuple[tuple[str, str], ...] = ()
    no_receipt_hours: int = 72  # without a word, after which no receipt is expected
    retention_days: int = 0  # for messages and all else that has numbers; 0: for ever
    body_retention_days: int = 0  # for the exact bytes of postbacks; 0: as long as the rest
    idle_minutes: int = 720  # without anything done, after which a person is logged out
    open_id: OpenId | None = None

    def __repr__(self) -> str:
        """Hide everything: settings hold secrets, and a repr ends up in logs."""
        return "Settings(...)"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read and check every variable.

        Raises:
            SettingsError: one is wrong; the message names it.
        """
        source = _Source(os.environ if environ is None else environ)
        database_url = source.get("DATABASE_URL", _database_url, DEFAULT_DATABASE_URL)
        return cls(
            database_url=database_url,
            gateway_url=source.get("GATEWAY_URL", _http_url, None),
            gateway_api_key=source.get("GATEWAY_API_KEY", _printable, None),
            gateway_timeout_seconds=source.get("GATEWAY_TIMEOUT_SECONDS", _timeout, 30.0),
            default_from=source.get("DEFAULT_FROM", _sender, None),
            postback_tokens=source.get("POSTBACK_TOKENS", _tokens, ()),
            postback_allow_from=source.get("POSTBACK_ALLOW_FROM", _networks, ()),
            postback_allow_mode=_allow_mode_of(source),
            spool_dir=source.get("SPOOL_DIR", Path, None) or _state_dir(database_url) / "spool",
            secret_key=source.get("SECRET_KEY", _secret, None),
            gateway_zone=source.get("GATEWAY_ZONE", _zone, DEFAULT_ZONE),
            trusted_proxies=source.get("TRUSTED_PROXIES", _count, 0),
            send_rate=source.get("SEND_RATE", _rate, None),
            send_window=source.get("SEND_WINDOW", _window, None),
            settle_unknown=source.get("SETTLE_UNKNOWN", _settle_unknown, SettleUnknown.OFFER),
            discover_known=source.get("DISCOVER_KNOWN", _yes_or_no, False),
            failure_share=source.get("FAILURE_SHARE", _percent, 3.0),
            sandbox_numbers=source.get("SANDBOX_NUMBERS", _told_numbers, ()),
            no_receipt_hours=source.get("NO_RECEIPT_HOURS", _receipt_hours, 72),
            retention_days=source.get("RETENTION_DAYS", _retention_days, 0),
            body_retention_days=source.get("BODY_RETENTION_DAYS", _retention_days, 0),
            idle_minutes=source.get("IDLE_MINUTES", _idle_minutes, 720),
            open_id=_open_id_of(source),
        )

    @property
    def state_dir(self) -> Path:
        """Where files of ours live: beside the SQLite database, else `instance/`."""
        return _state_dir(self.database_url)

    @property
    def postback_token_file(self) -> Path:
        """Where the first start keeps the token that it makes when the settings have none."""
        return self.state_dir / "postback_token"

    def own_postback_tokens(self) -> dict[str, str]:
        """Return the tokens that need no database, by name; none is made.

        Raises:
            OSError: the file of the first start cannot be read.
        """
        given = self.postback_tokens
        if len(given) == 1:
            return {"settings": given[0]}
        if given:
            return {f"settings {number}": token for number, token in enumerate(given, 1)}
        path = self.postback_token_file
        return {"first start": path.read_text("utf-8").strip()} if path.exists() else {}


def _state_dir(database_url: str) -> Path:
    path = sqlite_path(make_url(database_url))
    return path.parent if path else Path("instance")


def sqlite_path(url: URL) -> Path | None:
    """Return the file of a SQLite URL; None for another engine or a database in memory."""
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database))


def kept_secret(path: Path, make: Callable[[], str] = lambda: secrets.token_urlsafe(32)) -> str:
    """Return the secret in a file readable by its owner alone; the first caller makes it.

    Two processes that start together agree on one: a complete file is linked into place, and
    the link of the second fails.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        draft = _draft(path, make())
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text(encoding="utf-8").strip()


def renewed_secret(path: Path) -> str:
    """Put a new secret in the place of a kept one, and return it."""
    _draft(path, secrets.token_urlsafe(32)).replace(path)
    return path.read_text(encoding="utf-8").strip()


def _draft(path: Path, secret: str) -> Path:
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(secret + "\n")
    return draft


class _Source:
    """The environment, with NAME_FILE as the second way to give NAME."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def get(self, name: str, read: Callable[[str], T], default: T) -> T:
        text = self._text(PREFIX + name)
        if text is None:
            return default
        try:
            return read(text)
        except ValueError as error:
            raise SettingsError(f"{PREFIX}{name}: {error}") from error

    def _text(self, name: str) -> str | None:
        value = self._environ.get(name, "").strip()
        path = self._environ.get(f"{name}_FILE", "").strip()
        if value and path:
            raise SettingsError(f"{name} and {name}_FILE are both set; keep one")
        if path:
            try:
                value = Path(path).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or error
                raise SettingsError(f"{name}_FILE: cannot read {path}: {reason}") from error
            if not value:
                raise SettingsError(f"{name}_FILE: {path} is empty")
        return value or None


def _database_url(text: str) -> str:
    try:
        url = make_url(text)
    except ArgumentError:
        raise ValueError(
            "not a database URL; sqlite:///path or postgresql://user@host/name"
        ) from None
    backend = url.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise ValueError(f"{backend} is not supported; use sqlite:///path or postgresql://...")
    if backend == "sqlite" and sqlite_path(url) is None:
        raise ValueError("a SQLite database must be a file; use sqlite:///path")
    if backend == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    return url.render_as_string(hide_password=False)


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("not a URL that begins with http:// or https:// and names a host")
    return text


def _secret(text: str) -> str:
    if len(text) < 16 or not text.isprintable():
        raise ValueError("too short to be a secret; at least 16 printable characters")
    return text


def _printable(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise ValueError("has characters that no key has")
    return text


def _tokens(text: str) -> tuple[str, ...]:
    tokens = tuple(token.strip() for token in text.split(",") if token.strip())
    if not all(_URL_SAFE.fullmatch(token) for token in tokens):
        raise ValueError("a token is made of letters, digits, '-', '_', '.' and '~'")
    if not tokens:
        raise ValueError("no token; give one or more, with commas between")
    return tokens


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ValueError(f"{error}; give networks such as 203.0.113.0/24, 2001:db8::/32") from None


def _allow_mode_of(source: "_Source") -> AllowMode:
    mode = source.get("POSTBACK_ALLOW_MODE", _allow_mode, AllowMode.OFF)
    if mode is not AllowMode.OFF and not source.get("POSTBACK_ALLOW_FROM", _networks, None):
        raise SettingsError(
            f"{PREFIX}POSTBACK_ALLOW_MODE is {mode}, and {PREFIX}POSTBACK_ALLOW_FROM names nobody"
        )
    return mode


def _allow_mode(text: str) -> AllowMode:
    try:
        return AllowMode(text.lower())
    except ValueError:
        raise ValueError(f"{text!r} is none of off, report and enforce") from None


def _timeout(text: str) -> float:
    is_number = text.isascii() and text.replace(".", "", 1).isdecimal()
    seconds = float(text) if is_number else -1.0
    if not 0.1 <= seconds <= 45:
        raise ValueError(f"{text!r} is not a number of seconds from 0.1 to 45 (a lease lasts 60)")
    return seconds


def _sender(text: str) -> str:
    if not (text.isascii() and text.isdecimal() and 3 <= len(text) <= 15):
        raise ValueError(f"{text!r} is not a short or long code: 3 to 15 digits")
    return text


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{text!r} is not a time zone; such as America/New_York") from None


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= 10):
        raise ValueError(f"{text!r} is not a number of proxies from 0 to 10")
    return int(text)


def _open_id_of(source: "_Source") -> OpenId | None:
    issuer = source.get("OIDC_ISSUER", _issuer, None)
    client_id = source.get("OIDC_CLIENT_ID", _printable, None)
    client_secret = source.get("OIDC_CLIENT_SECRET", _printable, None)
    role_claim = source.get("OIDC_ROLE_CLAIM", str, "roles")
    roles = source.get("OIDC_ROLES", _role_words, {role: role for role in _ROLES})
    if issuer and client_id and client_secret:
        return OpenId(
            issuer=issuer,
            client_id=client_id,
            client_secret=client_secret,
            role_claim=role_claim,
            roles=roles,
        )
    if issuer or client_id or client_secret:
        needed = {"ISSUER": issuer, "CLIENT_ID": client_id, "CLIENT_SECRET": client_secret}
        missing = next(name for name, value in needed.items() if not value)
        raise SettingsError(f"{PREFIX}OIDC_{missing}: missing, and the others of OIDC are set")
    return None


def _issuer(text: str) -> str:
    parts = urlsplit(_http_url(text))
    if parts.query or parts.fragment:
        raise ValueError("an issuer has no query")
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise ValueError("an issuer begins with https://, but on this machine itself")
    return text


def _role_words(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    words = {word.strip(): role.strip() for word, _, role in pairs}
    if not words or "" in words or not set(words.values()) <= set(_ROLES):
        raise ValueError(f"{text!r} is not like staff=viewer,desk=operator,it=admin")
    return words


def _idle_minutes(text: str) -> int:
    return _whole(text, "minutes", 5, 1440)


def _receipt_hours(text: str) -> int:
    return _whole(text, "hours", 1, 8760)


def _retention_days(text: str) -> int:
    return _whole(text, "days", 0, 36500)


def _whole(text: str, what: str, least: int, most: int) -> int:
    is_number = text.isascii() and text.isdecimal() and len(text) < 6
    if not (is_number and least <= int(text) <= most):
        raise ValueError(f"{text!r} is not a number of {what} from {least} to {most}")
    return int(text)


def _rate(text: str) -> float:
    is_number = text.isascii() and text.replace(".", "", 1).isdecimal()
    rate = float(text) if is_number else 0.0
    if not 0.01 <= rate <= 10_000:
        raise ValueError(f"{text!r} is not a number of messages a second from 0.01 to 10000")
    return rate


def _told_numbers(text: str) -> tuple[tuple[str, str], ...]:
    pairs = (line.partition("=") for line in text.splitlines())
    return tuple((number, what) for number, _, what in pairs)


def _percent(text: str) -> float:
    number = text.removesuffix("%").rstrip()
    is_number = number.isascii() and number.replace(".", "", 1).isdecimal()
    percent = float(number) if is_number else -1.0
    if not 0.1 <= percent <= 100:
        raise ValueError(f"{text!r} is not a share from 0.1 to 100 percent, such as 3")
    return percent


def _window(text: str) -> tuple[time, time]:
    found = re.fullmatch(r"([0-2][0-9]:[0-5][0-9])\s*-\s*([0-2][0-9]:[0-5][0-9])", text)
    try:
        first, last = (
            (time.fromisoformat(part) for part in found.groups()) if found else (None, None)
        )
    except ValueError:
        first = last = None
    if first is None or last is None or first == last:
        raise ValueError(f"{text!r} is not a time of day such as 08:00-21:00")
    return first, last


def _settle_unknown(text: str) -> SettleUnknown:
    try:
        return SettleUnknown(text.lower())
    except ValueError:
        raise ValueError(f"{text!r} is neither offer nor take") from None


def _yes_or_no(text: str) -> bool:
    if text.lower() not in ("yes", "no"):
        raise ValueError(f"{text!r} is neither yes nor no")
    return text.lower() == "yes"
