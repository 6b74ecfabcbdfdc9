"""No output of the command contains a secret, also when it fails."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivotal_tracker import redaction
from pivotal_tracker.redaction import REDACTED, add_connection_string, redact, redact_values
from tracker_server import TrackerServer
from tracker_server.faults import EchoToken, Redirect

from ..support.command import ROOT, Command
from ..support.listener import Listener, listener

__all__ = ["listener"]

POSTGRES = "DESTINATION__POSTGRES__CREDENTIALS"
ONE_TRY = {"LOAD__RAISE_ON_MAX_RETRIES": "1", "RUNTIME__REQUEST_MAX_ATTEMPTS": "1"}


def assert_not_leaked(secret: str, command: Command, *options: str, env: Mapping[str, str]) -> str:
    """Run the command, assert that its outputs and files lack a secret, and return its stderr."""
    result = command("--summary", "summary.json", *options, env={**ONE_TRY, **env})
    assert secret not in result.stdout
    assert secret not in result.stderr
    for path in command.folder.rglob("*"):
        if path.is_file() and path.name != "secrets.toml":
            assert secret.encode() not in path.read_bytes(), path
    return result.stderr


@pytest.mark.parametrize("options", [(), ("--debug",)])
@pytest.mark.parametrize(
    "credentials",
    [
        "postgres//loader:wordpass@127.0.0.1:1/db",
        "loader:wordpass@127.0.0.1:1/db",
        "postgresql://loader:wordpass@home@127.0.0.1:1/db",
        "postgresql://loader:pass@wordpass@127.0.0.1:1/db",
        "postgresql://loader:wordpass@127.0.0.1:none/db",
    ],
)
def test_database_password_is_not_shown(
    command: Command, server: TrackerServer, credentials: str, options: tuple[str, ...]
) -> None:
    line = ("--destination", "postgres", "--resource", "labels", *options)
    stderr = assert_not_leaked("wordpass", command, *line, env={POSTGRES: credentials})
    assert "pivotal_tracker: " in stderr


def test_password_in_secrets_toml_is_not_shown(command: Command, server: TrackerServer) -> None:
    (command.folder / ".dlt" / "secrets.toml").write_text(
        '[destination.postgres.credentials]\nhost = "127.0.0.1"\nport = "none"\n'
        'username = "loader"\ndatabase = "db"\npassword = "wordpass"\n'
    )
    line = ("--destination", "postgres", "--resource", "labels")
    assert_not_leaked("wordpass", command, *line, env={})


def test_password_is_not_shown_on_an_ascii_terminal(command: Command) -> None:
    """Where `click` prefers to write to a stream of its own."""
    password = "wordpass"
    env = {
        "DESTINATION__DUCKDB__CREDENTIALS": f"/proc/none/{password}.duckdb",
        "DESTINATION__POSTGRES__CREDENTIALS": f"postgresql://loader:{password}@127.0.0.1/db",
        "PYTHONIOENCODING": "ascii",
        "PYTHONPATH": str(ROOT),  # in a new interpreter, which reads the encoding
    }
    export = ROOT / "examples" / "tea_shop_20250425_1600.csv"
    assert "/proc/none/***.duckdb" in assert_not_leaked(password, command, str(export), env=env)


def test_token_echoed_by_the_server_is_not_shown(
    command: Command,
    server: TrackerServer,
    listener: Listener,
) -> None:
    """The server echoes it in errors of lists, and in the target of a redirect."""
    token = server.workspace.me["api_token"]
    env = {"RUNTIME__SLACK_INCOMING_HOOK": f"http://{listener.address}/services/hook-secret"}
    for fault in (
        EchoToken(endpoints={"labels"}),
        EchoToken(status=403, endpoints={"labels"}),
        EchoToken(endpoints={"projects"}),
        Redirect(f"http://{token}@127.0.0.1/{token}", endpoints={"projects"}),
    ):
        server.behaviour.faults = [fault]
        for options in ((), ("--debug",)):
            assert_not_leaked(token, command, "--resource", "labels", *options, env=env)
            reported = (command.folder / "summary.json").read_text() + "".join(listener.slack_texts)
            assert token not in reported
            assert "hook-secret" not in reported
    assert any(REDACTED in text for text in listener.slack_texts)


def test_sentry_key_is_not_in_the_trace(
    command: Command, server: TrackerServer, listener: Listener
) -> None:
    dsn = f"http://publickey0123@{listener.address}/1"
    env = {"RUNTIME__SENTRY_DSN": dsn}
    assert_not_leaked("publickey0123", command, "--resource", "labels", env=env)
    assert list(command.folder.rglob("trace.pickle"))


def test_sentry_gets_errors_without_secrets(
    command: Command, server: TrackerServer, listener: Listener
) -> None:
    env = {
        "RUNTIME__SENTRY_DSN": f"http://publickey0123@{listener.address}/1",
        POSTGRES: "postgresql://loader:pass@wordpass@127.0.0.1:1/db",
    }
    line = ("--destination", "postgres", "--resource", "labels")
    assert_not_leaked("wordpass", command, *line, env=env)
    (event,) = [body for body in listener.bodies if b'"exception"' in body]
    assert b"wordpass" not in event
    assert REDACTED.encode() in event


@pytest.fixture
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_secrets", set())


@pytest.mark.usefixtures("no_secrets")
def test_credentials_in_unknown_urls_are_redacted() -> None:
    for url in (
        "postgresql://u:pw@host/db",
        "https://u:p@w@host/x",
        "postgres//u:pw@host/db",
    ):
        assert redact(f"cannot reach {url}: refused") == (
            f"cannot reach {url.partition('//')[0]}//***@host/{url.rpartition('/')[2]}: refused"
        )
    untouched = "https://host:8080/a?b=c, user@example.org, postgresql://loader:@host/db"
    assert redact(untouched) == untouched


@pytest.mark.usefixtures("no_secrets")
@given(st.text(st.characters(codec="ascii", min_codepoint=33), min_size=6, max_size=20))
def test_any_password_is_redacted_in_texts_and_json(password: str) -> None:
    add_connection_string(f"postgresql://loader:{password}@host/db")
    text = f"password {password} for postgresql://loader:{password}@host/db"
    if password != "loader":
        assert password not in redact(text).replace(REDACTED, "")
        assert password not in str(redact_values({"a": [text, (password,)]})).replace(REDACTED, "")
    assert "word" in redact("word")


def test_redacted_summary_is_valid_json(
    command: Command, server: TrackerServer, tmp_path: Path
) -> None:
    server.behaviour.faults = [EchoToken(endpoints={"labels"})]
    command("--resource", "labels", "--summary", "summary.json", env=ONE_TRY)
    summary = json.loads((command.folder / "summary.json").read_text())
    assert REDACTED in summary["skipped"][0]["reason"]
