"""The gateway's synchronous answer, both ways. Source: PROTOCOL 3."""

from dataclasses import dataclass
from typing import Final, Literal

from lxml import etree

from .characters import replace_illegal
from .xml import XmlError, normal_name, parse_xml, text_of

# Skycore's name, the successor's name, our attribute; in the order of the seed's two examples.
_ELEMENTS: Final = (
    ("STATUS", "status", "status"),
    ("ERRORCODE", "error-code", "error_code"),
    ("MMSID", "mms-id", "mms_id"),
    ("TRACKINGID", "tracking-id", "tracking_id"),
    ("TO", "to", "to"),
    ("FROM", "from", "from_"),
    ("STATUSDETAILS", "status-details", "status_details"),
    ("ERRORINFO", "error-info", "error_info"),
)


class ResponseFormatError(ValueError):
    """The answer is no RESPONSE document: what became of the call is unknown (PROTOCOL 4.8)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayResponse:
    """One answer, as text; None for what it does not have."""

    status: str | None = None
    mms_id: str | None = None  # an echo of the request's, never to be matched by (PROTOCOL 3)
    tracking_id: str | None = None
    to: str | None = None
    from_: str | None = None  # the sender really used (PROTOCOL 4.4)
    status_details: str | None = None
    error_code: str | None = None
    error_info: str | None = None

    @property
    def is_success(self) -> bool:
        """The call was accepted, and the answer has what we need to follow it."""
        succeeded = (self.status or "").lower() == "success"
        return succeeded and self.error_code is None and self.tracking_id is not None

    @property
    def is_failure(self) -> bool:
        """The call was refused. Neither success nor failure: the outcome is unknown."""
        return (self.status or "").lower() == "failure" or self.error_code is not None


def parse_response(text: str) -> GatewayResponse:
    """Read an answer in either spelling (RESPONSE, TRACKINGID; response, tracking-id).

    Raises:
        ResponseFormatError: empty, not well-formed, HTML, or another root element.
    """
    try:
        root = parse_xml(text)
    except XmlError as error:
        raise ResponseFormatError(str(error)) from error
    if normal_name(str(root.tag)) != "RESPONSE":
        raise ResponseFormatError("the root element is not RESPONSE")
    texts: dict[str, str] = {}
    for child in root:
        if value := text_of(child):
            texts.setdefault(normal_name(str(child.tag)), value)
    return GatewayResponse(
        status=texts.get("STATUS"),
        mms_id=texts.get("MMSID"),
        tracking_id=texts.get("TRACKINGID"),
        to=texts.get("TO"),
        from_=texts.get("FROM"),
        status_details=texts.get("STATUSDETAILS"),
        error_code=texts.get("ERRORCODE"),
        error_info=texts.get("ERRORINFO"),
    )


def response_xml(
    response: GatewayResponse, *, dialect: Literal["skycore", "sinch"] = "skycore"
) -> bytes:
    """Write an answer; characters that XML cannot carry become U+FFFD, for it must go out."""
    root = etree.Element("RESPONSE" if dialect == "skycore" else "response")
    for skycore, sinch, attribute in _ELEMENTS:
        if value := getattr(response, attribute):
            element = etree.SubElement(root, skycore if dialect == "skycore" else sinch)
            element.text = replace_illegal(value)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True, pretty_print=True)
