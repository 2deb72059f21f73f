"""Text into values: lenient about form, strict about meaning.

Clients send the same thing as JSON, as a form, in the query, as `True`, `60000.0` or `"5"`. All of it
is read; what cannot be what it must be is refused by name. Numbers become exact Decimals, never floats.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from ringfence.exchange.gateway.errors import Refused, invalid
from ringfence.units.limits import JSON_INTEGER_MAX
from ringfence.units.time import iso, parse_iso

Parameters = dict[str, Any]
_DIGITS_MAX = 20
_MS_MAX = 253_402_300_799_999
"""The last millisecond of the year 9999."""
FIELDS_MAX = 200

_json = msgspec.json.Decoder(float_hook=Decimal)


def parse_json(text: bytes) -> Any:
    """Return the JSON value with exact numbers. Raises Refused."""
    try:
        return _json.decode(text)
    except msgspec.MsgspecError as error:
        raise Refused(400, f"The body is not valid JSON: {error}") from error
    except RecursionError as error:
        raise Refused(400, "The body is not valid JSON: it is nested too deeply") from error
    except (InvalidOperation, ValueError) as error:
        raise Refused(400, f"The body is not valid JSON: {error}") from error


def parse_form(text: str) -> Parameters:
    """Return the fields of a query or form. Raises Refused."""
    if not text:
        return {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
    except ValueError as error:
        raise Refused(400, f"The form or query cannot be read: {error}") from error
    return dict(pairs)


def parse_body(body: bytes, content_type: str) -> Parameters:
    """Return the parameters of a request body, whatever form it has. Raises Refused."""
    if not body:
        return {}
    if "json" in content_type or (not content_type and body[:1] in b"{["):
        value = parse_json(body)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise Refused(400, "The body must be a JSON object")
        return value
    try:
        return parse_form(body.decode())
    except UnicodeDecodeError as error:
        raise Refused(400, "The form is not valid UTF-8") from error


# ---- one parameter. `None` and the empty string mean: not given.


def given(parameters: Mapping[str, Any], name: str) -> Any:
    value = parameters.get(name)
    return None if value == "" else value


def text(parameters: Mapping[str, Any], name: str, *, length_max: int = 255) -> str | None:
    value = parameters.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) and isinstance(value, int | Decimal) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or len(value) > length_max or not _is_clean(value):
        raise invalid(f"{name} is invalid: text of at most {length_max} characters is expected")
    return value


def _is_clean(value: str) -> bool:
    """No control characters but line ends, and nothing that UTF-8 cannot carry."""
    return value.isprintable() or value.replace("\n", "").isprintable()


def required_text(parameters: Mapping[str, Any], name: str) -> str:
    value = text(parameters, name)
    if value is None:
        raise invalid(f"{name} is required")
    return value


def number(parameters: Mapping[str, Any], name: str) -> Decimal | int | None:
    """Return an exact number of at most 20 digits before and after the point. Raises Refused."""
    value = parameters.get(name)
    if type(value) is int or value is None:
        return value
    if isinstance(value, str):
        if not value:
            return None
        try:
            value = Decimal(value)
        except InvalidOperation:
            raise invalid(f"Invalid {name}") from None
    if not isinstance(value, Decimal) or not value.is_finite():
        raise invalid(f"Invalid {name}")
    written = str(value)
    if (len(written) > _DIGITS_MAX or "E" in written) and not _has_few_digits(value):
        raise invalid(f"Invalid {name}")
    return value


def _has_few_digits(value: Decimal) -> bool:
    exponent = int(value.as_tuple().exponent)
    return not value or (abs(value.adjusted()) <= _DIGITS_MAX and -_DIGITS_MAX <= exponent <= _DIGITS_MAX)


def integer(
    parameters: Mapping[str, Any], name: str, *, low: int = -JSON_INTEGER_MAX, high: int = JSON_INTEGER_MAX
) -> int | None:
    """Return a whole number within bounds; 60000.0 is one. Raises Refused."""
    value = number(parameters, name)
    if value is None:
        return None
    if value != int(value) or not low <= value <= high:
        raise invalid(f"Invalid {name}")
    return int(value)


def boolean(parameters: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = given(parameters, name)
    if value is None:
        return default
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false", "1", "0"):
        return value.lower() in ("true", "1")
    if value in (0, 1):
        return bool(value)
    raise invalid(f"{name} is invalid: true or false is expected")


def json_value(parameters: Mapping[str, Any], name: str) -> Any:
    """Return a value that is JSON, or text that holds JSON. Raises Refused."""
    value = given(parameters, name)
    if not isinstance(value, str):
        return value
    stripped = value.strip()
    if not stripped or stripped[0] not in '[{"':
        return value
    try:
        return _json.decode(stripped.encode())
    except (msgspec.MsgspecError, RecursionError, ValueError, InvalidOperation) as error:
        raise invalid(f"{name} is not valid JSON: {error}") from error


def texts(parameters: Mapping[str, Any], name: str, *, count_max: int = 500) -> list[str]:
    """Return one or many texts: a JSON array, a comma list, or one value."""
    value = json_value(parameters, name)
    if value is None:
        return []
    items = value if isinstance(value, list) else str(value).split(",")
    if len(items) > count_max or not all(isinstance(item, str) and item for item in items):
        raise invalid(f"{name} is invalid: at most {count_max} texts are expected")
    return [item.strip() for item in items]


def timestamp(parameters: Mapping[str, Any], name: str) -> str | None:
    """Return a time as the wire's ISO text; milliseconds since 1970 are understood too. Raises Refused."""
    value = given(parameters, name)
    if value is None:
        return None
    try:
        if isinstance(value, int) or (isinstance(value, str) and value.isdigit() and len(value) > 8):
            milliseconds = int(value)
            if not 0 <= milliseconds <= _MS_MAX:
                raise ValueError
            return iso(milliseconds * 1_000_000)
        if isinstance(value, Decimal):
            return iso(int(value) * 1_000_000)
        return iso(parse_iso(str(value).replace(" ", "+")))
    except (ValueError, OverflowError):
        raise invalid(f"{name} is invalid: an ISO-8601 time is expected") from None


assert datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC).timestamp() * 1000 == _MS_MAX
