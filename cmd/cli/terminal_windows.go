package cli

import (
	"os"

	"golang.org/x/sys/windows"
)

// columns returns the width of the console that f is, 0 where it is unknown,
// or -1 if it is none.
func columns(f *os.File) int {
	h := windows.Handle(f.Fd())
	var mode uint32
	if windows.GetConsoleMode(h, &mode) != nil {
		return -1
	}
	var info windows.ConsoleScreenBufferInfo
	if windows.GetConsoleScreenBufferInfo(h, &info) != nil {
		return 0 // the input side
	}
	return int(info.Window.Right-info.Window.Left) + 1
}
