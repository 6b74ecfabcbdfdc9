"""Limits for archives and their contents, which are untrusted input."""

from __future__ import annotations

MAX_BYTES = 64 * 2**30
"""The unpacked size of a ZIP; a larger one is refused."""

MAX_RATIO = 200
"""The unpacked size of a ZIP, relative to its own; text usually compresses to a tenth."""

RATIO_EXEMPT_BYTES = 50 * 2**20
"""The unpacked size below which the ratio does not matter, because it does no harm."""

MAX_BYTES_OF_A_DIRECTORY = 64 * 2**20
"""The size of a ZIP's directory, which is read at once; enough for half a million files."""

MAX_BYTES_OF_AN_INNER_ZIP = 4 * 2**30
"""The size of a ZIP inside another ZIP, which has to be unpacked."""

MAX_ZIP_NESTING = 3
"""How deep ZIPs may be nested."""

MAX_CHARACTERS_IN_A_ROW = 16 * 2**20
"""The size of a CSV row; a longer one means a quote that was never closed."""

MAX_COLUMNS = 16_384
"""The number of columns in a spreadsheet; the widest known export has 118."""

MAX_ROWS_OF_A_SHEET = 1_048_576
"""The number of rows in a spreadsheet."""

MAX_BYTES_OF_A_WORKBOOK = 1 * 2**30
"""The unpacked size of a workbook, whose texts are kept in memory."""

MAX_OTHER_COLUMNS = 100
"""The number of columns beyond Tracker's own that are loaded."""

MAX_CACHE_ENTRIES = 100_000
"""The number of entries in a cache of parsed values."""

MAX_BYTES_OF_A_RECORD = 64 * 2**20
"""The size of a JSON or YAML record; a longer one is rejected."""

MAX_LEVELS = 100
"""How deep lists and objects may be nested; Tracker's own records are seven levels deep."""

MAX_BYTES_OF_AN_ATTACHMENT = 2**30
"""The size of an attachment in a database; Tracker accepted files of up to 100 MB."""

MIN_BYTES_OF_A_ROW = 12
"""The size of a database row; a file that yields more rows than fit into it is hostile."""

MAX_STEPS_PER_BYTE = 50
"""The number of SQLite steps to read a database, relative to its size; more are hostile."""

BASE_STEPS = 10_000_000
"""The number of SQLite steps allowed for any database; they take less than a second."""
