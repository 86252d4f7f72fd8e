"""What the dialect of 2011 to November 2013 says in its own way: STATUS attributes, short SPIDs.

Source: PROTOCOL 6.8, "Legacy dialect".
"""

from collections.abc import Mapping
from typing import Final

from .phrases import State

_CELLY: Final = {
    "9": State.SENT,
    "10": State.SENT,  # the link SMS left; its receipt is an N202 with TRACKINGID = our SMSID
    "11": State.DELIVERED,  # link opened
    "20": State.DELIVERED,
    "30": State.EXPIRED,
    "35": State.REJECTED,
}
# SMS receipts carry PROTOCOL (also spelled "protocole") and STATUS instead of CELLY. Only
# protocol 3, the receipt of an SMSC, tells outcomes. Source: APPENDIX B iii, 2013 edition.
_SMSC_RECEIPTS: Final = {
    "1": State.DELIVERED,
    "2": State.FAILED,
    "4": State.SENT,
    "8": State.SENT,
    "16": State.REJECTED,
}


def attribute_state(attributes: Mapping[str, str]) -> State | None:
    """Return what the attributes of STATUS (names in upper case) say; None when nothing we know."""
    if celly := attributes.get("CELLY"):
        return _CELLY.get(celly)
    if attributes.get("PROTOCOL", attributes.get("PROTOCOLE")) == "3":
        return _SMSC_RECEIPTS.get(attributes.get("STATUS", ""))
    return None


def full_spid(spid: str) -> str:
    """Return a SPID with seven digits: the legacy six lack a trailing 0 (000157 is 0001570)."""
    return spid + "0" if len(spid) == 6 and spid.isdecimal() and spid.isascii() else spid
