"""The pieces that the schemas of the API are put together from, as JSON Schema."""

from typing import Any, Final

Json = dict[str, Any]

# What XML cannot carry, as a class of a pattern. Source: XML 1.0, section 2.2.
ILLEGAL: Final = r"\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff"
LEGAL: Final = f"^[^{ILLEGAL}]*$"


def said(schema: Json, description: str) -> Json:
    """Return a schema with what is to be said of it."""
    return {**schema, "description": description}


def nullable(schema: Json) -> Json:
    """Return a schema that takes null too."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    enum = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [*kinds, "null"], **enum}


def closed(properties: Json, required: list[str] | None = None) -> Json:
    """Return an object that has these fields and no others."""
    found: Json = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**found, "required": required} if required else found


def answered(properties: Json) -> Json:
    """Return an object of an answer: it has all of these fields, and may have more one day."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def ref(name: str) -> Json:
    """Return a reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


NULL: Final[Json] = {"type": "null"}
TEXT: Final[Json] = {"type": "string"}
MAYBE: Final[Json] = nullable(TEXT)
TIME: Final[Json] = {"type": "string", "format": "date-time"}
MAYBE_TIME: Final[Json] = nullable(TIME)
WIRE: Final[Json] = {"type": "string", "pattern": "^[1-9][0-9]{6,14}$"}
COUNT: Final[Json] = {"type": "integer", "minimum": 0}
STRINGS: Final[Json] = {"type": "object", "additionalProperties": TEXT}
