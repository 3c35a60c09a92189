package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// uses returns how many files the server has open, and how much memory.
func (s *served) uses() (files, kB int) {
	s.t.Helper()
	proc := fmt.Sprintf("/proc/%d/", s.cmd.Process.Pid)
	open, err := os.ReadDir(proc + "fd")
	if err != nil {
		s.t.Fatal(err)
	}
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kB, _ = strconv.Atoi(strings.Fields(rest)[0])
		}
	}
	return len(open), kB
}
