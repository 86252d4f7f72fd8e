"""What the API's document says of batches."""

from typing import Final

from tracker.domain.status import LABELS
from tracker.services.batch_file import ENCODINGS, SEPARATORS
from tracker.store.batches import Hold, Stage

from .describing import component
from .shapes import COUNT, MAYBE, MAYBE_TIME, TEXT, TIME, Json, answered, nullable, said

BATCH_ID: Final[Json] = {"type": "string", "format": "uuid"}
FIRST_ID: Final = "0192f1f4-5ed1-4c9d-8a52-0d6c5f3f0a11"
_ADDRESS: Final = f"/api/v1/batches/{FIRST_ID}"
_SHARED: Final[Json] = {
    "id": BATCH_ID,
    "name": said(TEXT, "The name that was given, or that of the file."),
    "status": {"enum": [*Stage, *Hold]},
    "status_label": TEXT,
    "status_reason": said(TEXT, "Why it is where it is, in one sentence."),
    "stage": said({"enum": [*Stage]}, "The status, were it not held back."),
    "dry_run": {"type": "boolean"},
    "skip_wrong_rows": {"type": "boolean"},
    "progress": {"type": "number", "minimum": 0, "maximum": 1},
    "rows": said(COUNT, "Rows that were checked so far."),
    "wrong_rows": COUNT,
    "warnings": COUNT,
    "queued_rows": COUNT,
    "size": said(COUNT, "Bytes of the file."),
    "format": answered(
        {"encoding": MAYBE, "separator": MAYBE, "has_bom": {"type": ["boolean", "null"]}}
    ),
    "columns": {"type": "array", "items": answered({"header": TEXT, "field": MAYBE})},
    "defaults": {"type": "object"},
    "created_at": TIME,
    "updated_at": TIME,
    "finished_at": MAYBE_TIME,
    "links": answered(dict.fromkeys(("self", "errors", "warnings", "result", "messages"), TEXT)),
}
_SHARED_EXAMPLE: Final[Json] = {
    "id": FIRST_ID,
    "name": "friday.csv",
    "status": "queued",
    "status_label": "Queued",
    "status_reason": "Every good row is in the queue or on its way.",
    "stage": "queued",
    "dry_run": False,
    "skip_wrong_rows": True,
    "progress": 1.0,
    "rows": 3,
    "wrong_rows": 1,
    "warnings": 0,
    "queued_rows": 2,
    "size": 212,
    "format": {"encoding": "utf-8", "separator": "comma", "has_bom": False},
    "columns": [{"header": "to", "field": "to"}, {"header": "note", "field": None}],
    "defaults": {"mms_id": "45633", "from": "11111"},
    "created_at": "2026-11-27T17:00:22Z",
    "updated_at": "2026-11-27T17:00:24Z",
    "finished_at": "2026-11-27T17:00:24Z",
    "links": {
        "self": _ADDRESS,
        "errors": f"{_ADDRESS}/errors.csv",
        "warnings": f"{_ADDRESS}/errors.csv?warnings=1",
        "result": f"{_ADDRESS}/result.csv",
        "messages": f"/api/v1/messages?batch_id={FIRST_ID}",
    },
}
BATCH_EXAMPLE: Final[Json] = {
    **_SHARED_EXAMPLE,
    "counts": {"accepted": 2},
    "same_file_as": None,
}
LISTED_EXAMPLE: Final = _SHARED_EXAMPLE
LISTED_BATCH: Final = component("ListedBatch", answered(_SHARED), LISTED_EXAMPLE)
BATCH: Final = component(
    "Batch",
    answered(
        {
            **_SHARED,
            "counts": said(
                {
                    "type": "object",
                    "properties": {status.value: COUNT for status in LABELS},
                    "additionalProperties": False,
                },
                "Its messages by status; what there is none of is left out.",
            ),
            "same_file_as": said(
                nullable(BATCH_ID), "An earlier batch of the same file, in case it came twice."
            ),
        }
    ),
    BATCH_EXAMPLE,
)
EXAMPLE_FILE: Final = (
    "to,reference,pass.BARCODEVALUE,note\n"
    "12025550143,seat-17,A-17,aisle\n"
    "12025550144,seat-18,A-18,window\n"
)
UPLOAD: Final[Json] = {
    "description": "A CSV file with a header row, as the body or as `file` of a form. Its columns"
    " are named like the fields of a request: `to`, `mms_id`, `from`, `reference`, `pass.FIELD`,"
    " `data.NAME`, `text.SLIDE` and so on.",
    "required": True,
    "content": {
        "text/csv": {
            "schema": {"type": "string"},
            "examples": {
                "two-passes": {"summary": "Two passes", "value": EXAMPLE_FILE},
            },
        },
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"file": {"type": "string", "format": "binary"}},
                "required": ["file"],
            }
        },
    },
}
CSV: Final[Json] = {"type": "string"}
_OBJECT: Final[Json] = {"type": "string", "contentMediaType": "application/json"}
_FLAG: Final[Json] = {"type": "string", "enum": ["0", "1", "false", "true"]}
PARAMETERS: Final = tuple(
    {"name": name, "in": "query", "required": False, "schema": schema, "description": note}
    for name, schema, note in (
        ("name", {"type": "string", "maxLength": 128}, "What the batch is called."),
        ("defaults", _OBJECT, 'Fields for all rows, such as `{"mms_id": "45633"}`.'),
        (
            "mapping",
            _OBJECT,
            'Headers that are no fields, such as `{"Phone": "to"}`; null ignores one.',
        ),
        ("encoding", {"type": "string", "enum": [*ENCODINGS]}, "Found out without it."),
        ("separator", {"type": "string", "enum": [*SEPARATORS]}, "Found out without it."),
        ("dry_run", _FLAG, "1: check every row, and queue none."),
        ("skip_wrong_rows", _FLAG, "1: queue the good rows although others are wrong."),
    )
)
