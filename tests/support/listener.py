"""An HTTP server in place of Slack or Sentry."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass
class Listener:
    """A server that accepts every POST.

    Attributes:
        address: Its host and port.
        status: The status of its responses.
        bodies: The request bodies.
    """

    address: str = ""
    status: int = 200
    bodies: list[bytes] = field(default_factory=list)

    @property
    def slack_texts(self) -> list[str]:
        """The texts of Slack messages."""
        return [json.loads(body)["text"] for body in self.bodies]


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Run a server in place of Slack or Sentry."""
    listener = Listener()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            zipped = self.headers.get("Content-Encoding") == "gzip"
            listener.bodies.append(gzip.decompress(body) if zipped else body)
            self.send_response(listener.status)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        listener.address = f"127.0.0.1:{server.server_port}"
        yield listener
        server.shutdown()
