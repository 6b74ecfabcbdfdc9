"""Start an MCP server over stdio, as a client does, and print its answers as JSON.

Runs in `.venv-docs`: `python ask_mcp_server.py CONFIGURATION QUERY …`. The configuration is that of
one server, as in the `mcpServers` of Claude Desktop.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def ask(configuration: dict[str, Any], queries: list[str]) -> dict[str, Any]:
    """Return the names of the tools, the text of `list_tables`, and the text for each query."""
    parameters = StdioServerParameters(**configuration)
    async with stdio_client(parameters) as streams, ClientSession(*streams) as session:
        await session.initialize()
        tools = [tool.name for tool in (await session.list_tools()).tools]
        tables = await session.call_tool("list_tables", {})
        results = [await session.call_tool("execute_query", {"sql": sql}) for sql in queries]
        texts = [result.content[0].text for result in (tables, *results)]
        return {"tools": tools, "tables": texts[0], "results": texts[1:]}


if __name__ == "__main__":
    answers = asyncio.run(ask(json.loads(sys.argv[1]), sys.argv[2:]))
    sys.stdout.write(json.dumps(answers))
