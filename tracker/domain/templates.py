"""What a pass template takes and what it refuses, checked before the gateway is asked.

A template is what an operator says of the pass behind a stored MMS. The rules are our reading of
the gateway's documents: a refusal names the code that the gateway would answer, a warning says what
it would ignore without a word.

Source: PROTOCOL 2.3, 4.1 and 4.2. Coordinates are the work of `validation`, template or not.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from tracker.protocol.codes import error_meaning
from tracker.protocol.passdata import PASS_FIELDS, SLOTS, fixed_code, slot_fields

from .message import Problem


class PassType(StrEnum):
    """What kind of pass it is."""

    BOARDING_PASS = "boarding pass"  # noqa: S105  # no password
    COUPON = "coupon"
    EVENT_TICKET = "event ticket"
    STORE_CARD = "store card"
    GENERIC = "generic"


class BarcodeType(StrEnum):
    """Whether all passes share one barcode."""

    FIXED = "fixed"
    DYNAMIC = "dynamic"


class ValueSource(StrEnum):
    """Where the value of a dynamic barcode comes from: each send, or the gateway itself."""

    DYNAMIC_VALUE = "dynamic value"
    OTHER = "other"


class AlternateText(StrEnum):
    """The text below the barcode."""

    NONE = "none"
    FIXED = "fixed"
    DYNAMIC = "dynamic"


class Symbology(StrEnum):
    """How the barcode is drawn; no send says it, only the template at the gateway."""

    QR = "qr"
    PDF417 = "pdf417"
    AZTEC = "aztec"
    CODE_128 = "code 128"


SLOT_OF: Final = {name: slot for slot in SLOTS for name in slot_fields(slot)}
# Every label and value: what can be fixed or dynamic by itself.
TEXT_FIELDS: Final = tuple(f for f in PASS_FIELDS if fixed_code(f) and f not in SLOT_OF)
SECOND_PRIMARY: Final = frozenset({"PRIMARYLABEL2", "PRIMARYVALUE2"})
BARCODE_VALUE: Final = "BARCODEVALUE"
BARCODE_TEXT: Final = "BARCODETEXT"
NOTHING_TO_SEND: Final = "E822"
VALUE_MISSING: Final = "E803"


@dataclass(frozen=True, slots=True, kw_only=True)
class Barcode:
    """What the template says of its barcode; the rest means nothing where none is allowed."""

    is_allowed: bool = False
    type: BarcodeType = BarcodeType.FIXED
    value_source: ValueSource = ValueSource.OTHER
    alternate_text: AlternateText = AlternateText.NONE
    symbology: Symbology | None = None  # None: nobody has said it

    @property
    def takes_value(self) -> bool:
        """Each send must give BARCODEVALUE. Source: PROTOCOL 2.3."""
        is_dynamic = self.type is BarcodeType.DYNAMIC
        return self.is_allowed and is_dynamic and self.value_source is ValueSource.DYNAMIC_VALUE

    @property
    def takes_text(self) -> bool:
        """A send may give BARCODETEXT. Source: PROTOCOL 2.3."""
        return self.is_allowed and self.alternate_text is AlternateText.DYNAMIC


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """The pass behind a stored MMS. What is neither dynamic nor fixed is not on the pass."""

    title: str
    pass_type: PassType | None = None  # None only where there is no pass
    has_pass: bool = True
    barcode: Barcode = field(default_factory=Barcode)
    dynamic_fields: frozenset[str] = frozenset()
    fixed_fields: frozenset[str] = frozenset()
    dynamic_slots: frozenset[int] = frozenset()  # relevance slots, 1 to 10
    fixed_slots: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the gateway would refuse, and the code that it would answer."""

    code: str
    problem: Problem


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a template has against a send; the gateway would answer the first refusal's code."""

    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[Problem, ...] = ()


def judge(template: Template, mms_id: str, pass_data: Mapping[str, str]) -> Judgement:
    """Return all that is wrong or without effect, in the order in which the gateway looks."""
    if not template.has_pass:
        return Judgement((_refusal(NOTHING_TO_SEND, "mms_id", mms_id, "has no pass"),))
    refusals = (
        *_missing_barcode(template, pass_data),
        *_fixed_fields(template, pass_data),
        *_fixed_slots(template, pass_data),
    )
    return Judgement(refusals, tuple(_ignored(template, pass_data)))


def _missing_barcode(template: Template, pass_data: Mapping[str, str]) -> Iterator[Refusal]:
    if template.barcode.takes_value and BARCODE_VALUE not in pass_data:
        detail = "is missing; the template takes its barcode from each send"
        yield _refusal(VALUE_MISSING, _path(BARCODE_VALUE), None, detail)


def _fixed_fields(template: Template, pass_data: Mapping[str, str]) -> Iterator[Refusal]:
    for name in TEXT_FIELDS:
        if name in pass_data and name in template.fixed_fields and not _is_absent(template, name):
            yield _fixed(name, pass_data[name], "is fixed in the template; leave it out")


def _fixed_slots(template: Template, pass_data: Mapping[str, str]) -> Iterator[Refusal]:
    for slot in sorted(template.fixed_slots):
        for name in slot_fields(slot):
            if name in pass_data:
                detail = f"belongs to place {slot}, which is fixed in the template; leave it out"
                yield _fixed(name, pass_data[name], detail)


def _ignored(template: Template, pass_data: Mapping[str, str]) -> Iterator[Problem]:
    """Yield what the gateway ignores silently. Source: PROTOCOL 2.3 and 4.1."""
    for name in PASS_FIELDS:
        if name in pass_data and (why := _why_ignored(template, name)):
            yield Problem(_path(name), pass_data[name], f"is ignored by the gateway: {why}")


def _why_ignored(template: Template, name: str) -> str | None:
    if name == BARCODE_VALUE:
        return None if template.barcode.takes_value else _why_no_value(template.barcode)
    if name == BARCODE_TEXT:
        return None if template.barcode.takes_text else _why_no_text(template.barcode)
    if slot := SLOT_OF.get(name):
        is_there = slot in template.dynamic_slots | template.fixed_slots
        return None if is_there else f"the template has no place {slot}"
    if name not in TEXT_FIELDS:
        return None  # CUSTOMPASSID and THUMBNAILURL are bound to nothing
    if _is_absent(template, name):
        return "only boarding passes have a second primary field"
    is_there = name in template.dynamic_fields | template.fixed_fields
    return None if is_there else "the template has no such field"


def _is_absent(template: Template, name: str) -> bool:
    """Say whether the type of pass has no such field. Source: PROTOCOL 2.3."""
    return name in SECOND_PRIMARY and template.pass_type is not PassType.BOARDING_PASS


def _why_no_value(barcode: Barcode) -> str:
    if not barcode.is_allowed:
        return "the template has no barcode"
    if barcode.type is BarcodeType.FIXED:
        return "the barcode is fixed in the template"
    return "the gateway makes the barcode's value itself"


def _why_no_text(barcode: Barcode) -> str:
    if not barcode.is_allowed:
        return "the template has no barcode"
    if barcode.alternate_text is AlternateText.FIXED:
        return "the text below the barcode is fixed in the template"
    return "the template has no text below the barcode"


def _fixed(name: str, value: str, detail: str) -> Refusal:
    return _refusal(fixed_code(name) or "", _path(name), value, detail)


def _refusal(code: str, path: str, value: str | None, detail: str) -> Refusal:
    told = f"{detail} (the gateway would answer {code}: {error_meaning(code)})"
    return Refusal(code, Problem(path, value, told))


def _path(name: str) -> str:
    return f"pass_data.{name}"
