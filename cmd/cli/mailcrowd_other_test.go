//go:build unix && !linux

package cli_test

const inNamespaces = "AGENTMAIL_NAMESPACES"

func (c *crowdClone) host(int) string { panic("no namespaces here") }
