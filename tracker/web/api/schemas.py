"""The objects of the API as JSON Schemas, made out of the tables that the code itself reads.

A field that is added to `domain.validation.FIELDS`, to the pass or to a postback without a word
here stops the start of the application; `tests/web/test_api_document.py` compares what is answered.

Source: DESIGN 3.4; PROTOCOL 2.2, 2.3 and 6.11.
"""

from typing import Final

from tracker.domain import validation
from tracker.domain.fold import Outcome
from tracker.domain.status import LABELS, Status
from tracker.protocol.notification import TOLD, Kind
from tracker.protocol.passdata import PASS_FIELDS, SLOTS, latitude_field, longitude_field
from tracker.protocol.phrases import State

from .describing import component
from .reading import MAX_ID, NUMBER
from .shapes import (
    COUNT,
    ILLEGAL,
    LEGAL,
    MAYBE,
    MAYBE_TIME,
    NULL,
    STRINGS,
    TEXT,
    TIME,
    Json,
    answered,
    closed,
    nullable,
    ref,
    said,
)

MESSAGE_ID: Final[Json] = {"type": "string", "format": "uuid"}
POSTBACK_ID: Final[Json] = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
IDEMPOTENCY_KEY: Final[Json] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "pattern": "^[ -~]*$",
}

_NOT_BLANK: Final = rf"^[^\s{ILLEGAL}][^{ILLEGAL}]*$"
_DATA_NAME: Final = "^(?![Xx][Mm][Ll])[A-Za-z_][A-Za-z0-9_.-]{0,63}$"
_LATITUDE: Final = r"^[+-]?0?([0-8]?[0-9](\.[0-9]{1,15})?|90(\.0{1,15})?)$"
_LONGITUDE: Final = (
    r"^[+-]?(0?[0-9]{1,2}(\.[0-9]{1,15})?|1[0-7][0-9](\.[0-9]{1,15})?|180(\.0{1,15})?)$"
)
_DIGITS: Final[Json] = {"minimum": 0, "maximum": 10**18 - 1}


def _text(limit: int, pattern: str = LEGAL) -> Json:
    """Return what `validation` takes as text: numbers are taken as they are written."""
    return {"type": ["string", "number", "null"], "maxLength": limit, "pattern": pattern}


def _degrees(pattern: str, most: int) -> Json:
    return {"type": ["string", "number"], "pattern": pattern, "minimum": -most, "maximum": most}


# The request.

_PASS_VALUE: Final = _text(validation.MAX_VALUE)
_PASS_VALUES: Final[Json] = {
    **dict.fromkeys(PASS_FIELDS, _PASS_VALUE),
    "CUSTOMPASSID": said(
        _text(validation.MAX_PASS_ID),
        "Your own id of the pass, the only field that postbacks echo; one is made without it.",
    ),
    **{latitude_field(slot): said(_degrees(_LATITUDE, 90), "Decimal degrees.") for slot in SLOTS},
    **{
        longitude_field(slot): said(_degrees(_LONGITUDE, 180), "Decimal degrees.") for slot in SLOTS
    },
}
_BOTH: Final = {
    one: [other]
    for slot in SLOTS
    for one, other in (
        (latitude_field(slot), longitude_field(slot)),
        (longitude_field(slot), latitude_field(slot)),
    )
}
PASS_DATA: Final = component("PassData", {**closed(_PASS_VALUES), "dependentRequired": _BOTH})
SLIDE: Final = component(
    "Slide",
    closed(
        {
            "slide": said(
                {
                    "type": ["integer", "string"],
                    "minimum": 1,
                    "maximum": validation.MAX_SLIDE,
                    "pattern": f"^[1-{validation.MAX_SLIDE}]$",
                },
                "Slides count from 1.",
            ),
            "value": {
                "type": ["string", "number"],
                "maxLength": validation.MAX_SLIDE_TEXT,
                "pattern": _NOT_BLANK,
            },
        },
        ["slide", "value"],
    ),
)
DISCOVERY: Final = component(
    "Discovery",
    closed(
        {
            "title": _text(validation.MAX_VALUE),
            "text": said(
                _text(validation.MAX_VALUE), "Without a text no discovery message is asked for."
            ),
            "timeout_minutes": said(
                {
                    "type": ["integer", "string", "null"],
                    "minimum": 0,
                    "maximum": validation.MAX_DDM_MINUTES,
                    "pattern": "^[0-9]{0,5}$",
                },
                "How long the gateway waits for its receipt; 5 when absent.",
            ),
        }
    ),
)
_FIELDS: Final[Json] = {
    "to": said(
        {
            "type": ["string", "integer"],
            "pattern": NUMBER["pattern"],
            "minimum": 10**6,
            "maximum": 10**15 - 1,
        },
        "The recipient: 7 to 15 digits, country code first. Blanks, dots, dashes, brackets and one"
        " leading `+` or `00` are forgiven; answers have the digits alone.",
    ),
    "mms_id": said(
        {"type": ["string", "integer"], "pattern": "^[0-9]{1,18}$", **_DIGITS},
        "The id of a stored MMS that contains a pass.",
    ),
    "from": said(
        {
            "type": ["string", "integer", "null"],
            "pattern": "^([0-9]{3,15})?$",
            "minimum": 100,
            "maximum": 10**15 - 1,
        },
        "A short or long code of the account. Needed, unless the server has a default sender.",
    ),
    "campaign_ref": said(
        {"type": ["string", "integer", "null"], "pattern": "^[0-9]{0,18}$", **_DIGITS},
        "The id of a campaign.",
    ),
    "reference": said(
        _text(validation.MAX_REFERENCE),
        "Your own name for the message, such as an order. It belongs to one request of a token, as"
        " an `Idempotency-Key` does.",
    ),
    "custom_subject": said(
        _text(validation.MAX_SUBJECT), "In place of the subject of the stored MMS."
    ),
    "custom_text": said(
        {"type": ["array", "null"], "items": ref(SLIDE), "maxItems": validation.MAX_SLIDE},
        "In place of the text of a slide; each slide once.",
    ),
    "ddm": said(
        {"anyOf": [ref(DISCOVERY), NULL]},
        "A discovery message: a short text sent first, to learn the handset from its receipt.",
    ),
    "data": said(
        {
            "type": ["object", "null"],
            "propertyNames": {"pattern": _DATA_NAME},
            "additionalProperties": _text(validation.MAX_VALUE),
            "maxProperties": validation.MAX_DATA_FIELDS,
        },
        "Values for the merge tags of the stored MMS, such as `FIRST_NAME`.",
    ),
    "pass_data": said(
        {"anyOf": [ref(PASS_DATA), NULL]},
        "The fields of the pass, in any case. A field that is fixed in the pass template is"
        " refused by the gateway. A place has both coordinates or none.",
    ),
    "send_at": said(
        {**MAYBE_TIME}, "Not before this time; with its zone. A time in the past is now."
    ),
}

REQUEST_EXAMPLE: Final[Json] = {
    "to": "+12025550143",
    "mms_id": "45633",
    "from": "11111",
    "reference": "order-4711",
    "pass_data": {"BARCODEVALUE": "A-17", "HEADERLABEL1": "Gate", "HEADERVALUE1": "12"},
}
FULL_REQUEST_EXAMPLE: Final[Json] = {
    **REQUEST_EXAMPLE,
    "campaign_ref": "1207",
    "custom_subject": "Your ticket for Friday",
    "custom_text": [{"slide": 1, "value": "Doors open at 7 pm."}],
    "ddm": {"title": "Your ticket", "text": "It is on its way.", "timeout_minutes": 5},
    "data": {"FIRST_NAME": "Ada"},
    "pass_data": {
        **REQUEST_EXAMPLE["pass_data"],
        "RELLATITUDE1": "51.5033",
        "RELLONGITUDE1": "-0.1195",
        "RELTEXT1": "You are nearly there.",
    },
    "send_at": "2026-11-27T18:00:00+01:00",
}
SEND_REQUEST: Final = component(
    "SendRequest",
    # Its order, and a name that nobody describes is an error.
    closed({name: _FIELDS[name] for name in validation.FIELDS}, ["to", "mms_id"]),
    REQUEST_EXAMPLE,
)

# A message.

_MESSAGE_FIELDS: Final[Json] = {
    "id": MESSAGE_ID,
    "status": said(
        {"type": "string", "enum": [status.value for status in Status]},
        " · ".join(f"`{status}`: {words}" for status, words in LABELS.items()),
    ),
    "status_label": said(TEXT, "The status in words, as pages show it."),
    "status_reason": said(TEXT, "Why it has this status, in one sentence."),
    "tracking_id": said(MAYBE, "The gateway's id of the message."),
    "to": said(
        {"type": "string", "pattern": "^([1-9][0-9]{6,14}|erased)$"},
        "Digits as on the wire; `erased` once the person was forgotten.",
    ),
    "from": said(TEXT, "The sender asked for."),
    "from_used": said(MAYBE, "The sender that the gateway took, which may be another."),
    "mms_id": TEXT,
    "campaign_ref": MAYBE,
    "reference": MAYBE,
    "custom_pass_id": TEXT,
    "custom_subject": MAYBE,
    "custom_text": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"slide": {"type": "integer"}, "value": {"type": "string"}},
        },
    },
    "ddm": {
        "type": ["object", "null"],
        "properties": {
            "title": MAYBE,
            "text": MAYBE,
            "timeout_minutes": {"type": ["integer", "null"]},
        },
    },
    "data": STRINGS,
    "pass_data": STRINGS,
    "sent_as": said(MAYBE, "`MMS`, or `SMS` for a link."),
    "spid": said(MAYBE, "The carrier, as text with its zeros."),
    "carrier": MAYBE,
    "operator_id": MAYBE,
    "handset": MAYBE,
    "os": MAYBE,
    "aggregator_id": MAYBE,
    "status_details": MAYBE,
    "error_code": said(MAYBE, "Of the gateway's refusal."),
    "error_info": MAYBE,
    "ddm_status": said(MAYBE, "What became of the discovery message."),
    "attempts": said(COUNT, "How often the gateway was called."),
    "created_at": TIME,
    "send_at": MAYBE_TIME,
    "accepted_at": MAYBE_TIME,
    "sent_at": MAYBE_TIME,
    "finished_at": MAYBE_TIME,
    "updated_at": TIME,
    "batch_id": nullable(MESSAGE_ID),
}
MESSAGE_EXAMPLE: Final[Json] = {
    **dict.fromkeys(_MESSAGE_FIELDS),
    "id": "7c0b3c1e-6f0a-4d7e-9a52-3f5f8f0f5a11",
    "status": "delivered",
    "status_label": "Delivered",
    "status_reason": "A receipt of the carrier says that the handset has it.",
    "tracking_id": "TU1TXzU5Nzg3OQ==",
    "to": "12025550143",
    "from": "11111",
    "from_used": "11111",
    "mms_id": "45633",
    "reference": "order-4711",
    "custom_pass_id": "7c0b3c1e6f0a4d7e9a523f5f8f0f5a11",
    "custom_text": [],
    "data": {},
    "pass_data": {
        "CUSTOMPASSID": "7c0b3c1e6f0a4d7e9a523f5f8f0f5a11",
        **REQUEST_EXAMPLE["pass_data"],
    },
    "sent_as": "MMS",
    "spid": "0001890",
    "handset": "motol7c",
    "attempts": 1,
    "created_at": "2026-11-27T17:00:00Z",
    "accepted_at": "2026-11-27T17:00:01Z",
    "sent_at": "2026-11-27T17:00:02Z",
    "finished_at": "2026-11-27T17:00:22Z",
    "updated_at": "2026-11-27T17:00:22Z",
}
QUEUED_EXAMPLE: Final[Json] = {
    **MESSAGE_EXAMPLE,
    "status": "queued",
    "status_label": "Queued",
    "status_reason": "It waits for a sender.",
    "attempts": 0,
    "updated_at": "2026-11-27T17:00:00Z",
    **dict.fromkeys(
        ("tracking_id", "from_used", "sent_as", "spid", "handset", "accepted_at", "sent_at",
         "finished_at")
    ),
}  # fmt: skip
MESSAGE: Final = component(
    "Message",
    answered(_MESSAGE_FIELDS),
    MESSAGE_EXAMPLE,
)
FIELD_PROBLEM: Final = component(
    "FieldProblem",
    {
        "type": "object",
        "required": ["field", "detail"],
        "properties": {
            "field": said(TEXT, "Which field, with its path, such as `pass_data.RELLATITUDE1`."),
            "value": said({}, "What it held."),
            "detail": said(TEXT, "What would be right."),
        },
    },
)
NEW_MESSAGE: Final = component(
    "NewMessage",
    {
        "allOf": [ref(MESSAGE)],
        "type": "object",
        "properties": {
            "warnings": {
                "type": "array",
                "items": ref(FIELD_PROBLEM),
                "description": "What is odd but no reason to refuse; absent when nothing is.",
            }
        },
    },
)

_TIMELINE_FIELDS: Final[Json] = {
    "at": said(TIME, "By our clock."),
    "what": TEXT,
    "detail": TEXT,
    "source": {"type": "string", "enum": ["ours", "gateway", "postback", "statistics"]},
    "outcome": nullable({"type": "string", "enum": [outcome.value for outcome in Outcome]}),
    "outcome_reason": MAYBE,
    "repeats": COUNT,
    "postback_id": {"type": ["integer", "null"]},
    "occurred_at": said(MAYBE_TIME, "The gateway's TIMESTAMP."),
}
TIMELINE_ENTRY: Final = component(
    "TimelineEntry",
    answered(_TIMELINE_FIELDS),
)
TIMELINE_EXAMPLE: Final[Json] = {
    "at": "2026-11-27T17:00:22Z",
    "what": "N102 Message Sent/Delivered",
    "detail": "The delivery status changed.",
    "source": "postback",
    "outcome": "applied",
    "outcome_reason": "Set the status to Delivered.",
    "repeats": 0,
    "postback_id": 1042,
    "occurred_at": "2026-11-27T17:00:21Z",
}
_CANDIDATE_FIELDS: Final[Json] = {
    "postback_id": POSTBACK_ID,
    "tracking_id": said(TEXT, "The id that the message has once this is taken as its answer."),
    "code": MAYBE,
    "received_at": TIME,
    "mms_id": MAYBE,
    "why": said(TEXT, "What speaks for it, and what else there is."),
}
CANDIDATE: Final = component(
    "Candidate",
    answered(_CANDIDATE_FIELDS),
    {
        "postback_id": 1042,
        "tracking_id": MESSAGE_EXAMPLE["tracking_id"],
        "code": "N101",
        "received_at": "2026-11-27T17:00:09Z",
        "mms_id": "45633",
        "why": "It came 8 s after the call began, and names the same number and MMS id. Nothing"
        " else fits.",
    },
)
MESSAGE_WITH_TIMELINE: Final = component(
    "MessageWithTimeline",
    {
        "allOf": [ref(MESSAGE)],
        "type": "object",
        "required": ["timeline"],
        "properties": {
            "timeline": {
                "type": "array",
                "items": ref(TIMELINE_ENTRY),
                "description": "What happened, oldest first.",
            },
            "candidates": {
                "type": "array",
                "items": ref(CANDIDATE),
                "description": "Only of a message that can be settled: postbacks that may be its"
                " lost answer.",
            },
        },
    },
)

# A postback.

_OURS: Final[Json] = {
    "id": POSTBACK_ID,
    "received_at": TIME,
    "outcome": {"type": "string", "enum": [outcome.value for outcome in Outcome]},
    "outcome_reason": said(TEXT, "Why, in one sentence."),
    "message_id": nullable(MESSAGE_ID),
    "repeats": said(COUNT, "How often the same event came again; 0 at first."),
}
_STATE: Final[Json] = {"type": "string", "enum": [state.value for state in State]}
_OTHER_THAN_TEXT: Final[Json] = {
    "kind": {"type": "string", "enum": [kind.value for kind in Kind]},
    "state": _STATE,
    "ddm_state": _STATE,
    "timestamp": said(TIME, "The gateway's, in UTC."),
    "files": {"type": "array", "items": TEXT},
    "status": said(TEXT, "The phrase as it was received."),
}
POSTBACK_EXAMPLE: Final[Json] = {
    "id": 1042,
    "received_at": "2026-11-27T17:00:22Z",
    "outcome": "applied",
    "outcome_reason": "Set the status to Delivered.",
    "message_id": MESSAGE_EXAMPLE["id"],
    "repeats": 0,
    "code": "N102",
    "kind": "mms",
    "origin": "MMS_MT",
    "tracking_id": MESSAGE_EXAMPLE["tracking_id"],
    "tracking_ref": "MMS_597879",
    "to": MESSAGE_EXAMPLE["to"],
    "mms_id": "45633",
    "sent_as": "MMS",
    "status": "Message Sent/Delivered",
    "spid": "0001890",
    "handset": "motol7c",
    "state": "delivered",
    "timestamp": "2026-11-27T17:00:21Z",
}
HEADERS_EXAMPLE: Final[Json] = {
    "headers": [
        {"name": "host", "value": "tracker.example"},
        {"name": "user-agent", "value": "Jakarta Commons-HttpClient/3.1"},
        {"name": "content-type", "value": "text/xml; charset=UTF-8"},
    ]
}
_HEADERS: Final[Json] = {
    "type": ["array", "null"],
    "items": closed({"name": TEXT, "value": TEXT}, ["name", "value"]),
    "description": "Only where one postback is looked at: the headers of the request that brought"
    " its bytes first, in their order, without those that carry secrets. Names are in lower case;"
    " `…` says how many more there were, and a long value how long it was. Null when they were not"
    " kept.",
}
POSTBACK: Final = component(
    "Postback",
    {
        "type": "object",
        "description": "Our six facts, and what the postback says; what it does not say is absent.",
        "properties": {
            **_OURS,
            **{name: _OTHER_THAN_TEXT.get(name, TEXT) for name in TOLD},
            "headers": _HEADERS,
        },
        "required": list(_OURS),
    },
    POSTBACK_EXAMPLE,
)

_JUDGED: Final[Json] = {"outcome": _OURS["outcome"], "message_id": _OURS["message_id"]}
DRY_RUN: Final = component(
    "DryRun",
    {
        "type": "object",
        "required": ["id", "dry_run", "would_change", "before", "after"],
        "properties": {
            "id": POSTBACK_ID,
            "dry_run": {"const": True},
            "would_change": {"type": "boolean"},
            "before": {"type": "object", "properties": _JUDGED, "required": list(_JUDGED)},
            "after": {
                "type": "object",
                "properties": {**_JUDGED, "outcome_reason": TEXT},
                "required": [*_JUDGED, "outcome_reason"],
            },
        },
    },
    {
        "id": 1042,
        "dry_run": True,
        "would_change": True,
        "before": {"outcome": "unmatched", "message_id": None},
        "after": {
            "outcome": "applied",
            "outcome_reason": "Set the status to Delivered.",
            "message_id": MESSAGE_EXAMPLE["id"],
        },
    },
)

# Errors.

PROBLEM: Final = component(
    "Problem",
    {
        "type": "object",
        "description": "RFC 9457, the one shape of all errors.",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string", "const": "about:blank"},
            "title": said(TEXT, "The name of the status."),
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": said(TEXT, "What is wrong and what would be right."),
            "errors": {
                "type": "array",
                "items": ref(FIELD_PROBLEM),
                "description": "Every wrong field or parameter, not only the first.",
            },
        },
    },
)
