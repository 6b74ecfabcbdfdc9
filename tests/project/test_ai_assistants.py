"""The setup for AI assistants answers questions, and protects the data and the machine."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ..support.command import ROOT
from .conftest import Tool

PAGE = ROOT / "docs" / "ai_assistants.md"
CLIENT = Path(__file__).with_name("ask_mcp_server.py")


def configuration(database: Path) -> dict[str, Any]:
    """Return the documented configuration, for the installed server and a database."""
    found = re.search(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    server = json.loads(found[1])["mcpServers"]["pivotal_tracker"]
    package, *arguments = server["args"]
    assert (server["command"], package) == ("uvx", "mcp-server-motherduck>=1,<2")
    place = arguments.index("--db-path") + 1
    arguments[place] = str(database)
    environment = server["env"] | {"HOME": str(database.parent)}
    return {"command": "mcp-server-motherduck", "args": arguments, "env": environment}


@pytest.mark.integration
def test_mcp_client_gets_answers_and_cannot_write(
    docs_tool: Tool, sample_database: Path, tmp_path: Path
) -> None:
    database = Path(shutil.copy(sample_database, tmp_path / "copy.duckdb"))
    secret, written = tmp_path / "secret.txt", tmp_path / "written.csv"
    secret.write_text("secret")
    questions = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    attacks = [
        "DELETE FROM stories",
        "CREATE TABLE tracker.more AS SELECT 1",
        f"COPY stories TO '{written}'",
        f"FROM read_text('{secret}')",
        "SET enable_external_access = true",
        f"ATTACH '{tmp_path / 'other.duckdb'}' AS other",
        "INSTALL httpfs",
    ]
    done = docs_tool(
        "python", str(CLIENT), json.dumps(configuration(database)), *questions, *attacks
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert {"execute_query", "list_tables", "list_columns"} <= set(answers["tools"])
    assert "switch_database_connection" not in answers["tools"]
    assert "story_overview" in answers["tables"]

    assert len(questions) == 3
    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute("USE tracker")
        for question, text in zip(questions, answers["results"], strict=False):
            answer = json.loads(text)
            expected = connection.sql(question)
            assert answer["success"], answer
            assert answer["columns"] == expected.columns
            assert answer["rowCount"] == len(expected) > 0
        assert len(connection.table("stories")) == 660
    for attack, text in zip(attacks, answers["results"][len(questions) :], strict=True):
        assert '"success": false' in text, attack
    assert "secret" not in "".join(answers["results"][len(questions) + 3 :]).replace(
        str(secret), ""
    )
    assert not written.exists()
