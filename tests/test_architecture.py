"""The import map of docs/architecture.md, held by a test that names the import that breaks it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tracker"

# What each part may import of ours. Imports point up this list.
MAP: dict[str, set[str]] = {
    "config": set(),
    "logs": set(),
    "protocol": set(),
    "domain": {"protocol"},
    "store": {"domain", "protocol"},
    "gateway": {"domain", "protocol"},
    "services": {"gateway", "store", "domain", "protocol"},
    "web": {"services", "store", "domain", "protocol", "config", "logs"},
    "sender": {"services", "gateway", "store"},
    "sandbox": {"protocol"},
}
MAP["cli"] = {*MAP, ""}

# What a part may not import at all. `protocol` and `domain` are pure.
IMPURE = {
    "flask", "sqlalchemy", "requests", "socket", "os", "time", "random", "subprocess",
    "logging", "pathlib", "threading", "uuid", "tempfile",
}  # fmt: skip
FORBIDDEN: dict[str, set[str]] = {
    "protocol": IMPURE,
    "domain": IMPURE | {"lxml"},
    "store": {"flask", "requests", "lxml"},
    "services": {"flask", "requests", "lxml"},
    "sandbox": {"sqlalchemy"},
    "gateway": {"flask", "sqlalchemy"},
}
# `domain` uses the types and codes of `protocol`, never its XML modules.
XML_MODULES = {"xml", "request", "response", "postback", "transport", "repair", "getform", "legacy"}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and absolute name of everything a module imports."""
    package = path.relative_to(PACKAGE.parent).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield node.lineno, module
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def part_of(path: Path) -> str:
    """Return the part a file belongs to, by the first name below the package."""
    first = path.relative_to(PACKAGE).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if part_of(path)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_up_the_map(path: Path) -> None:
    part = part_of(path)
    allowed = MAP[part] | {part}
    for line, name in imports(path):
        if not name.startswith("tracker."):
            continue
        target = name.split(".")[1]
        if (PACKAGE / target).is_dir() or (PACKAGE / f"{target}.py").exists():
            assert target in allowed, f"{path}:{line}: {part} may not import {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_pure_parts_stay_pure(path: Path) -> None:
    forbidden = FORBIDDEN.get(part_of(path), set())
    for line, name in imports(path):
        assert name.split(".")[0] not in forbidden, f"{path}:{line}: imports {name}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "domain").glob("*.py")), ids=lambda p: p.name)
def test_domain_never_touches_xml(path: Path) -> None:
    for line, name in imports(path):
        parts = name.split(".")
        if parts[:2] == ["tracker", "protocol"] and len(parts) > 2:
            assert parts[2] not in XML_MODULES, f"{path}:{line}: imports {name}"


def test_every_part_is_on_the_map() -> None:
    assert {part_of(path) for path in MODULES} <= set(MAP)


def test_the_document_shows_the_same_parts() -> None:
    document = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    for part in MAP:
        assert f"`{part}" in document or f"{part}/" in document or f"{part}.py" in document, part
