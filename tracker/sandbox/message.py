"""One accepted message, and one postback about it before it is written in a dialect."""

from collections.abc import Mapping
from dataclasses import dataclass

from .behaviour import Behaviour
from .numbers import encoded_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What the gateway knows of a message it accepted."""

    to: str
    mms_id: str
    sender: str
    tracking_number: int
    history_number: int
    spid: str
    handset: str
    aggregator_id: str
    custom_pass_id: str | None
    behaviour: Behaviour
    has_plain_ids: bool = False  # as the legacy edition; they stay when another dialect follows

    @property
    def tracking_id(self) -> str:
        """The TRACKINGID of its answer and postbacks."""
        return self._id(f"MMS_{self.tracking_number}")

    @property
    def sms_id(self) -> str:
        """The id of the SMS with the link, which is a message of its own."""
        return self._id(f"SMS_{self.tracking_number}")

    def _id(self, plain: str) -> str:
        return plain if self.has_plain_ids else encoded_id(plain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One postback: its elements in no order; the timestamp is set when it leaves."""

    code: str
    origin: str = "MMS_MT"
    fields: Mapping[str, str]
    is_timed: bool = True
    names_handset: str | None = None  # what the handset cache learns from it
