package mcp

var windowTools []tool
