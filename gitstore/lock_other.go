//go:build !unix

package gitstore

import "os"

// Without inherited kernel locks only the age of a ref's lock file tells that
// its owner is gone.
func (s *Store) moving() *os.File { return nil }

func (s *Store) claim(*os.File) bool { return false }

func note(*os.File, string, OID) {}
