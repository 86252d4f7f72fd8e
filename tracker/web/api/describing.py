"""What the document says of an operation stands beside the view that does it.

A new endpoint needs one entry and no other file:

    @bp.post("/batches/<batch_id>/pause")
    @described(
        "Pause a batch",
        scope=Scope.SEND,
        parameters=in_path("batch_id", BATCH_ID, "The id of a batch."),
        answers={200: answer("The batch, paused.", "Batch", EXAMPLE)},
        errors=(404, 409),
    )
    def pause_batch(batch_id: str) -> dict[str, Any]:
        "Keep the rest of a batch in the queue."

- The decorator stands under the route. The docstring becomes the description, the function's name
  the `operationId`, the module's name the section, and `scope` is what the token must have: the
  guard of the API asks this very entry, so the document cannot promise something else.
- `answers` are the good ones by status; `errors` the problems that only this operation has. Those
  of every operation (401, 403, 429, 500, 503) come by themselves.
- `parameters` come from `in_path`, `in_header`, and `in_query` with the table that the view reads
  its filters with (`reading.takes` says what a reader of your own takes). `cursor` is the pattern
  of a list's cursor and adds `limit`, `cursor`, the header `Link` (`reading.next_link`) and a 400.
- `body` comes from `json_body`, or is any OpenAPI request body.
- A schema is a dictionary or the name of a component: `component("Batch", {...}, example)` at the
  top of the module makes one; `listed("Batch")` is the schema of a page of them.

`tests/web/test_api_document.py` names every route without an entry.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from tracker.store.models import Scope

from .reading import DEFAULT_LIMIT, MAX_LIMIT, Reader, schema_of

Json = dict[str, Any]
Schema = Json | str
View = TypeVar("View", bound=Callable[..., Any])

JSON: Final = "application/json"
ERRORS_OF_ALL: Final = (401, 403, 429, 500, 503)

COMPONENTS: Final[dict[str, Json]] = {}
_OPERATIONS: Final[dict[Callable[..., Any], "Operation"]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What the document says of one operation."""

    summary: str
    description: str
    name: str
    section: str
    scope: Scope
    answers: Mapping[int, Json]
    errors: tuple[int, ...]
    parameters: tuple[Json, ...] = ()
    body: Json | None = field(default=None)


def described(
    summary: str,
    *,
    scope: Scope,
    answers: Mapping[int, Json],
    errors: tuple[int, ...] = (),
    parameters: tuple[Json, ...] = (),
    cursor: Json | None = None,
    body: Json | None = None,
) -> Callable[[View], View]:
    """Describe a view; see the module's docstring."""
    if cursor is not None:
        parameters = (*parameters, *_paging(cursor))
        errors = (400, *errors)
        answers = {status: _with_link(found) for status, found in answers.items()}

    def note(view: View) -> View:
        _OPERATIONS[view] = Operation(
            summary=summary,
            description=inspect.cleandoc(view.__doc__ or ""),
            name=view.__name__,
            section=view.__module__.rpartition(".")[2].capitalize(),
            scope=scope,
            answers=answers,
            errors=tuple(sorted({*ERRORS_OF_ALL, *errors})),
            parameters=parameters,
            body=body,
        )
        return view

    return note


def operation_of(view: Callable[..., Any] | None) -> Operation | None:
    """Return what is said of a view; None of one without an entry."""
    return _OPERATIONS.get(view) if view else None


def component(name: str, schema: Json, example: object = None) -> str:
    """Put a schema among the components of the document and return its name.

    Raises:
        ValueError: there is another of this name.
    """
    if name in COMPONENTS:
        raise ValueError(f"there is a schema {name} already")
    COMPONENTS[name] = schema if example is None else {**schema, "examples": [example]}
    return name


def in_path(name: str, schema: Json, note: str) -> tuple[Json, ...]:
    """Return the parameter that stands in the address."""
    return (_parameter(name, "path", schema, note),)


def in_query(readers: Mapping[str, Reader], notes: Mapping[str, str]) -> tuple[Json, ...]:
    """Return the parameters that a table of readers reads, with what is to be said of them."""
    return tuple(
        _parameter(name, "query", schema_of(reader), notes.get(name))
        for name, reader in readers.items()
    )


def in_header(name: str, schema: Json, note: str) -> tuple[Json, ...]:
    """Return a header that the view reads."""
    return (_parameter(name, "header", schema, note),)


def answer(
    description: str,
    schema: Schema,
    example: object = None,
    *,
    media_type: str = JSON,
    headers: Mapping[str, Json] | None = None,
) -> Json:
    """Return an OpenAPI response with one kind of content."""
    content: Json = {"schema": schema}
    if example is not None:
        content["example"] = example
    found: Json = {"description": description, "content": {media_type: content}}
    return {**found, "headers": dict(headers)} if headers else found


def json_body(description: str, schema: Schema, examples: Mapping[str, object]) -> Json:
    """Return an OpenAPI request body of JSON; `examples` by what they show."""
    shown = {
        name.replace(" ", "-").lower(): {"summary": name, "value": value}
        for name, value in examples.items()
    }
    content = {JSON: {"schema": schema, "examples": shown}}
    return {"description": description, "required": True, "content": content}


def listed(item: Schema) -> Json:
    """Return the schema of one page of a list."""
    return {
        "type": "object",
        "required": ["items", "next_cursor"],
        "properties": {
            "items": {"type": "array", "items": item, "maxItems": MAX_LIMIT},
            "next_cursor": {
                "type": ["string", "null"],
                "description": (
                    "`cursor` of the next page; null on the last one. A page may be short, and"
                    " even empty, before that: where little fits, each looks a part of the way."
                ),
            },
        },
    }


def _parameter(name: str, where: str, schema: Json, note: str | None) -> Json:
    found: Json = {"name": name, "in": where, "required": where == "path", "schema": schema}
    return {**found, "description": note} if note else found


def _paging(cursor: Json) -> tuple[Json, ...]:
    limit = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
    where = "Where the page begins: `next_cursor` of the page before, as it was given."
    return (
        _parameter("limit", "query", limit, "How many items a page has at most."),
        _parameter("cursor", "query", {"type": "string", **cursor}, where),
    )


def _with_link(found: Json) -> Json:
    link = {
        "description": 'The address of the next page, `rel="next"`; absent on the last one. It'
        " repeats the query it was asked with.",
        "schema": {"type": "string"},
    }
    return {**found, "headers": {**found.get("headers", {}), "Link": link}}
