"""Lets dlt's BigQuery destination talk to an emulator.

Python runs this at its start where the folder is on PYTHONPATH. The emulator knows no credentials,
and fails on a file of no bytes.
"""

from __future__ import annotations

import os
from io import BytesIO
from typing import Any, BinaryIO

from dlt.common.configuration.specs import GcpServiceAccountCredentials
from google.auth.credentials import AnonymousCredentials
from google.cloud.bigquery import Client

_load_table_from_file = Client.load_table_from_file


def _anonymous(_: GcpServiceAccountCredentials) -> AnonymousCredentials:
    return AnonymousCredentials()


def _not_empty(self: Client, file: BinaryIO, *arguments: Any, **options: Any) -> Any:
    if not os.fstat(file.fileno()).st_size:
        file = BytesIO(b"\n")
    return _load_table_from_file(self, file, *arguments, **options)


GcpServiceAccountCredentials.to_native_credentials = _anonymous
Client.load_table_from_file = _not_empty
