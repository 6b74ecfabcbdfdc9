"""Archives and responses with changed bytes end with rows and a report, or with one line.

`make fuzz` runs it for as long as you like, as `test_fuzz.py`.
"""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tracker_server import Request, TrackerServer
from tracker_server.faults import Fault
from tracker_server.messages import Response
from tracker_server.sample import generate_workspace

from ..support.command import ROOT, Command, new_command, serving
from ..support.exports import Row, as_csv, table
from ..support.forking import ForkServer, wait_for

MAX_SECONDS = 30
"""CPU time, because the machine may be busy with other work."""
MAX_KILOBYTES = 1_000_000
CASSETTE = Path(__file__).parents[1] / "support" / "cassettes" / "workspace.yaml"

SCRIPT = """
import json, resource
from pivotal_tracker.cli.main import main
code = main({options!r})
with open("used.json", "w") as file:
    used = resource.getrusage(resource.RUSAGE_SELF)
    json.dump([used.ru_utime + used.ru_stime, used.ru_maxrss], file)
sys.exit(code)
"""
_FRAGMENTS = (b'"', b"[", b"{", b"}", b",", b"\x00", b"\xff", b"\n", b"../", b"9" * 30, b"e999")


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Replace, delete, insert or repeat a few bytes."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 2, 5, 20))):
        place = rng.randrange(len(data) + 1)
        end = place + rng.choice((1, 1, 2, 10, 200))
        piece = rng.choice(
            (rng.randbytes(1), rng.choice(_FRAGMENTS), b"", bytes(data[place:end]) * 2)
        )
        data[place : rng.choice((place, end))] = piece
    return bytes(data)


@dataclass
class MutatedBody(Fault):
    """A response with changed bytes, the same for the same seed and path."""

    seed: int = 0

    def change_response(self, response: Response, request: Request) -> Response:
        rng = random.Random(f"{self.seed} {request.path}")
        return replace(response, body=mutated(response.body, rng))


def project_export() -> bytes:
    stories = [
        Row(n, f"Story {n}", labels="a, b", owners=["Ann", "Bob"], comments=["Done (Ann - Nov 16)"])
        for n in range(1, 20)
    ]
    return as_csv(table(stories)).encode()


def zipped(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def responses() -> bytes:
    workspace = generate_workspace(projects=1, stories=10, activity=10, seed=3)
    (project,) = workspace.projects.values()
    stories = [story | {"kind": "story"} for story in project.stories.values()]
    return json.dumps(stories, default=str).encode()


ARCHIVES: dict[str, tuple[str, Callable[[random.Random], bytes]]] = {
    "csv": ("my_project_20151117_1439.csv", lambda rng: mutated(project_export(), rng)),
    "zip": (
        "export.zip",
        lambda rng: mutated(zipped("my_project_20151117_1439.csv", project_export()), rng),
    ),
    "csv in zip": (
        "export.zip",
        lambda rng: zipped("my_project_20151117_1439.csv", mutated(project_export(), rng)),
    ),
    "json": ("stories.json", lambda rng: mutated(responses(), rng)),
    "cassette": ("recorded.yaml", lambda rng: mutated(CASSETTE.read_bytes(), rng)),
}


def run_and_check(fork_server: ForkServer, prepare: Callable[[Command], list[str]]) -> None:
    """Run the command in a new folder, and check how it ends and what it leaves."""
    parent = Path(tempfile.mkdtemp())
    try:
        command = new_command(fork_server, parent / "run")
        options = [*prepare(command), "--no-views", "--summary", "summary.json"]
        script = parent / "run" / "script.py"
        script.write_text(
            f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{SCRIPT.format(options=options)}"
        )
        run = fork_server.start([str(script)], command.folder, command.environment())
        result = wait_for(run, 20 * MAX_SECONDS)
        assert "Traceback" not in result.stderr, result.stderr
        seconds, kilobytes = json.loads((command.folder / "used.json").read_text())
        assert seconds < MAX_SECONDS
        assert kilobytes < MAX_KILOBYTES
        assert [path.name for path in parent.iterdir()] == ["run"]
        lines = [x for x in result.stderr.splitlines() if x.startswith("pivotal_tracker: ")]
        summary = json.loads((command.folder / "summary.json").read_text())
        assert result.returncode in (0, 1, 3), result.stderr
        if result.returncode == 1:
            assert len(lines) == 1, result.stderr
            assert summary["reason"]
            # the message of unexpected errors
            assert "--debug shows more" not in lines[0], lines[0]
        else:
            assert summary["tables"]
    finally:
        shutil.rmtree(parent)


_SETTINGS = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "2")),
    deadline=None,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
variants = {"archives": 0, "responses": 0}


def count_variant(kind: str) -> None:
    variants[kind] += 1
    sys.stdout.write(f"{kind}: {variants[kind]} variants\n")


@_SETTINGS
@given(kind=st.sampled_from(sorted(ARCHIVES)), seed=st.integers(0, 2**32))
def test_archives_with_changed_bytes_load_or_fail_with_one_line(
    fork_server: ForkServer, kind: str, seed: int
) -> None:
    name, make = ARCHIVES[kind]

    def prepare(command: Command) -> list[str]:
        (command.folder / name).write_bytes(make(random.Random(seed)))
        return ["--archive", name, "--attachments", "files"]

    run_and_check(fork_server, prepare)
    count_variant("archives")


@pytest.fixture(scope="module")
def small_server(
    fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TrackerServer]:
    workspace = generate_workspace(projects=2, stories=10, activity=20, seed=3)
    command = new_command(fork_server, tmp_path_factory.mktemp("served") / "run")
    with serving(workspace, command) as server:
        yield server


@_SETTINGS
@given(seed=st.integers(0, 2**32))
def test_responses_with_changed_bytes_load_or_fail_with_one_line(
    fork_server: ForkServer, small_server: TrackerServer, seed: int
) -> None:
    small_server.behaviour.faults = [MutatedBody(seed=seed)]

    def prepare(command: Command) -> list[str]:
        command.base_url = small_server.url
        command.api_token = small_server.workspace.me["api_token"]
        return []

    run_and_check(fork_server, prepare)
    count_variant("responses")
