"""The reader of postbacks against coverage-guided fuzzing: nothing but its two errors may come out.

Usage: python trials/fuzz.py [--runs N] [--seconds N] [--corpus FOLDER]

Atheris mutates our own examples towards code that no body has reached yet. It is no dependency,
since it does not install everywhere: `pip install atheris` brings it; Linux. The command ends with
1, and the body in a file, when a body raises anything else, takes more than 2 s or memory grows.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from zoneinfo import ZoneInfo

try:
    import atheris
except ImportError:
    sys.exit("Atheris is not installed here: pip install atheris")

with atheris.instrument_imports(include=["tracker.protocol"]):
    from tracker.protocol.postback import (
        NotAPostbackError,
        UnreadablePostbackError,
        parse_postback,
    )
    from tracker.protocol.transport import document_of

ZONE = ZoneInfo("America/New_York")
SLOWEST_SECONDS = 2  # PROTOCOL 6.10
MEMORY_MIB = 2048
MOST_BYTES = 8192
# The first byte of a body chooses how it is labelled.
CONTENT_TYPES = (
    "text/xml",
    "text/xml; charset=utf-16",
    "text/xml; charset=ISO-8859-1",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "application/json",
    None,
)
SEEDS = (
    (
        b"<?xml version='1.0'?>\n<POSTBACK><ORIGIN>MMS_MT</ORIGIN><CODE>N102</CODE><STATUS>Message"
        b" Sent/Delivered</STATUS><TO>12025550143</TO><TRACKINGID>TU1TXzc3</TRACKINGID><TIMESTAMP>"
        b"2012-06-07T07:27:34-05:00</TIMESTAMP><TEXT><![CDATA[a & b]]></TEXT></POSTBACK>"
    ),
    (
        b'<POSTBACK><NOTIFICATION id="1" created="2012-06-07 07:27:34.398593-04"><CODE>N102</CODE>'
        b'<BODY><SPID>000157</SPID><STATUS celly="20" text="Retrieved" /></BODY></NOTIFICATION>'
        b"</POSTBACK>"
    ),
    b"<postback><code>N101</code><tracking-id>TU1TXzc3</tracking-id></postback>",
    b"<POSTBACK><CODE>N201</CODE><FROM_MASK><FROM_MASK><STATUSDETAILS>a & b;</POSTBACK>",
    b"<!DOCTYPE a [<!ENTITY b 'c'>]><POSTBACK><CODE>&b;</CODE></POSTBACK>",
    b'{"postback": {"code": "N101", "tracking-id": "TU1TXzc3", "content": [{"file": "x"}]}}',
    b"xml=%3CPOSTBACK%3E%3CCODE%3EN101%3C%2FCODE%3E%3C%2FPOSTBACK%3E",
    (
        b'--b\r\nContent-Disposition: form-data; name="xml"\r\n\r\n<POSTBACK><CODE>N101</CODE>'
        b"</POSTBACK>\r\n--b--\r\n"
    ),
)


def main() -> None:
    """Fuzz, and end with what libFuzzer says."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        corpus = options.corpus or Path(name)
        corpus.mkdir(parents=True, exist_ok=True)
        for label in range(len(CONTENT_TYPES)):
            for number, seed in enumerate(SEEDS):
                (corpus / f"seed-{label}-{number}").write_bytes(bytes([label]) + seed)
        atheris.Setup(
            [
                sys.argv[0],
                str(corpus),
                f"-runs={options.runs}",
                f"-max_total_time={options.seconds}",
                f"-timeout={SLOWEST_SECONDS}",
                f"-rss_limit_mb={MEMORY_MIB}",
                f"-max_len={MOST_BYTES}",
                "-print_final_stats=1",
            ],
            read_one,
        )
        atheris.Fuzz()


def read_one(data: bytes) -> None:
    """Read one body; what is read must have what every notification has."""
    label, body = (data[0] if data else 0) % len(CONTENT_TYPES), data[1:]
    try:
        found = parse_postback(document_of(body, CONTENT_TYPES[label]), zone=ZONE)
    except (NotAPostbackError, UnreadablePostbackError):
        return
    for one in found:
        assert one.fingerprint_text
        assert one.fields()["kind"]
        assert "\x00" not in str(one.fields())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--corpus", type=Path, help="Keep what was found interesting here.")
    return parser.parse_args()


if __name__ == "__main__":
    main()
