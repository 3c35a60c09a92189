package mcp

var productTools []tool
