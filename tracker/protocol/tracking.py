"""The gateway's TRACKINGID: an opaque, case-sensitive string, and the two ways we look at it.

Source: PROTOCOL 6.7.
"""

import base64
import re
from typing import Final

MAX_KEY: Final = 128  # samples have at most 16 characters; a longer key matches nothing

_REFERENCE: Final = re.compile(r"[A-Za-z]+_[0-9]+")


def tracking_key(tracking_id: str) -> str:
    """Return what ids are matched by: the id without white space, then without trailing `=`."""
    return without_blanks(tracking_id).rstrip("=")


def tracking_ref(tracking_id: str) -> str | None:
    """Return the readable id, such as MMS_597879: decoded from base64 or sent plain; else None.

    The forms of inbound messages (MMS_MO_iLnCRrL6) and of later gateways have none.
    """
    key = tracking_key(tracking_id)
    if _REFERENCE.fullmatch(key):
        return key
    decoded = _decoded(key)
    return decoded if _REFERENCE.fullmatch(decoded) else None


def without_blanks(tracking_id: str) -> str:
    """Return the id as we keep it: without the line ends and blanks it was wrapped in."""
    return "".join(tracking_id.split())


def _decoded(key: str) -> str:
    try:
        return base64.b64decode(key + "=" * (-len(key) % 4), validate=True).decode("ascii")
    except ValueError:  # no base64, or no text in it
        return ""
