"""The call that asks for a message, as the gateway gets it, without the API key.

It is written anew from what is kept: the bytes themselves are not stored, since they hold the key.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tracker.gateway import to_request
from tracker.protocol.request import CustomText, UnencodableError, to_xml
from tracker.store.rows import AttemptRow, ContentRow, MessageRow

from .take import pass_message


@dataclass(frozen=True, slots=True)
class SentRequest:
    """The document; `note` says what the last call left out. `document` is None if unwritable."""

    document: str | None
    note: str | None


def sent_request(
    message: MessageRow, content: ContentRow, calls: Sequence[AttemptRow], *, to: str | None = None
) -> SentRequest:
    """Return the call for a message; `to` stands in the place of the number where it is given.

    Only a discovery is ever left out of a call, and then the call has a note.
    """
    note = calls[-1].note if calls else None
    asked = pass_message(message, content)
    if note:
        asked = replace(asked, ddm=None)
    request = replace(
        to_request(asked, ""), to=to or message.recipient, custom_text=_texts(content)
    )
    try:
        document = to_xml(request).decode("utf-8")
    except UnencodableError:
        document = None
    return SentRequest(document, note)


def _texts(content: ContentRow) -> tuple[CustomText, ...]:
    """Return the texts of slides; a client of the drop-in may have named none for one."""
    found = ((text.get("value") or "", text.get("slide")) for text in content.custom_text)
    return tuple(CustomText(text, "" if slide is None else str(slide)) for text, slide in found)
