"""The MCP server: agents list, check, plan, start, follow, stop and compare runs."""
