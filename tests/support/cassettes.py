"""Playing recorded traffic back through the source, whatever host it was recorded from."""

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
    """A recorder that keeps no token, and finds an answer by what was asked."""
    return vcr.VCR(
        record_mode=record_mode,
        match_on=("method", "path", "query"),
        filter_headers=[("X-TrackerToken", "REDACTED")],
        decode_compressed_response=True,
    )


def bodies(cassette: Path, path: str) -> list[Any]:
    """The recorded bodies of a path, in the order they were recorded."""
    return [
        json.loads(interaction["response"]["body"]["string"])
        for interaction in _interactions(cassette.read_text())
        if urlsplit(interaction["request"]["uri"]).path == path
    ]


@functools.cache
def _interactions(text: str) -> list[Any]:
    """What a cassette holds; to read a text takes long, and each path is asked of the same one."""
    interactions: list[Any] = yaml.load(text, yaml.CSafeLoader)["interactions"]
    return interactions


def joined(cassette: Path, *parts: Path) -> Path:
    """One cassette that holds the traffic of several."""
    interactions: list[Any] = []
    for part in parts:
        interactions += _interactions(part.read_text())
    whole = {"interactions": interactions, "version": 1}
    cassette.write_text(yaml.dump(whole, Dumper=yaml.CSafeDumper))
    return cassette
