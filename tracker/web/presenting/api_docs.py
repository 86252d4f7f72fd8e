"""The OpenAPI document as a page shows it: one table a schema, one example a call."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup, escape

Json = Mapping[str, Any]

_MARKS: Final = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*")
_KINDS: Final = {"string": "text", "integer": "whole number", "null": "null"}


@dataclass(frozen=True, slots=True)
class Row:
    """One parameter or field."""

    name: str
    kind: str
    link: str | None
    is_required: bool
    where: str
    note: Markup


@dataclass(frozen=True, slots=True)
class Answer:
    """One status an operation answers with."""

    status: str
    note: Markup
    link: str | None
    is_error: bool
    example: str | None


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address."""

    anchor: str
    method: str
    path: str
    title: str
    paragraphs: tuple[Markup, ...]
    scope: str
    parameters: tuple[Row, ...]
    body: str | None  # the name of its schema
    body_link: str | None
    call: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """The operations of one subject."""

    title: str
    anchor: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Object:
    """One schema."""

    name: str
    anchor: str
    note: Markup
    rows: tuple[Row, ...]
    example: str | None


@dataclass(frozen=True, slots=True)
class Docs:
    """The whole page."""

    title: str
    paragraphs: tuple[Markup, ...]
    sections: tuple[Section, ...]
    objects: tuple[Object, ...]


def docs_view(document: Json, server: str) -> Docs:
    """Return what the page shows of a document; `server` is for the example calls."""
    found = tuple(_operations(document, server))
    sections = tuple(
        Section(
            tag["name"],
            _anchor("section", tag["name"]),
            tuple(operation for name, operation in found if name == tag["name"]),
        )
        for tag in document["tags"]
    )
    schemas = document["components"]["schemas"]
    return Docs(
        document["info"]["title"],
        _paragraphs(document["info"]["description"]),
        sections,
        tuple(_object(name, schema) for name, schema in schemas.items()),
    )


def prose(text: str) -> Markup:
    """Return text of the document with its two kinds of marks, all else escaped."""
    parts: list[Markup] = []
    position = 0
    for mark in _MARKS.finditer(text):
        parts.append(escape(text[position : mark.start()]))
        tag = Markup("<code>{}</code>") if mark[1] else Markup("<strong>{}</strong>")
        parts.append(tag.format(mark[1] or mark[2]))
        position = mark.end()
    return Markup("").join([*parts, escape(text[position:])])


def _operations(document: Json, server: str) -> Iterator[tuple[str, Operation]]:
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            body = _schema_of(said.get("requestBody", {}))
            yield (
                said["tags"][0],
                Operation(
                    anchor=_anchor("operation", said["operationId"]),
                    method=method.upper(),
                    path=path,
                    title=said["summary"],
                    paragraphs=_paragraphs(said["description"].rpartition("\n\n")[0]),
                    scope=said["security"][0]["bearer"][0],
                    parameters=tuple(_parameter(one) for one in said.get("parameters", ())),
                    body=_kind(body) if body else None,
                    body_link=_link(body),
                    call=_call(server, method.upper(), path, said),
                    answers=tuple(
                        _answer(document, status, one) for status, one in said["responses"].items()
                    ),
                ),
            )


def _parameter(one: Json) -> Row:
    schema = one["schema"]
    return Row(
        one["name"],
        _kind(schema),
        _link(schema),
        one["required"],
        {"path": "address", "query": "query", "header": "header"}[one["in"]],
        prose(one.get("description", "")),
    )


def _answer(document: Json, status: str, one: Json) -> Answer:
    if "$ref" in one:
        one = document["components"]["responses"][one["$ref"].rpartition("/")[2]]
    schema = _schema_of(one)
    content = _content_of(one)
    shown = content.get("example")
    return Answer(
        status,
        prose(one["description"]),
        _link(schema),
        status >= "400",
        _pretty(shown) if shown is not None and status < "400" else None,
    )


def _object(name: str, schema: Json) -> Object:
    rows = tuple(
        Row(
            field,
            _kind(said),
            _link(said),
            field in schema.get("required", ()),
            "",
            prose(said.get("description", "")),
        )
        for field, said in schema.get("properties", {}).items()
    )
    base = [_kind(part) for part in schema.get("allOf", ())]
    note = f"All of {', '.join(base)}, and:" if base else schema.get("description", "")
    examples = schema.get("examples") or [None]
    example = None if examples[0] is None else _pretty(examples[0])
    return Object(name, _anchor("object", name), prose(note), rows, example)


def _kind(schema: Json) -> str:
    """Say in words what a schema takes."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_kind(part) for part in schema["anyOf"])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return ", ".join("null" if word is None else str(word) for word in schema["enum"])
    kinds = schema.get("type", "anything")
    names = [str(_KINDS.get(kind, kind)) for kind in _several(kinds)]
    if schema.get("format") in ("date-time", "uuid"):
        names[0] = {"date-time": "time", "uuid": "UUID"}[schema["format"]]
    if "items" in schema:
        names[0] = f"list of {_kind(schema['items'])}"
    return ", ".join([" or ".join(names), *_bounds(schema)])


def _bounds(schema: Json) -> Iterator[str]:
    if "maxLength" in schema:
        yield f"at most {schema['maxLength']} characters"
    if "minimum" in schema and "maximum" in schema and schema["maximum"] < 10**6:
        yield f"{schema['minimum']} to {schema['maximum']}"
    if "default" in schema:
        yield f"{schema['default']} when absent"


def _link(schema: Json) -> str | None:
    for part in (schema, schema.get("items", {}), *schema.get("anyOf", ())):
        if "$ref" in part:
            return "#" + _anchor("object", part["$ref"].rpartition("/")[2])
    inside = schema.get("properties", {}).get("items")
    return _link(inside) if inside else None


def _schema_of(said: Json) -> Json:
    schema: Json = _content_of(said).get("schema", {})
    return schema


def _content_of(said: Json) -> Json:
    """Return the first kind of content that an answer or a body has."""
    kinds: Json = said.get("content", {})
    content: Json = next(iter(kinds.values()), {})
    return content


def _call(server: str, method: str, path: str, said: Json) -> str:
    """Return the operation as a command line."""
    lines = [f"curl {shlex.quote(server + path)}"]
    if method not in ("GET", "POST") or (method == "POST" and "requestBody" not in said):
        lines[0] = lines[0].replace("curl", f"curl -X {method}", 1)
    lines.append('-H "Authorization: Bearer $TOKEN"')
    for media_type, content in said.get("requestBody", {}).get("content", {}).items():
        examples = [one["value"] for one in content.get("examples", {}).values()]
        shown = content.get("example", examples[0] if examples else "...")
        text = shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)
        lines += [f'-H "Content-Type: {media_type}"', f"--data-binary {shlex.quote(text)}"]
    return " \\\n  ".join(lines)


def _several(kinds: str | list[str]) -> list[str]:
    return kinds if isinstance(kinds, list) else [kinds]


def _pretty(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def _paragraphs(text: str) -> tuple[Markup, ...]:
    return tuple(prose(part.replace("\n", " ").strip()) for part in text.split("\n\n") if part)


def _anchor(kind: str, name: str) -> str:
    return f"{kind}-{re.sub(r'[^a-z0-9]+', '-', name.lower())}"
