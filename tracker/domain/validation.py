"""The rules a message must meet before it is queued: every broken one is reported at once.

Input is the request of DESIGN 3.4 as JSON gives it; all limits are those of PROTOCOL 2, and where
the gateway's documents name none, a bound of our own.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from typing import Final

from tracker.protocol.characters import first_illegal
from tracker.protocol.passdata import PASS_FIELDS, slot_fields

from . import numbers
from .message import Checked, Discovery, InvalidMessageError, PassMessage, Problem, SlideText
from .near import nearest

FIELDS: Final = (
    "to", "mms_id", "from", "campaign_ref", "reference", "custom_subject", "custom_text", "ddm",
    "data", "pass_data", "send_at",
)  # fmt: skip
MAX_SLIDE: Final = 8
MOST_UNKNOWN: Final = 50  # names that are told apart; whoever sends more is not mistyping
MAX_SUBJECT: Final = 80
MAX_SLIDE_TEXT: Final = 5000
MAX_VALUE: Final = 5000  # ours, as for a slide
MAX_REFERENCE: Final = 128
MAX_PASS_ID: Final = 256
MAX_DATA_FIELDS: Final = 200
MAX_DDM_MINUTES: Final = 99_999
SLOTS: Final = range(1, 11)
_COORDINATES: Final = tuple(name for slot in SLOTS for name in slot_fields(slot)[:2])

_DATA_NAME: Final = re.compile(r"(?!xml)[A-Za-z_][A-Za-z0-9_.-]{0,63}", re.IGNORECASE)
_PLACES: Final = {name: place for place, name in enumerate(PASS_FIELDS)}
_CODE: Final = re.compile(r"[0-9]{3,15}")
_ID: Final = re.compile(r"[0-9]{1,18}")
_WHOLE: Final = re.compile(r"[0-9]{1,9}(\.0)?")
_DEGREES: Final = re.compile(r"[+-]?[0-9]{1,3}(\.[0-9]{1,15})?")


def check(
    request: Mapping[str, object], *, default_from: str | None = None, pass_id: str | None = None
) -> Checked:
    """Read a request to send and return the message it asks for.

    A pass without an id of its own gets `pass_id`.

    Raises:
        InvalidMessageError: with every field that is wrong, not only the first.
    """
    reader = _Reader(request)
    reader.no_others(FIELDS)
    message = PassMessage(
        to=_recipient(reader),
        mms_id=_digits(reader, "mms_id", "the id of a stored MMS: 1 to 18 digits")
        or reader.need("mms_id"),
        from_=_sender(reader, default_from),
        campaign_ref=_digits(reader, "campaign_ref", "a campaign id: 1 to 18 digits"),
        reference=reader.text("reference", MAX_REFERENCE),
        custom_subject=reader.text("custom_subject", MAX_SUBJECT),
        custom_text=_custom_text(reader),
        ddm=_discovery(reader),
        data=_data(reader),
        pass_data=_with_id(_pass_data(reader), pass_id),
        send_at=_send_at(reader),
    )
    if reader.problems:
        raise InvalidMessageError(tuple(reader.problems))
    return Checked(message, tuple(reader.warnings))


class _Reader:
    """One object of the request: takes typed values out and notes what is wrong on the way."""

    def __init__(
        self, source: Mapping[str, object], path: str = "", parent: "_Reader | None" = None
    ) -> None:
        self.source = source
        self.path = path
        self.problems: list[Problem] = parent.problems if parent else []
        self.warnings: list[Problem] = parent.warnings if parent else []

    def problem(self, name: str, value: object, detail: str) -> None:
        field = self.path + name if name else self.path.removesuffix(".")
        self.problems.append(Problem(field, value, detail))

    def warning(self, name: str, value: object, detail: str) -> None:
        self.warnings.append(Problem(self.path + name, value, detail))

    def need(self, name: str) -> str:
        """Note that a field is missing, unless it is wrong already."""
        if not any(problem.field == self.path + name for problem in self.problems):
            self.problem(name, None, "is missing")
        return ""

    def no_others(self, known: Sequence[str]) -> None:
        unknown = [name for name in self.source if name not in known]
        for name in unknown[:MOST_UNKNOWN]:  # each is compared with all that are known
            near = nearest(str(name), known)
            hint = f"; did you mean {near}?" if near else ""
            some = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
            detail = f"is not a field{hint or f'; known are {some}'}"
            self.problem(str(name)[:64], None, detail)

    def text(self, name: str, limit: int) -> str | None:
        """Take one value as text: trimmed, None when empty, numbers as they are written."""
        value = self.source.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
            if not is_number or not isfinite(value):  # type: ignore[arg-type]
                self.problem(name, value, "must be text")
                return None
            value = str(value)
        text = value.strip()
        if len(text) > limit:
            self.problem(name, text[:40] + "…", f"has {len(text)} characters; at most {limit}")
        elif (odd := first_illegal(text)) is not None:
            self.problem(
                name, text[:40], f"has the character U+{ord(odd):04X}, which XML cannot carry"
            )
        else:
            return text or None
        return None

    def digits(self, name: str, limit: int) -> str | None:
        """Take a number that is a name, not a quantity: as a float it has lost its digits."""
        if isinstance(self.source.get(name), float | Decimal):
            self.problem(name, self.source[name], "must be text or a whole number")
            return None
        return self.text(name, limit)

    def child(self, name: str) -> "_Reader | None":
        value = self.source.get(name)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            self.problem(name, value, "must be an object of names and values")
            return None
        return _Reader(value, f"{self.path}{name}.", self)


def _recipient(reader: _Reader) -> str:
    text = reader.digits("to", 64)
    if text is None:
        return reader.need("to")
    number = numbers.clean(text)
    if number is None:
        reader.problem("to", text, f"is not a phone number; {numbers.EXPECTED}")
        return ""
    if said := numbers.doubt(number):
        reader.warning("to", number, said)
    return number


def _sender(reader: _Reader, default: str | None) -> str:
    text = reader.digits("from", 32)
    if text is None:
        if default is None:
            reader.need("from")
        return default or ""
    digits = numbers.clean(text) or text
    if not _CODE.fullmatch(digits):
        reader.problem("from", text, "is not a short or long code of the account: 3 to 15 digits")
    return digits


def _digits(reader: _Reader, name: str, expected: str) -> str | None:
    text = reader.text(name, 64)
    if text is not None and not _ID.fullmatch(text):
        reader.problem(name, text, f"is not {expected}")
        return None
    return text


def _whole(reader: _Reader, name: str, low: int, high: int) -> int | None:
    """Take a whole number; `1`, `"1"` and `1.0` are the same."""
    text = reader.text(name, 32)
    if text is None:
        return None
    if not _WHOLE.fullmatch(text) or not low <= int(float(text)) <= high:
        reader.problem(name, text, f"must be a whole number from {low} to {high}")
        return None
    return int(float(text))


def _custom_text(reader: _Reader) -> tuple[SlideText, ...]:
    value = reader.source.get("custom_text")
    if value is None:
        return ()
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        reader.problem("custom_text", value, "must be a list of {slide, value}")
        return ()
    if len(value) > MAX_SLIDE:
        reader.problem("custom_text", None, f"has {len(value)} entries; at most {MAX_SLIDE}")
        return ()
    slides: dict[int, str] = {}
    for index, entry in enumerate(value):
        if not isinstance(entry, Mapping):
            reader.problem(f"custom_text[{index}]", entry, "must be an object with slide and value")
            continue
        _slide(_Reader(entry, f"custom_text[{index}].", reader), slides)
    return tuple(SlideText(slide, text) for slide, text in sorted(slides.items()))


def _slide(entry: _Reader, slides: dict[int, str]) -> None:
    entry.no_others(("slide", "value"))
    slide = _whole(entry, "slide", 1, MAX_SLIDE)
    text = entry.text("value", MAX_SLIDE_TEXT)
    if slide is None:
        entry.need("slide")
    if text is None:
        entry.need("value")
    if slide in slides:
        entry.problem("slide", slide, "has its text already; one text a slide")
    if slide is not None and text is not None:
        slides.setdefault(slide, text)


def _discovery(reader: _Reader) -> Discovery | None:
    ddm = reader.child("ddm")
    if ddm is None:
        return None
    ddm.no_others(("title", "text", "timeout_minutes"))
    found = Discovery(
        title=ddm.text("title", MAX_VALUE),
        text=ddm.text("text", MAX_VALUE),
        timeout_minutes=_whole(ddm, "timeout_minutes", 0, MAX_DDM_MINUTES),
    )
    if found.text is None and found != Discovery():
        ddm.warning("text", None, "is empty, so the gateway sends no discovery message")
    return None if found == Discovery() else found


def _data(reader: _Reader) -> dict[str, str]:
    data = reader.child("data")
    if data is None:
        return {}
    if len(data.source) > MAX_DATA_FIELDS:
        data.problem("", len(data.source), f"has more than {MAX_DATA_FIELDS} fields")
        return {}
    values: dict[str, str] = {}
    for name in data.source:
        if not _DATA_NAME.fullmatch(name):
            data.problem(name[:64], name[:64], "is not a name: a letter, then letters, digits or _")
        elif (text := data.text(name, MAX_VALUE)) is not None:
            values[name] = text
    return values


def _pass_data(reader: _Reader) -> dict[str, str]:
    given = reader.child("pass_data")
    if given is None:
        return {}
    upper: dict[str, object] = {}
    for name, value in given.source.items():
        if name.upper() in upper:
            given.problem(name[:64], value, "is there in another case too; name each field once")
        upper.setdefault(name.upper(), value)
    upper |= {name: _degrees(upper[name]) for name in _COORDINATES if name in upper}
    fields = _Reader(upper, given.path, reader)
    fields.no_others(PASS_FIELDS)
    values = {
        name: text
        for name in sorted(upper.keys() & _PLACES, key=_PLACES.__getitem__)
        if (text := fields.text(name, MAX_PASS_ID if name == "CUSTOMPASSID" else MAX_VALUE))
    }
    if any(name.startswith("REL") for name in values):
        for slot in SLOTS:
            _check_slot(fields, values, slot)
    return values


def _degrees(value: object) -> object:
    """Write out a number that would come as 1e-07, which the gateway need not know."""
    if isinstance(value, Decimal):
        value = float(value)
    if not isinstance(value, float) or not abs(value) < 1000:
        return value
    return f"{value:.15f}".rstrip("0").rstrip(".")


def _with_id(pass_data: dict[str, str], pass_id: str | None) -> dict[str, str]:
    if pass_id is None or "CUSTOMPASSID" in pass_data:
        return pass_data
    return {"CUSTOMPASSID": pass_id, **pass_data}


def _check_slot(fields: _Reader, values: Mapping[str, str], slot: int) -> None:
    """Check one relevance place: both coordinates or none. Source: PROTOCOL 2.3, 4.2, 10."""
    latitude, longitude, text = (f"REL{part}{slot}" for part in ("LATITUDE", "LONGITUDE", "TEXT"))
    _check_degrees(fields, values, latitude, 90)
    _check_degrees(fields, values, longitude, 180)
    if latitude in values and longitude not in values:
        fields.need(longitude)
    elif longitude in values and latitude not in values:
        fields.need(latitude)
    elif text in values and latitude not in values:
        fields.warning(text, values[text], "is ignored by the gateway without coordinates")


def _check_degrees(fields: _Reader, values: Mapping[str, str], name: str, limit: int) -> None:
    text = values.get(name)
    if text is not None and not (_DEGREES.fullmatch(text) and abs(float(text)) <= limit):
        fields.problem(name, text, f"must be decimal degrees from -{limit} to {limit}")


def _send_at(reader: _Reader) -> datetime | None:
    text = reader.text("send_at", 64)
    if text is None:
        return None
    moment: datetime | None
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        reader.problem(
            "send_at", text, "must be a time with its zone, such as 2026-11-27T18:00:00+01:00"
        )
        return None
    return moment
