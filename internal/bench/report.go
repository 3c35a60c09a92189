package main

import (
	"fmt"
	"os"
	"strings"
)

// row is one line of the table: what is measured, and what it has to reach.
type row struct {
	name   string
	demand string // "" where there is none
	run    func(*bench) (result, error)
}

// verdict says how a measurement stands to its demand.
type verdict string

const (
	passed verdict = "pass"
	fell   verdict = "short"
	told   verdict = "–" // no demand, or not measured here
)

// result is what a row's measurement found.
type result struct {
	verdict verdict
	text    string
}

type measured struct {
	row
	result
}

// judge compares one figure, or several, each with its limit.
func judge(text string, figures ...[2]float64) result {
	r := result{passed, text}
	for _, f := range figures {
		if f[0] > f[1] {
			r.verdict = fell
		}
	}
	return r
}

func tell(format string, args ...any) result { return result{told, fmt.Sprintf(format, args...)} }

func dash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// findings is where the hand-written part of the file begins, which is kept.
const findings = "## What we found\n"

// write replaces the table in the file and keeps what follows it.
func write(name, machine string, quick bool, rows []measured) error {
	kept := findings
	if old, err := os.ReadFile(name); err == nil {
		if _, after, ok := strings.Cut(string(old), findings); ok {
			kept = findings + after
		}
	}
	var w strings.Builder
	command := "go run ./internal/bench -out doc/BENCHMARKS.md"
	if quick {
		command += " -quick"
	}
	fmt.Fprintf(&w, `# Benchmarks

Written by `+"`make bench`, that is `%s`"+`, on %s.

Ratios hold from machine to machine, milliseconds do not. What is compared was run in turns in the same run, and the
medians are compared; counts are exact. "CPU" is user and system time of a process with all that it starts; everything
else is time by the clock. The mailbox of the large rows is made by `+"`go run ./internal/seedmail`"+`: 200 agents, forty
messages an hour, a thousand bytes a message.

| What | Demand | Measured | |
|---|---|---|---|
`, command, machine)
	for _, r := range rows {
		fmt.Fprintf(&w, "| %s | %s | %s | %s |\n", cell(r.name), cell(dash(r.demand)), cell(r.text), r.verdict)
	}
	w.WriteString("\n" + kept)
	return os.WriteFile(name, []byte(w.String()), 0o666)
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
