package mcp

var slotTools []tool
