// Seedmail fills a repository with a realistic mailbox:
//
//	go run ./internal/seedmail -n 100000 -repo DIR
//
// DIR is a repository without mail, such as `git init DIR` makes. The same flags
// make the same files, but for -live, whose reservations begin now.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/git-agentmail/git-agentmail/internal/seed"
)

func main() {
	n := flag.Int("n", 1000, "number of messages")
	dir := flag.String("repo", "", "the repository to fill")
	agents := flag.Int("agents", 200, "number of agents")
	threads := flag.Int("threads", 5000, "number of threads, at most one for four messages")
	days := flag.Float64("days", 0, "days that the mail covers (0: forty messages an hour)")
	live := flag.Int("live", 0, "number of reservations that hold for eight hours from now")
	number := flag.Uint64("seed", 42, "another number, another mailbox")
	flag.Parse()
	if *dir == "" || flag.NArg() > 0 || *n < 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	begin := time.Now()
	opt := seed.Options{Messages: *n, Agents: *agents, Threads: *threads, Span: time.Duration(*days * 24 * float64(time.Hour)), Live: *live, Seed: *number}
	if *live > 0 {
		opt.Now = begin
	}
	r, err := seed.Seed(ctx, *dir, opt)
	if err != nil {
		fmt.Fprintln(os.Stderr, "seedmail:", err)
		os.Exit(1)
	}
	fmt.Printf("%d messages, %d records in %d commits, %d agents such as %s, %s to %s, in %.1f s\n",
		r.Messages, r.Records, r.Commits, len(r.Agents), r.Agents[0],
		r.Start.Format("2006-01-02"), r.End.Format("2006-01-02"), time.Since(begin).Seconds())
}
