package main

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// sample is the cost of one thing done once. cpu is 0 where it was done in this
// process.
type sample struct{ wall, cpu time.Duration }

// timed runs a command and returns its cost, with that of all it started and
// waited for. A command that fails is an error that shows what it said.
func timed(cmd *exec.Cmd) (sample, error) {
	s, _, err := output(cmd)
	return s, err
}

func output(cmd *exec.Cmd) (sample, string, error) {
	var out, errs bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &out
	}
	cmd.Stderr = &errs
	begin := time.Now()
	err := cmd.Run()
	s := sample{wall: time.Since(begin)}
	if cmd.ProcessState != nil {
		s.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	if err != nil {
		return s, out.String(), fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args[:min(3, len(cmd.Args))], " "), err, strings.TrimSpace(errs.String()))
	}
	return s, out.String(), nil
}

// timeOf is the time that fn takes in this process.
func timeOf(fn func() error) (sample, error) {
	begin := time.Now()
	err := fn()
	return sample{wall: time.Since(begin)}, err
}

// turns runs each of the given things once a round, so that whatever else the
// machine does meets them all alike. The first round warms up and is not
// counted.
func (b *bench) turns(rounds int, things ...func() (sample, error)) ([]series, error) {
	all := make([]series, len(things))
	for round := range rounds + 1 {
		for i, thing := range things {
			if err := b.ctx.Err(); err != nil {
				return nil, err
			}
			s, err := thing()
			if err != nil {
				return nil, err
			}
			if round > 0 {
				all[i] = append(all[i], s)
			}
		}
	}
	return all, nil
}

// series are the samples of one thing.
type series []sample

func (s series) wall() time.Duration {
	return s.quantile(0.5, func(x sample) time.Duration { return x.wall })
}
func (s series) cpu() time.Duration {
	return s.quantile(0.5, func(x sample) time.Duration { return x.cpu })
}

func (s series) quantile(q float64, of func(sample) time.Duration) time.Duration {
	var list []time.Duration
	for _, x := range s {
		list = append(list, of(x))
	}
	slices.Sort(list)
	n := len(list)
	if q == 0.5 && n%2 == 0 {
		return (list[n/2-1] + list[n/2]) / 2
	}
	return list[min(n-1, int(q*float64(n)))]
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

// ms writes a time with three digits or so.
func ms(d time.Duration) string {
	v := float64(d) / float64(time.Millisecond)
	switch {
	case v >= 10_000:
		return fmt.Sprintf("%.1f s", v/1000)
	case v >= 100:
		return fmt.Sprintf("%.0f ms", v)
	case v >= 10:
		return fmt.Sprintf("%.1f ms", v)
	}
	return fmt.Sprintf("%.2f ms", v)
}

// compare tells a ratio and what it was made from.
func compare(a, b time.Duration) string {
	return fmt.Sprintf("%.2f× (%s / %s)", ratio(a, b), ms(a), ms(b))
}

// failing reports whether a command ended with a status other than 0, which for
// some rows is what is counted.
func failing(err error) bool {
	var ee *exec.ExitError
	return errors.As(err, &ee)
}
