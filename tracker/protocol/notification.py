"""A typed reading out of a postback, and the names that other programs know its fields by.

Source: PROTOCOL 6.11.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final

from .phrases import State, phrase_letters
from .tracking import tracking_key


class Kind(StrEnum):
    """What a postback is about. Source: PROTOCOL 6.9 and 6.11."""

    MMS = "mms"
    SMS = "sms"
    DDM = "ddm"
    CONTENT = "content"
    MO_SMS = "mo_sms"
    MO_MMS = "mo_mms"
    SUBSCRIPTION = "subscription"
    PASS = "pass"  # noqa: S105
    QUEUE_ERROR = "queue_error"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One typed reading out of a postback; None for what it does not say."""

    code: str | None  # upper case; None only together with a defect
    kind: Kind
    origin: str | None = None
    tracking_id: str | None = None  # without white space, padding kept
    tracking_ref: str | None = None
    to: str | None = None
    from_: str | None = None
    from_mask: str | None = None
    mms_id: str | None = None
    sent_as: str | None = None
    status: str | None = None  # the phrase as received
    status_details: str | None = None
    spid: str | None = None
    operator_id: str | None = None
    handset: str | None = None
    os: str | None = None
    aggregator_id: str | None = None
    state: State | None = None  # of kinds mms and sms
    ddm_state: State | None = None  # of kind ddm
    timestamp: datetime | None = None  # UTC

    custom_pass_id: str | None = None
    pass_data_id: str | None = None
    serial_number: str | None = None
    referenced_by: str | None = None
    reference_value: str | None = None

    mobile: str | None = None
    email: str | None = None
    campaign_id: str | None = None
    sub_id: str | None = None
    shortcode: str | None = None
    campaign_title: str | None = None
    brand_name: str | None = None
    source: str | None = None

    keyword: str | None = None
    subject: str | None = None
    text: str | None = None
    transaction_id: str | None = None
    files: tuple[str, ...] = ()

    audio_name: str | None = None
    video_name: str | None = None

    sms_id: str | None = None
    history_id: str | None = None
    notification_id: str | None = None
    scheduled_id: str | None = None

    celly: str | None = None  # of the legacy STATUS element
    timestamp_text: str | None = None  # as received
    remarks: tuple[str, ...] = ()  # what was repaired, assumed or passed over, for people
    defect: str | None = None  # why it must be kept aside and not acted upon

    def fields(self) -> dict[str, Any]:
        """Return the fields by their names in PROTOCOL 6.11, fit for JSON; absent ones left out."""
        named = zip(TOLD, _values(self), strict=False)
        told = {name: value for name, value in named if value is not None}
        if not self.files:
            del told["files"]
        for name, plain in _PLAIN.items():
            if name in told:
                told[name] = plain(told[name])
        return told

    @property
    def tracking_key(self) -> str | None:
        """What the tracking id is matched by."""
        return (tracking_key(self.tracking_id) if self.tracking_id else None) or None

    @property
    def fingerprint_text(self) -> str:
        """The same text for the same event, another for another: duplicates are known by it.

        The number is part of it, lest a forged postback take the place of the true one, and so is
        what makes a notification unusable. The id of a legacy notification is not: it repeats.

        Source: PROTOCOL 6.10, Duplicates, and 6.8.
        """
        return _COMPACT.encode(self._identity())

    def _identity(self) -> list[Any]:
        instant = _utc_text(self.timestamp) if self.timestamp else self.timestamp_text
        key = self.tracking_key
        if key is None or self.defect:
            whole = {k: v for k, v in self.fields().items() if k != "notification_id"}
            return ["whole", whole, instant, self.celly, self.defect]
        letters = phrase_letters(self.status)
        to = digits(self.to)
        return ["event", key, self.code, letters, instant, self.celly, to, self.sms_id]


# Ours alone: not among the fields of PROTOCOL 6.11.
_UNTOLD: Final = frozenset({"celly", "timestamp_text", "remarks", "defect"})
_ATTRIBUTES: Final = [f.name for f in fields(Notification) if f.name not in _UNTOLD]
TOLD: Final = tuple(name.removesuffix("_") for name in _ATTRIBUTES)
_values: Final = attrgetter(*_ATTRIBUTES)

_COMPACT: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
_NO_DIGITS: Final = re.compile("[^0-9]+")


def digits(number: str | None) -> str:
    """Return the digits of a number, which are all of it that two spellings share."""
    return _NO_DIGITS.sub("", number or "")


def _utc_text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


# How JSON holds the fields that are not text already.
_PLAIN: Final[dict[str, Callable[[Any], object]]] = {
    "kind": str,
    "state": str,
    "ddm_state": str,
    "timestamp": _utc_text,
    "files": list,
}
