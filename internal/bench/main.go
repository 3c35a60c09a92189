// Bench measures git-agentmail against the figures it has to keep and writes
// them to a file:
//
//	go run ./internal/bench [-quick] [-sync] [-only REGEXP] [-out doc/BENCHMARKS.md]
//
// It builds what it needs, makes its repositories in a temporary directory with
// a configuration of their own, and measures ratios: what is compared is run in
// turns (A B A B) in the same minute, and medians are compared. Counts are
// exact. Run it from the root of this module.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == childFlag {
		os.Exit(child(os.Args[2:]))
	}
	quick := flag.Bool("quick", false, "measure with fewer messages and rounds")
	out := flag.String("out", "", "write the table to this file, keeping what it says after the table")
	apart := flag.Bool("sync", false, "measure the exchange of logs between clones, and nothing else")
	only := flag.String("only", "", "measure only the rows whose name matches this regular expression")
	keep := flag.Bool("keep", false, "keep the repositories and say where they are")
	flag.Parse()
	if err := run(*quick, *keep, *apart, *only, *out); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// rows is everything that is measured, in the order of the table.
func rows() []row {
	var list []row
	for _, part := range [][]row{writing, crowds, reading, engines, guarding, patterns, serving, besides} {
		list = append(list, part...)
	}
	return list
}

func run(quick, keep, apart bool, only, out string) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b, err := newBench(ctx, quick)
	if err != nil {
		return err
	}
	if keep {
		fmt.Println(b.tmp)
	} else {
		defer os.RemoveAll(b.tmp)
	}
	begin := time.Now()
	var done []measured
	short := 0
	list := rows()
	if apart {
		list = slices.Concat(syncing, strong)
	}
	for _, r := range list {
		if !match.MatchString(r.name) {
			continue
		}
		began := time.Now()
		res, err := r.run(b)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		if res.verdict == fell {
			short++
		}
		done = append(done, measured{r, res})
		fmt.Printf("%-7s %s\n        demand: %s\n        measured: %s (in %.0f s)\n", res.verdict, r.name, dash(r.demand), res.text, time.Since(began).Seconds())
	}
	fmt.Printf("%d rows, %d short, in %.0f s\n", len(done), short, time.Since(begin).Seconds())
	if out == "" {
		return nil
	}
	if only != "" {
		fmt.Fprintln(os.Stderr, "bench: nothing was written to", out, "because -only leaves rows out")
		return nil
	}
	return write(out, b.machine(), b.quick, done)
}

// machine describes where the figures come from.
func (b *bench) machine() string {
	return fmt.Sprintf("%d cores, %s/%s, %s, git %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), b.gitVersion)
}
