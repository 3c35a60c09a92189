package mcp

var guardTools []tool
