package mcp

var searchTools []tool
