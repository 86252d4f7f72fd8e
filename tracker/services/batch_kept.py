"""The right rows of a file, as they are kept between their check and the queue.

A row is read and checked once: what was found right is what is queued, whoever queues it.
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import astuple
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from tracker.domain.message import Discovery, PassMessage, SlideText
from tracker.store.batches import NewMessage

_LEVEL: Final = 1  # of compression: to a fifth, in less time than it takes to write the rest


def pack(rows: Sequence[NewMessage]) -> bytes:
    """Return rows as bytes."""
    packed = json.dumps([_packed(new) for new in rows], ensure_ascii=False, separators=(",", ":"))
    return zlib.compress(packed.encode(), _LEVEL)


def unpack(data: bytes) -> list[NewMessage]:
    """Return the rows that `pack` was given."""
    return [_unpacked(*packed) for packed in json.loads(zlib.decompress(data))]


def _packed(new: NewMessage) -> Sequence[object]:
    message = new.message
    return (
        new.row,
        new.public_id.hex,
        new.digest and new.digest.hex(),
        [(text.slide, text.value) for text in message.custom_text],
        message.ddm and astuple(message.ddm),
        message.send_at and message.send_at.isoformat(),
        {
            "to": message.to,
            "mms_id": message.mms_id,
            "from_": message.from_,
            "campaign_ref": message.campaign_ref,
            "reference": message.reference,
            "custom_subject": message.custom_subject,
            "data": message.data,
            "pass_data": message.pass_data,
        },
    )


def _unpacked(
    row: int,
    public_id: str,
    digest: str | None,
    texts: Sequence[tuple[int, str]],
    ddm: tuple[str | None, str | None, int | None] | None,
    send_at: str | None,
    plain: dict[str, Any],
) -> NewMessage:
    message = PassMessage(
        custom_text=tuple(SlideText(slide, value) for slide, value in texts),
        ddm=Discovery(title=ddm[0], text=ddm[1], timeout_minutes=ddm[2]) if ddm else None,
        send_at=datetime.fromisoformat(send_at) if send_at else None,
        **plain,
    )
    return NewMessage(row, UUID(public_id), message, bytes.fromhex(digest) if digest else None)
