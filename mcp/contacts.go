package mcp

var contactTools []tool
