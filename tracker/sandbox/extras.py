"""Postbacks that are no part of a delivery: any code on demand, with the elements of its kind.

Source: PROTOCOL 6.4 and 6.9.
"""

from collections.abc import Callable
from typing import Final

from tracker.protocol.codes import POSTBACK_CODES, postback_meaning

from .message import Event, Message


def extra_event(message: Message, code: str) -> Event:
    """Return a postback of any code, known or not, about the message's number or MMS."""
    origin = next((key[1] for key in POSTBACK_CODES if key[0] == code and key[1]), "MMS_MT")
    fields = _FIELDS.get(origin, _of_message)(message, code)
    return Event(code=code, origin=origin, fields=fields)


def _of_message(message: Message, code: str) -> dict[str, str]:
    if code in ("N002", "N003", "E001", "E002", "E003", "E004"):  # about the stored MMS alone
        return {"MMSID": message.mms_id, "STATUSDETAILS": postback_meaning(code, "MMS_MT") or ""}
    return {
        "STATUS": "Message Sent" if code.startswith("N") else "Message Failed",
        "MMSID": message.mms_id,
        "FROM": message.sender,
        "TO": message.to,
        "TRACKINGID": message.tracking_id,
        "SPID": message.spid,
        "STATUSDETAILS": postback_meaning(code, "MMS_MT") or "Not documented",
    }


def _of_sms(message: Message, code: str) -> dict[str, str]:
    return {
        "STATUS": "Message Failed" if code.startswith("E") else "Message Sent",
        "FROM": message.sender,
        "TO": message.to,
        "TRACKINGID": message.sms_id,
        "SPID": message.spid,
        "AGGREGATORID": message.aggregator_id,
    }


def _of_pass(message: Message, _code: str) -> dict[str, str]:
    return {
        "REFERENCEDBY": "Phone",
        "REFERENCEVALUE": message.to,
        "CUSTOMPASSID": message.custom_pass_id or "",
        "PASSDATAID": str(message.history_number),
        "SERIALNUMBER": f"{message.tracking_number:X}-SANDBOX",
    }


def _of_subscription(message: Message, _code: str) -> dict[str, str]:
    return {
        "MOBILE": message.to,
        "CAMPAIGNID": "2071",
        "SHORTCODE": message.sender,
        "CAMPAIGNTITLE": "Sandbox",
        "SOURCE": "MO",
    }


def _of_email_subscription(_message: Message, _code: str) -> dict[str, str]:
    return {"EMAIL": "someone@example.com", "CAMPAIGNID": "2071"}


def _of_text_from_phone(message: Message, _code: str) -> dict[str, str]:
    return {
        "FROM": message.to,
        "TO": message.sender,
        "TEXT": "STOP",
        "TRANSACTIONID": str(message.history_number),
    }


def _of_mms_from_phone(message: Message, _code: str) -> dict[str, str]:
    return {
        "FROM": message.to,
        "TO": message.sender,
        "SUBJECT": "A picture",
        "TRACKINGID": f"MMS_MO_{message.tracking_number:x}",
        "SPID": message.spid,
    }


_FIELDS: Final[dict[str, Callable[[Message, str], dict[str, str]]]] = {
    "SMS_MT": _of_sms,
    "GENERATE_PASS": _of_pass,
    "SUB": _of_subscription,
    "EMAIL_SUB": _of_email_subscription,
    "SMS_MO": _of_text_from_phone,
    "MMS_MO": _of_mms_from_phone,
}
