"""The venue's REST interface as an OpenAPI description, made of `endpoints.toml`."""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from backpack_sandbox.constants import CONTROL_PREFIX
from backpack_sandbox.rest import answers

OPENAPI_VERSION: Final = "3.1.0"
SIGNED_HEADERS: Final = {
    "X-API-Key": ("string", True),
    "X-Signature": ("string", True),
    "X-Timestamp": ("int64", True),
    "X-Window": ("uint64", False),
}
_ENDPOINTS_FILE: Final = Path(__file__).with_name("endpoints.toml")
_ERROR_STATUSES_FROM: Final = 400

type Json = dict[str, Any]


class OpenApiRest:
    """Serves the description."""

    def routes(self) -> list[web.RouteDef]:
        """The one endpoint; it is the sandbox's own."""
        return [web.get(f"{CONTROL_PREFIX}/openapi.json", self.openapi)]

    async def openapi(self, _request: web.Request) -> web.Response:
        """Every public and signed endpoint with its parameters, bodies and statuses."""
        return answers.json_answer(description())


@cache
def description() -> Json:
    """The whole OpenAPI document."""
    table = tomllib.loads(_ENDPOINTS_FILE.read_text())
    paths: dict[str, Json] = {}
    for row in [*table["public"], *table["signed"]]:
        method = row.get("method", "GET").lower()
        paths.setdefault(row["path"], {})[method] = _operation(row, table)
    return {
        "openapi": OPENAPI_VERSION,
        "info": {"title": "Backpack Exchange, as the sandbox serves it", "version": "1.0"},
        "paths": paths,
        "components": {
            "schemas": table["schemas"],
            "securitySchemes": {
                "signature": {"type": "apiKey", "in": "header", "name": "X-Signature"}
            },
        },
    }


def _operation(row: Mapping[str, Any], table: Mapping[str, Json]) -> Json:
    parameters = list(_query_parameters(row["params"], table["types"]))
    operation: Json = {"parameters": parameters, "responses": _responses(row["statuses"])}
    if instruction := row.get("instruction"):
        operation["description"] = f"Instruction: {instruction}"
        operation["security"] = [{"signature": []}]
        parameters.extend(_header_parameters())
    if body := row.get("body"):
        content = {"application/json": {"schema": _body_schema(body, table["schemas"])}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _query_parameters(text: str, types: Mapping[str, str]) -> Iterator[Json]:
    for part in filter(None, text.split(", ")):
        written, _, schema = part.partition("=")
        name = written.removesuffix("?")
        yield {
            "name": name,
            "in": "query",
            "required": not written.endswith("?"),
            "schema": _reference(schema or types.get(name, "string")),
        }


def _header_parameters() -> Iterator[Json]:
    for name, (schema, required) in SIGNED_HEADERS.items():
        yield {"name": name, "in": "header", "required": required, "schema": _reference(schema)}


def _body_schema(name: str, schemas: Json) -> Json:
    if name.startswith("array<"):
        return {"type": "array", "items": _reference(name[len("array<") : -1])}
    # the payloads of what the sandbox does not model have no schema of their own
    return _reference(name) if name in schemas else {"type": "object", "title": name}


def _responses(statuses: str) -> Json:
    return {
        status: {
            "description": HTTPStatus(int(status)).phrase,
            **({"content": _error_content()} if int(status) >= _ERROR_STATUSES_FROM else {}),
        }
        for status in statuses.split()
    }


def _error_content() -> Json:
    """Both formats: JSON of the application, text of the parser."""
    return {
        "application/json": {"schema": _reference("Error")},
        "text/plain": {"schema": _reference("string")},
    }


def _reference(schema: str) -> Json:
    return {"$ref": f"#/components/schemas/{schema}"}
