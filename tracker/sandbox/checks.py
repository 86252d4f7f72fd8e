"""What the gateway tests before it accepts a call, in its order; the first failure is the answer.

Source: PROTOCOL 5, last line; the rules of templates are those of 4.1.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tracker.protocol.codes import error_meaning
from tracker.protocol.getform import from_query
from tracker.protocol.passdata import (
    PASS_FIELDS,
    SLOTS,
    fixed_code,
    latitude_code,
    latitude_field,
    longitude_code,
    longitude_field,
    slot_fields,
)
from tracker.protocol.request import PassRequest, RequestFormatError, from_xml
from tracker.protocol.transport import document_of, form_of

from .behaviour import is_error_code
from .numbers import country_code
from .options import SandboxOptions
from .template import Template

_ACCOUNT_CODES: Final = frozenset({"E105", "E109", "E112", "E107"})
_RATE_CODES: Final = frozenset({"E106", "E113", "E120"})
_NUMBER: Final = re.compile(r"[1-9][0-9]{6,14}")
_DEGREES: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)")
_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Case:
    """A call to judge: the request, the account, and the answer on demand ("normal" for none)."""

    request: PassRequest
    options: SandboxOptions
    demanded: str

    @property
    def template(self) -> Template:
        """The MMS asked for; only once it is known to exist."""
        return self.options.templates[self.request.mms_id or ""]


Check = Callable[[Case], str | None]


@dataclass(frozen=True, slots=True)
class Refused:
    """A failure: an error code and its explanation."""

    code: str
    info: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """A call that is in order, and the sender it will really have."""

    to: str
    mms_id: str
    sender: str


def read_query(query: bytes) -> PassRequest | Refused:
    """Read the GET form; E100 when there is none. Source: PROTOCOL 2.4."""
    pairs = form_of(query, _FORM)
    return from_query(pairs) if pairs else refused("E100")


def read_body(body: bytes, content_type: str | None) -> PassRequest | Refused:
    """Read a posted call in any transport form; E100 without a document, E108 for a bad one.

    Bytes that do not fit the encoding are no XML either.
    """
    document = document_of(body, content_type)
    if not document.text.strip():
        return refused("E100")
    if document.is_repaired:
        return refused("E108", "undecodable bytes")
    try:
        return from_xml(document.text)
    except RequestFormatError as error:
        return refused("E108", str(error))


def judge(
    request: PassRequest, options: SandboxOptions, demanded: str = "normal"
) -> Accepted | Refused:
    """Run all checks; the error codes of `demanded` are given where the gateway would."""
    case = Case(request, options, demanded)
    for check in CHECKS:
        if code := check(case):
            return refused(code)
    to = request.to or ""
    return Accepted(to, request.mms_id or "", sender_used(request.from_ or "", to, options))


def sender_used(asked: str, to: str, options: SandboxOptions) -> str:
    """Return the sender: the one asked for at home, the default one abroad. PROTOCOL 4.4."""
    return asked if country_code(to) == options.country_code else options.default_sender


def refused(code: str, detail: str | None = None) -> Refused:
    """Return a failure explained by its code, and by what the parser said."""
    meaning = error_meaning(code) or "Refused on demand"
    return Refused(code, f"{meaning}: {detail}" if detail else meaning)


def _action(case: Case) -> str | None:
    return None if (case.request.action or "").lower() == "sendpassinmms" else "E101"


def _key_present(case: Case) -> str | None:
    return None if case.request.api_key else "E102"


def _key_right(case: Case) -> str | None:
    return None if case.request.api_key == case.options.api_key else "E104"


def _account(case: Case) -> str | None:
    return case.demanded if case.demanded in _ACCOUNT_CODES else None


def _rate(case: Case) -> str | None:
    return case.demanded if case.demanded in _RATE_CODES else None


def _mms_id_present(case: Case) -> str | None:
    return None if case.request.mms_id else "E620"


def _to_present(case: Case) -> str | None:
    return None if case.request.to else "E621"


def _sender(case: Case) -> str | None:
    return None if case.request.from_ in case.options.senders else "E111"


def _number(case: Case) -> str | None:
    return None if _NUMBER.fullmatch(case.request.to or "") else "E110"


def _blocked(case: Case) -> str | None:
    return "E114" if case.request.to in case.options.blocked else None


def _mms_exists(case: Case) -> str | None:
    return None if case.request.mms_id in case.options.templates else "E241"


def _encoded(case: Case) -> str | None:
    return None if case.template.is_encoded else "E626"


def _pass(case: Case) -> str | None:
    template = case.template
    if not template.has_pass:
        return "E822"
    return "E802" if template.is_pass_gone else None


def _campaign(case: Case) -> str | None:
    if not case.options.campaign_check:
        return None
    subscribers = case.options.subscriptions.get(case.request.campaign_ref or "")
    if subscribers is None:
        return "E714"
    return None if case.request.to in subscribers else "E715"


def _barcode(case: Case) -> str | None:
    needs_one = case.template.needs_barcode_value
    return "E803" if needs_one and "BARCODEVALUE" not in case.request.pass_data else None


def _fixed_fields(case: Case) -> str | None:
    template = case.template
    for field in PASS_FIELDS:
        if field in case.request.pass_data and template.has_fixed(field):
            return fixed_code(field)
    return None


def _fixed_slots(case: Case) -> str | None:
    for slot in SLOTS:
        fields = slot_fields(slot)
        if slot in case.template.fixed_slots and case.request.pass_data.keys() & fields:
            return fixed_code(fields[0])
    return None


def _latitudes(case: Case) -> str | None:
    for slot in _placed_slots(case):
        if not _is_degrees(case.request.pass_data.get(latitude_field(slot)), 90):
            return latitude_code(slot)
    return None


def _longitudes(case: Case) -> str | None:
    for slot in _placed_slots(case):
        if not _is_degrees(case.request.pass_data.get(longitude_field(slot)), 180):
            return longitude_code(slot)
    return None


def _on_demand(case: Case) -> str | None:
    """Billing (E713), operator (E628), and internal errors."""
    return case.demanded if is_error_code(case.demanded) else None


CHECKS: Final[tuple[Check, ...]] = (
    _action,
    _key_present,
    _key_right,
    _account,
    _rate,
    _mms_id_present,
    _to_present,
    _sender,
    _number,
    _blocked,
    _mms_exists,
    _encoded,
    _pass,
    _campaign,
    _barcode,
    _fixed_fields,
    _fixed_slots,
    _latitudes,
    _longitudes,
    _on_demand,
)


def _placed_slots(case: Case) -> list[int]:
    """Return the dynamic slots with a coordinate; one text alone is dropped. PROTOCOL 4.2, 10."""
    return [
        slot
        for slot in SLOTS
        if slot in case.template.dynamic_slots
        and case.request.pass_data.keys() & {latitude_field(slot), longitude_field(slot)}
    ]


def _is_degrees(text: str | None, limit: int) -> bool:
    return text is not None and bool(_DEGREES.fullmatch(text)) and abs(float(text)) <= limit
