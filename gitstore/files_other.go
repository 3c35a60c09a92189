//go:build !unix

package gitstore

func likeBefore(string, string) {}
