"""Start the emulator of BigQuery in its environment, with half the CPU time.

`python start_emulator.py` has the arguments of `bqemulator`, and the responses are the same.
"""

from __future__ import annotations

import gc
import importlib
import runpy
from collections.abc import Callable
from typing import Any

from sqlglot.dialects.dialect import Dialect

_parse = Dialect.parse
_templates: dict[str, Any] = {}


def _parse_templates_once(self: Dialect, sql: str, **options: Any) -> Any:
    """Parse each template once: compiled sqlglot parses them again for each generator."""
    if type(self) is not Dialect or options:
        return _parse(self, sql, **options)
    if sql not in _templates:
        _templates[sql] = _parse(self, sql)
    return _templates[sql]


def _for_create_only(rewrite: Callable[[str], str]) -> Callable[[str], str]:
    """Limit a step, which parses every statement, to CREATE TABLE, the only one it changes."""
    return lambda statement: rewrite(statement) if "CREATE" in statement.upper() else statement


if __name__ == "__main__":
    Dialect.parse = _parse_templates_once  # type: ignore[method-assign]
    importlib.import_module("bqemulator.server")
    translator = importlib.import_module("bqemulator.sql.translator")
    step = "rewrite_create_table_schema_ctas"
    setattr(translator, step, _for_create_only(getattr(translator, step)))
    # every statement is parsed a dozen times, into short-lived trees
    gc.freeze()
    gc.set_threshold(200_000)
    runpy.run_module("bqemulator", run_name="__main__", alter_sys=True)
