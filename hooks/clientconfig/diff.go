package clientconfig

import (
	"fmt"
	"strings"
)

// tooLong is how many lines are compared; more are shown as all different.
const tooLong = 2000

// diff shows which lines go and which come, each run with the number of its first line.
func diff(before, after []byte) string {
	a, b := lines(before), lines(after)
	start := 0
	for start < len(a) && start < len(b) && a[start] == b[start] {
		start++
	}
	end := 0
	for end < len(a)-start && end < len(b)-start && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	a, b = a[start:len(a)-end], b[start:len(b)-end]
	var w strings.Builder
	var runOld, runNew []string
	i, j := 0, 0
	flush := func() {
		if len(runOld)+len(runNew) > 0 {
			fmt.Fprintf(&w, "@@ line %d @@\n", start+j-len(runNew)+1)
		}
		for _, l := range runOld {
			w.WriteString("-" + l + "\n")
		}
		for _, l := range runNew {
			w.WriteString("+" + l + "\n")
		}
		runOld, runNew = nil, nil
	}
	common := longest(a, b)
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j] && common(i, j) == common(i+1, j+1)+1:
			flush()
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || common(i+1, j) >= common(i, j+1)):
			runOld = append(runOld, a[i])
			i++
		default:
			runNew = append(runNew, b[j])
			j++
		}
	}
	flush()
	return w.String()
}

func lines(data []byte) []string {
	if len(data) == 0 {
		return nil
	}
	list := strings.Split(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n")
	if list[len(list)-1] == "" {
		return list[:len(list)-1]
	}
	list[len(list)-1] += " (no newline at the end)"
	return list
}

// longest returns how many lines a[i:] and b[j:] have in common, in order.
func longest(a, b []string) func(i, j int) int {
	if len(a) > tooLong || len(b) > tooLong {
		return func(int, int) int { return 0 }
	}
	t := make([]int32, (len(a)+1)*(len(b)+1))
	at := func(i, j int) int { return i*(len(b)+1) + j }
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				t[at(i, j)] = t[at(i+1, j+1)] + 1
			} else {
				t[at(i, j)] = max(t[at(i+1, j)], t[at(i, j+1)])
			}
		}
	}
	return func(i, j int) int {
		if i >= len(a) || j >= len(b) {
			return 0
		}
		return int(t[at(i, j)])
	}
}
