"""Detect the encoding of a text file from all of its bytes.

UTF-8 and UTF-16 can be recognized with certainty. Spreadsheets in Western Europe and America also
save Windows-1252, Mac Roman or the code page of MS-DOS, which no single byte distinguishes:
`_score` counts in which of them the letters make sense. charset-normalizer distinguishes the
encodings of other scripts.
"""

# ruff: noqa: RUF001 - texts of many languages

from __future__ import annotations

import codecs
import re
from typing import BinaryIO

from charset_normalizer import from_bytes

_CHUNK = 1 << 20
_MAX_SAMPLE = 1 << 18
"""The number of bytes, from lines that are not ASCII, that are examined."""

_UTF_16 = {(False, True, False, True): "utf-16-le", (True, False, True, False): "utf-16-be"}
_WESTERN = "äöüßÄÖÜéèêëàâçñáíóúãõåøæœîïôûùìòÉÈÊÀÇÑÁÍÓÚÅØÆŒÂÎÔ"
_LATIN = {
    "cp1252": _WESTERN,
    "mac_roman": _WESTERN,
    "cp850": _WESTERN,
    "cp1250": "äöüßáéíóúýçąćęłńśźżĄĆĘŁŃŚŹŻčďěňřšťůžČĎĚŇŘŠŤŮŽőűŐŰÁÉÖÜăâîșțşţ",
    "cp1254": "çğışöüÇĞİŞÖÜâî",
}
"""Encodings of Latin script with their common letters; if two score the same, the first wins."""

_OTHER_SCRIPTS = ["cp932", "euc_jp", "gb18030", "big5", "cp949", "cp1251", "koi8_r", "cp1253"]
_OPENING = re.compile(r"(?<![^\W\d_])[“„‘«¿¡](?=\w)")
_CLOSING = re.compile(r"(?<=[\w.,!?])[”’»“‘…](?![^\W\d_])|(?<=[^\W\d_])’(?=[^\W\d_])|…(?!\w)")
_DASH = re.compile(r"(?<![^\W\d_])[–—](?![^\W\d_])")
_SIGN = re.compile(r"(?<![^\W\d_])[€£§°•©®™·×²½](?![^\W_])|(?<=\d)[€°²½]|[€£](?=\d)")
_CAPITALS = "".join(c for c in map(chr, range(0x80, 0x180)) if c.isupper())
_MISPLACED_CAPITAL = re.compile(
    f"(?<=[^\\W\\d_{_CAPITALS}A-Z])[{_CAPITALS}]|(?<=[A-Z{_CAPITALS}])[{_CAPITALS}](?=[a-z])"
)
"""A capital letter after a small one, or between a capital and a small one."""

_BESIDE_LETTERS = re.compile(r"(?<=[A-Za-z])[^\x00-\x7f]|[^\x00-\x7f](?=[A-Za-z])")
_HALF_WIDTH_KANA = re.compile("[\uff61-\uff9f]")
_RUN = re.compile(rb"[\x80-\xff]+")
_MIN_RUN = 4
# with two bytes only Latin, Greek and Cyrillic letters: others are more likely two Mac Roman ones
_MULTIBYTE = re.compile(
    rb"[\xc2-\xc5\xcd-\xd1][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)


def encoding_of(stream: BinaryIO) -> str:
    """Detect the encoding of a text.

    Args:
        stream: The text; it is read to its end.

    Returns:
        The name of a codec; `utf-8-sig` also if a few bytes are not valid UTF-8.
    """
    head = stream.read(_CHUNK)
    marked = encoding_by_mark(head)
    if marked:
        return marked
    decoder = codecs.getincrementaldecoder("utf-8")()
    is_utf_8, sample = True, b""
    chunk = head
    while chunk:
        if not chunk.isascii():
            is_utf_8 = is_utf_8 and _decodes(decoder, chunk)
            if len(sample) < _MAX_SAMPLE:
                sample += b"\n".join(line for line in chunk.split(b"\n") if not line.isascii())
        elif is_utf_8:
            is_utf_8 = _decodes(decoder, chunk)
        chunk = stream.read(_CHUNK)
    return "utf-8-sig" if is_utf_8 else _of_sample(sample[:_MAX_SAMPLE])


def encoding_by_mark(head: bytes) -> str:
    """Recognize UTF-16 or UTF-8 by a byte order mark or zero bytes; return empty if neither."""
    if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    zeros = tuple(byte == 0 for byte in head[:4])
    return _UTF_16.get(zeros, "") if len(zeros) == 4 else ""


def _decodes(decoder: codecs.IncrementalDecoder, chunk: bytes) -> bool:
    try:
        decoder.decode(chunk)
    except UnicodeDecodeError:
        return False
    return True


def _of_sample(sample: bytes) -> str:
    """Detect the encoding of lines that are not all UTF-8."""
    rest, in_utf_8 = _MULTIBYTE.subn(b"", sample)
    if in_utf_8 and in_utf_8 >= len(re.findall(rb"[\x80-\xff]", rest)):
        return "utf-8-sig"
    if _is_shift_jis(sample):
        return "cp932"
    if _is_of_other_script(sample):
        for match in from_bytes(sample, cp_isolation=_OTHER_SCRIPTS):
            if not _HALF_WIDTH_KANA.search(str(match)):
                return match.encoding
    return max(_LATIN, key=lambda name: _score(sample, name))


def _is_of_other_script(sample: bytes) -> bool:
    """Check whether most non-ASCII bytes are next to each other, unlike accented letters."""
    runs = [len(run) for run in _RUN.findall(sample)]
    return 2 * sum(run for run in runs if run >= _MIN_RUN) > sum(runs)


def _is_shift_jis(sample: bytes) -> bool:
    """Check whether the lines are Shift-JIS, where kanji and kana are not among Latin letters.

    Texts in other encodings may also decode as Shift-JIS, but with kanji among Latin letters.
    """
    try:
        text = sample.decode("cp932")
    except UnicodeDecodeError:
        return False
    if _HALF_WIDTH_KANA.search(text):
        return False
    return 4 * len(_BESIDE_LETTERS.findall(text)) < sum(not c.isascii() for c in text)


def _score(sample: bytes, encoding: str) -> int:
    """Rate how plausible the non-ASCII characters are if decoded with an encoding."""
    text = sample.decode(encoding, "replace")
    letters = _LATIN[encoding]
    known = sum(text.count(letter) for letter in letters)
    known += sum(len(rule.findall(text)) for rule in (_OPENING, _CLOSING, _DASH, _SIGN))
    strange = sum(not c.isascii() and c != "\xa0" for c in text) - known
    return known - strange - 2 * len(_MISPLACED_CAPITAL.findall(text))
