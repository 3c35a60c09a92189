//go:build !linux

package gitstore

import "os"

func allocate(*os.File, int) {}
