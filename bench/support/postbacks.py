"""The requests: for every preloaded message one N102, all of one length.

The fields are those of the receipts that the gateway's documents print.
"""

BASE = 2_000_000_000  # keeps every number ten digits long
MMS_ID = "45633"
HANDSET = "motol7c"
SPID = "0001890"
OCCURRED_AT = "2026-11-20T07:20:49-05:00"
_BODY = (
    "<?xml version='1.0'?>\n<POSTBACK>\n"
    " <ORIGIN>MMS_MT</ORIGIN>\n"
    " <CODE>N102</CODE>\n"
    " <SENTAS>MMS</SENTAS>\n"
    " <STATUS>Message Sent/Delivered</STATUS>\n"
    f" <MMSID>{MMS_ID}</MMSID>\n"
    " <TO>1%(number)d</TO>\n"
    " <TRACKINGID>MMS_%(number)d</TRACKINGID>\n"
    f" <SPID>{SPID}</SPID>\n"
    f" <TIMESTAMP>{OCCURRED_AT}</TIMESTAMP>\n"
    f" <HANDSET>{HANDSET}</HANDSET>\n"
    " <AGGREGATORID>67543210-11e1</AGGREGATORID>\n"
    "</POSTBACK>\n"
)


def body_of(message_id: int) -> str:
    """Return the postback that tells of the delivery of one message."""
    return _BODY % {"number": BASE + message_id}


def template(path: str, *, keep_alive: bool) -> bytes:
    """Return a whole request as a format of one number, used as `template % {b"number": n}`."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\n"
        f"Content-Type: text/xml\r\nContent-Length: {len(body_of(0))}\r\n"
        f"Connection: {'keep-alive' if keep_alive else 'close'}\r\n\r\n"
    )
    return head.encode() + _BODY.encode()
