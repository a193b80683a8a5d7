"""/docs: the API's description as a page that loads nothing from outside, and as OpenAPI 3.1 JSON."""

import re
from typing import Any

import msgspec
from litestar import Request, get
from litestar.response.base import ASGIResponse
from litestar.types import Scope
from markupsafe import Markup, escape

from groundplan.app.page import Page
from groundplan.backend.scope import context_if_any
from groundplan.backend.web.render import Renderer


def docs_routes(renderer: Renderer) -> list[Any]:
    @get("/docs/openapi.json", include_in_schema=False)
    async def openapi_json(request: Request[Any, Any, Any]) -> ASGIResponse:
        schema = request.app.openapi_schema.to_schema()
        return ASGIResponse(body=msgspec.json.encode(schema), media_type="application/vnd.oai.openapi+json")

    @get("/docs", include_in_schema=False)
    async def docs(request: Request[Any, Any, Any], scope: Scope) -> ASGIResponse:
        schema = request.app.openapi_schema.to_schema()
        page = Page(
            "docs/docs.html",
            info=schema["info"],
            groups=_groups(schema),
            schemas=_schemas(schema),
            type_words=type_words,
            prose=prose,
        )
        return ASGIResponse(body=renderer(page, context_if_any(scope), scope), media_type="text/html")

    return [docs, openapi_json]


def _groups(schema: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Operations by feature, each with its method and path."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, operations in sorted(schema["paths"].items()):
        for method, operation in operations.items():
            if isinstance(operation, dict) and "responses" in operation:
                group = (operation.get("tags") or ["other"])[0]
                groups.setdefault(group, []).append(_OPERATION | operation | {"path": path, "method": method.upper()})
    return groups


def _schemas(schema: dict[str, Any]) -> dict[str, Any]:
    found = schema.get("components", {}).get("schemas", {})
    return {name: _SCHEMA | found[name] for name in sorted(found)}


def prose(text: str) -> Markup:
    """A docstring as HTML: what stands between backticks is code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))


def type_words(schema: dict[str, Any]) -> str:
    """A JSON schema in a few words: ``list of Product``, ``text, at most 100 characters``."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for combined in ("oneOf", "anyOf"):
        if combined in schema:
            return " or ".join(dict.fromkeys(type_words(part) for part in schema[combined]))
    kind = schema.get("type")
    if isinstance(kind, list):
        return " or ".join(str(part) for part in kind)
    if kind == "array":
        return f"list of {type_words(schema.get('items', {}))}"
    words = [_WORDS.get(str(schema.get("format")), _WORDS.get(str(kind), str(kind or "any value")))]
    words += [text.format(schema[key]) for key, text in _LIMITS.items() if key in schema]
    if "enum" in schema:
        words = [" or ".join(str(value) for value in schema["enum"])]
    return ", ".join(words)


_OPERATION: dict[str, Any] = {"parameters": [], "requestBody": None, "description": "", "summary": ""}
_SCHEMA: dict[str, Any] = {"properties": {}, "required": [], "title": ""}
_CODE = re.compile(r"`+([^`]+)`+")
_WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "object",
    "null": "null",
    "uuid": "UUID",
    "date-time": "date and time",
    "date": "date",
}
_LIMITS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minimum": "{} or more",
    "maximum": "{} or less",
    "maxItems": "at most {} items",
    "pattern": "matching {}",
}
