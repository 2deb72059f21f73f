"""The swagger 2.0 document, made of the routes and of the tables' columns."""

from typing import Any

from ringfence.exchange.gateway.rest import ROUTES, Route
from ringfence.exchange.gateway.schema import VERSION
from ringfence.exchange.projections import TABLES, Table

_TYPES = {
    "symbol": {"type": "string"}, "string": {"type": "string"}, "guid": {"type": "string", "format": "guid"},
    "long": {"type": "number", "format": "int64"}, "float": {"type": "number", "format": "double"},
    "boolean": {"type": "boolean"}, "timestamp": {"type": "string", "format": "date-time"},
    "timespan": {"type": "string", "format": "date-time"},
}  # fmt: skip
_ERROR = {
    "type": "object", "required": ["error"],
    "properties": {"error": {"type": "object", "properties": {
        "message": {"type": "string"}, "name": {"type": "string"}}}},
}  # fmt: skip


def document(host: str, scheme: str) -> dict[str, Any]:
    """Return the document for clients that reach us as `scheme://host`."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES.values():
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "swagger": "2.0",
        "info": {
            "title": "Ringfence API", "version": VERSION,
            "description": "REST API of a Ringfence exchange, compatible with BitMEX's.",
        },
        "host": host, "basePath": "/api/v1", "schemes": [scheme],
        "consumes": ["application/json", "application/x-www-form-urlencoded"],
        "produces": ["application/json"],
        "securityDefinitions": {
            name: {"type": "apiKey", "name": f"api-{header}", "in": "header"}
            for name, header in (("apiKey", "key"), ("apiExpires", "expires"), ("apiSignature", "signature"))
        },
        "tags": [{"name": tag} for tag in sorted({route.operation.split(".")[0] for route in ROUTES.values()})],
        "paths": paths,
        "definitions": _definitions(),
    }  # fmt: skip


def _operation(route: Route) -> dict[str, Any]:
    where = "query" if route.method == "GET" else "formData"
    operation: dict[str, Any] = {
        "tags": [route.operation.split(".")[0]],
        "operationId": route.operation,
        "summary": route.summary,
        "parameters": [
            {
                "name": p.name, "in": where, "required": p.is_required, "description": p.description,
                **_type(p.type, p.format),
            }
            for p in route.parameters
        ],
        "responses": {
            "200": {"description": "Request was successful", "schema": _schema(route.returns)},
            **{
                str(status): {"description": text, "schema": {"$ref": "#/definitions/Error"}}
                for status, text in ((400, "Parameter error"), (401, "Unauthorized"), (403, "Access denied"),
                                     (404, "Not found"), (429, "Rate limited"), (503, "Overloaded"))
            },
        },
    }  # fmt: skip
    if route.needs_key:
        operation["security"] = [{"apiKey": [], "apiExpires": [], "apiSignature": []}]
    return operation


def _type(name: str, format_: str | None) -> dict[str, Any]:
    if name == "JSON":
        return {"type": "string", "format": "JSON"}
    if name == "number":
        return {"type": "number", "format": format_ or "double"}
    return {"type": name} if format_ is None else {"type": name, "format": format_}


def _schema(returns: str) -> dict[str, Any]:
    if returns == "object":
        return {"type": "object"}
    if returns.endswith("[]"):
        return {"type": "array", "items": {"$ref": f"#/definitions/{returns[:-2]}"}}
    return {"$ref": f"#/definitions/{returns}"}


def _definitions() -> dict[str, Any]:
    definitions: dict[str, Any] = {"Error": _ERROR}
    for table in TABLES.values():
        definitions[table.model] = _model(table)
    for route in ROUTES.values():
        name = route.returns.removesuffix("[]")
        if name != "object":
            definitions.setdefault(name, {"type": "object"})
    return definitions


def _model(table: Table) -> dict[str, Any]:
    properties = {}
    for column in table.columns:
        kind = {} if column.name in ("bids", "asks") else _TYPES[column.type]
        properties[column.name] = dict(kind) if column.name in table.keys else {**kind, "x-nullable": True}
    model: dict[str, Any] = {"type": "object", "properties": properties}
    # The standard forbids an empty list.
    return {**model, "required": list(table.keys)} if table.keys else model
