"""Recovery codes: only hashes are kept, and each is good once."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from .models import RecoveryCode


def replace_recovery_codes(session: Session, user_id: int, hashes: Iterable[bytes]) -> None:
    """Keep these codes of a user and no others."""
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    session.add_all([RecoveryCode(user_id=user_id, code_hash=one) for one in hashes])
    session.flush()


def use_recovery_code(session: Session, user_id: int, code_hash: bytes, now: datetime) -> bool:
    """Use up a code; False when there is none like it, or it was used before."""
    used = session.scalar(
        update(RecoveryCode)
        .where(
            RecoveryCode.user_id == user_id,
            RecoveryCode.code_hash == code_hash,
            RecoveryCode.used_at.is_(None),
        )
        .values(used_at=now)
        .returning(RecoveryCode.id)
        .execution_options(synchronize_session=False)
    )
    return used is not None


def recovery_codes_left(session: Session, user_id: int) -> int:
    """Return how many codes a user has not used yet."""
    left = select(func.count()).where(
        RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None)
    )
    return session.scalar(left) or 0
