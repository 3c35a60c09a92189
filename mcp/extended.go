package mcp

var extendedTools []tool
