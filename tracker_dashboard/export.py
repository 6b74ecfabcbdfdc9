"""Files to download: CSV and Excel workbooks of tables, pictures of charts."""

from __future__ import annotations

import io
from typing import Any

from pandas import DataFrame

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""Spreadsheet programs take a cell that starts like this for a formula."""

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def as_csv(table: DataFrame) -> bytes:
    """Return a table as CSV in UTF-8; an apostrophe keeps texts from being taken for formulas."""
    texts = table.select_dtypes(include=["object", "string"]).columns
    safe = table.assign(**{str(name): table[name].map(_escape_formula) for name in texts})
    return str(safe.to_csv(index=False)).encode()


def _escape_formula(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value


def as_xlsx(table: DataFrame, sheet: str) -> bytes:
    """Return a table as an Excel workbook, in which no text becomes a formula."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    workbook = Workbook(write_only=True)
    worksheet = workbook.create_sheet(sheet)
    worksheet.append(list(table.columns))
    for row in table.astype(object).where(table.notna(), None).itertuples(index=False):
        cells = []
        for value in row:
            if hasattr(value, "tzinfo") and value.tzinfo is not None:
                value = value.astimezone(None).replace(tzinfo=None)
            if isinstance(value, str):
                text = WriteOnlyCell(worksheet, ILLEGAL_CHARACTERS_RE.sub("", value)[:32767])
                text.data_type = "s"
                cells.append(text)
            else:
                cells.append(value)
        worksheet.append(cells)
    content = io.BytesIO()
    workbook.save(content)
    return content.getvalue()


def as_svg(spec: dict[str, Any]) -> bytes:
    """Return a chart as SVG."""
    import vl_convert

    return vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]).encode()


def as_png(spec: dict[str, Any]) -> bytes:
    """Return a chart as PNG, at twice its size."""
    import vl_convert

    return bytes(vl_convert.vegalite_to_png(spec, scale=2, allowed_base_urls=[]))
