package mcp

var fileTools []tool
