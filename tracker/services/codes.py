"""The codes of a login's second step: of the phone, new every 30 seconds, and for recovery.

Of the secret that phone and server share, the database keeps a random salt alone: the secret is
made of it by the key of the installation (HMAC-SHA-256). Who has a copy of the database, or reads
one of its rows, can make no code; and nothing needs to be decrypted that could be shown again.
"""

import base64
import hashlib
import hmac
import re
import secrets
from datetime import datetime
from typing import Final

import pyotp
from sqlalchemy.orm import Session

from tracker.store import two_factor
from tracker.store.models import User

ISSUER: Final = "Pass Delivery Tracker"  # as the app on the phone names it
STEP_SECONDS: Final = 30
DRIFT: Final = 1  # steps that the clock of a phone may be wrong
RECOVERY_CODES: Final = 10
_SECRET_BYTES: Final = 20  # as long as the SHA-1 in the codes, RFC 4226 section 4
_LETTERS: Final = "abcdefghijkmnpqrstuvwxyz23456789"  # none is taken for another
_PHONE_CODE: Final = re.compile("[0-9]{6}")
_RECOVERY_LENGTH: Final = 16  # 80 bits: guessing does not help, even with the hashes


def new_salt() -> str:
    """Return the salt of a new secret."""
    return secrets.token_urlsafe(24)


def secret_of(salt: str, key: str) -> str:
    """Return the secret that a salt stands for, as phones take it: letters and digits."""
    digest = hmac.digest(key.encode(), f"two-factor:{salt}".encode(), "sha256")
    return base64.b32encode(digest[:_SECRET_BYTES]).decode()


def address_of(secret: str, username: str) -> str:
    """Return what the QR code of a secret says."""
    return pyotp.TOTP(secret).provisioning_uri(name=username, issuer_name=ISSUER)


def matching_step(salt: str, key: str, code: str, after: int | None, now: datetime) -> int | None:
    """Return the step whose code this is; None when it is wrong or not later than `after`."""
    if not _PHONE_CODE.fullmatch(code):  # other letters and digits cannot even be compared
        return None
    totp = pyotp.TOTP(secret_of(salt, key))
    middle = int(now.timestamp()) // STEP_SECONDS
    for step in range(middle - DRIFT, middle + DRIFT + 1):
        is_same = hmac.compare_digest(totp.generate_otp(step), code)
        if is_same and (after is None or step > after):
            return step
    return None


def accept(session: Session, user: User, text: str, key: str, now: datetime) -> str | None:
    """Use up a code of a user, and say what kind it was; None when it is wrong or used up."""
    if user.two_factor_since is None or user.totp_salt is None or user.is_disabled:
        return None
    code = typed(text)
    if _PHONE_CODE.fullmatch(code):
        step = matching_step(user.totp_salt, key, code, user.totp_step, now)
        if step is None:
            return None
        user.totp_step = step
        return "code"
    if not two_factor.use_recovery_code(session, user.id, _hash(code), now):
        return None
    return f"recovery code, {two_factor.recovery_codes_left(session, user.id)} left"


def renew_recovery(session: Session, user: User) -> list[str]:
    """Put new recovery codes in the place of all there were, and return them, once."""
    made = [
        "".join(secrets.choice(_LETTERS) for _ in range(_RECOVERY_LENGTH))
        for _ in range(RECOVERY_CODES)
    ]
    two_factor.replace_recovery_codes(session, user.id, [_hash(code) for code in made])
    return ["-".join(re.findall("....", code)) for code in made]


def typed(text: str) -> str:
    """Return a code as it was made, however it was typed: blanks, dashes, capitals."""
    return re.sub(r"[\s-]+", "", text[:64]).lower()


def _hash(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "replace")).digest()
