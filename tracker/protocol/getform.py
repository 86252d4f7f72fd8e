"""The GET form of a sendPassInMMS call: name and value pairs. Source: PROTOCOL 2.4."""

from collections.abc import Iterable
from typing import Final

from .request import (
    CustomText,
    PassRequest,
    checked_name,
    checked_text,
    plain_texts,
    request_of,
)

_CUSTOM_TEXT: Final = "customtext_"
_DATA: Final = "data_"
_PASS_DATA: Final = "pd_"  # noqa: S105 - no password


def to_query(request: PassRequest) -> list[tuple[str, str]]:
    """Return the pairs of the GET form, not yet URL-encoded.

    The key is among them and would stand in logs: our own client sends XML.

    Raises:
        UnencodableError: a value or name does not fit into the protocol.
    """
    pairs = [(name.lower(), checked_text(text, ours)) for name, ours, text in plain_texts(request)]
    for number, text in enumerate(request.custom_text):
        value = checked_text(text.value, f"custom_text.{number}.value")
        pairs.append((_CUSTOM_TEXT + text.slide, value))
    for prefix, part, texts in (
        ("", "others", request.others),
        (_DATA, "data", request.data),
        (_PASS_DATA, "pass_data", request.pass_data),
    ):
        for name, value in texts.items():
            field = f"{part}.{name}"
            pairs.append((prefix + checked_name(name, field).lower(), checked_text(value, field)))
    return [(name, value) for name, value in pairs if value]


def from_query(pairs: Iterable[tuple[str, str]]) -> PassRequest:
    """Read the pairs of a GET form, decoded already; names in any case, blank values are absent.

    Values are kept as they are. An unescaped plus arrives as a leading blank, and a number that
    begins with one is not a number (E110); trimming would accept more than the gateway.
    Of a repeated name the first that is not blank counts, customtext_n excepted.
    """
    form = list(pairs)
    return request_of(
        {name: text for name, text in _texts(form, "").items() if not _is_prefixed(name)},
        custom_text=tuple(
            CustomText(value, name[len(_CUSTOM_TEXT) :])
            for name, value in form
            if name.lower().startswith(_CUSTOM_TEXT) and value.strip()
        ),
        data=_texts(form, _DATA),
        pass_data=_texts(form, _PASS_DATA),
        has_pass_data=any(name.lower().startswith(_PASS_DATA) for name, _ in form),
    )


def _texts(form: list[tuple[str, str]], prefix: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in form:
        if name.lower().startswith(prefix) and value.strip():
            found.setdefault(name[len(prefix) :].upper(), value)
    return found


def _is_prefixed(name: str) -> bool:
    return name.lower().startswith((_CUSTOM_TEXT, _DATA, _PASS_DATA))
