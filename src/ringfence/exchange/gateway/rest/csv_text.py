"""Lists as CSV (RFC 4180), for `_format=csv`: for spreadsheets and tax advisers."""

import csv
import io
from typing import Any

import msgspec

CSV_TYPE = b"content-type: text/csv; charset=utf-8\r\n"
CSV_HEADERS = b'content-disposition: attachment; filename="ringfence.csv"\r\n'
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would carry out."""


def csv_of(rows: list[Any]) -> bytes:
    """Return rows as CSV: the first row names the columns, of all rows in the order that they come in."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(columns)
    writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    return file.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        # What somebody has named an order may look like a formula.
        return "'" + value if value.startswith(_FORMULA) else value
    return msgspec.json.encode(value).decode()
