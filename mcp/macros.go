package mcp

var macroTools []tool
