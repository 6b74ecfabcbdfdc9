"""How large an archive, and what is in it, may be: archives come from anyone."""

from __future__ import annotations

MAX_BYTES = 64 * 2**30
"""A ZIP that holds more than this when unpacked is refused."""

MAX_RATIO = 200
"""So is one that unpacks to more than this many times its size: text packs to a tenth or so."""

RATIO_EXEMPT_BYTES = 50 * 2**20
"""Below this, the ratio does not matter: what is small does no harm."""

MAX_BYTES_OF_A_DIRECTORY = 64 * 2**20
"""Of a ZIP: the list of what is in it, read whole; this is half a million files or more."""

MAX_BYTES_OF_AN_INNER_ZIP = 4 * 2**30
"""Of a ZIP that lies in another one, and has to be unpacked."""

MAX_ARCHIVES_IN_EACH_OTHER = 3
"""So deep may ZIPs lie in each other."""

MAX_CHARACTERS_IN_A_ROW = 16 * 2**20
"""Of a CSV: a row, and so a cell, that goes on for longer is a quote that was never closed."""

MAX_COLUMNS = 16_384
"""As many as a spreadsheet has; the widest export known has 118."""

MAX_ROWS_OF_A_SHEET = 1_048_576
"""As many as a spreadsheet has."""

MAX_BYTES_OF_A_WORKBOOK = 1 * 2**30
"""Unpacked: its texts are held in memory."""

MAX_OTHER_COLUMNS = 100
"""So many columns that are not Tracker's are taken over."""

MAX_REMEMBERED = 100_000
"""So many parsed values are kept for when they come again."""

MAX_BYTES_OF_A_RECORD = 64 * 2**20
"""Of JSON or YAML: what goes on for longer without a record coming to its end is none."""

MAX_LEVELS = 100
"""How deep lists and objects may lie in each other; Tracker's own go seven deep."""

MAX_BYTES_OF_AN_ATTACHMENT = 2**30
"""Of one in a database; Tracker took files of up to 100 MB."""

MIN_BYTES_OF_A_ROW = 12
"""Of a database: if it gives more rows than have room in it, it was made to never end."""

MAX_STEPS_PER_BYTE = 50
"""So is one that takes SQLite more steps to read, for its size."""

STEPS_OF_ANY_DATABASE = 10_000_000
"""So many are allowed however small a database is: less than a second."""
