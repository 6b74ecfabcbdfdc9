"""Record HTTP traffic, and replay it for any host."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import vcr
import yaml

CASSETTES = Path(__file__).parent / "cassettes"


def recorder(record_mode: str = "none") -> vcr.VCR:
    """Make a recorder that saves no token, and finds responses by method, path and query."""
    return vcr.VCR(
        record_mode=record_mode,
        match_on=("method", "path", "query"),
        filter_headers=[("X-TrackerToken", "REDACTED")],
        decode_compressed_response=True,
    )


def bodies(cassette: Path, path: str) -> list[Any]:
    """Return the recorded bodies of a path, in order."""
    return [
        json.loads(interaction["response"]["body"]["string"])
        for interaction in _interactions(cassette.read_text())
        if urlsplit(interaction["request"]["uri"]).path == path
    ]


@functools.cache
def _interactions(text: str) -> list[Any]:
    """Parse a cassette, once for all paths: it takes long."""
    interactions: list[Any] = yaml.load(text, yaml.CSafeLoader)["interactions"]
    return interactions


def join_cassettes(cassette: Path, *parts: Path) -> Path:
    """Write one cassette with the traffic of several."""
    interactions: list[Any] = []
    for part in parts:
        interactions += _interactions(part.read_text())
    content = {"interactions": interactions, "version": 1}
    cassette.write_text(yaml.dump(content, Dumper=yaml.CSafeDumper))
    return cassette
