package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/git-agentmail/git-agentmail/internal/seed"
)

// httpServer is a server that answers many clients.
type httpServer struct {
	cmd *exec.Cmd
	url string
}

func (b *bench) serve(dir string) (*httpServer, error) {
	if err := b.buildServers(); err != nil {
		return nil, err
	}
	cmd := b.cmd(dir, b.program+"-mcp", "serve", "--http", "127.0.0.1:0")
	said, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if _, url, ok := strings.Cut(lines.Text(), "serving "); ok {
			go io.Copy(io.Discard, said)
			return &httpServer{cmd, url}, nil
		}
	}
	return nil, errors.Join(errors.New("the server says no address"), cmd.Wait())
}

func (s *httpServer) close() error {
	s.cmd.Process.Signal(syscall.SIGTERM)
	return s.cmd.Wait()
}

// call calls a tool, without hello and without a session.
func (s *httpServer) call(client *http.Client, name string, args map[string]any) (sample, error) {
	data, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": map[string]any{"name": name, "arguments": args}})
	if err != nil {
		return sample{}, err
	}
	begin := time.Now()
	resp, err := client.Post(s.url, "application/json", bytes.NewReader(data))
	if err != nil {
		return sample{}, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	took := sample{wall: time.Since(begin)}
	switch {
	case err != nil:
	case resp.StatusCode != http.StatusOK || bytes.Contains(body, []byte(`"isError":true`)) || !bytes.Contains(body, []byte(`"result"`)):
		err = fmt.Errorf("%s: %s: %.300s", name, resp.Status, body)
	}
	return took, err
}

// holds returns the open files and the memory, in bytes, of the server; 0 where the system
// does not say.
func (s *httpServer) holds() (files int, memory int64) {
	dir := fmt.Sprintf("/proc/%d/", s.cmd.Process.Pid)
	list, _ := os.ReadDir(dir + "fd")
	data, _ := os.ReadFile(dir + "statm")
	if f := strings.Fields(string(data)); len(f) > 1 {
		pages, _ := strconv.ParseInt(f[1], 10, 64)
		memory = pages * int64(os.Getpagesize())
	}
	return len(list), memory
}

// mixed lets clients do what agents do, in the proportions of the demand, until enough is
// called or the time is over.
func (b *bench) mixed(p *place, s *httpServer, clients int, most int64, limit time.Duration) (took map[string]series, errs int64, span time.Duration, first error) {
	took = map[string]series{}
	var mu sync.Mutex
	var done, failed atomic.Int64
	var all sync.WaitGroup
	begin := time.Now()
	for c := range clients {
		all.Go(func() {
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
			defer client.CloseIdleConnections()
			me := p.agents[c%len(p.agents)]
			own := map[string]series{}
			for i := c; done.Add(1) <= most && time.Since(begin) < limit && b.ctx.Err() == nil; i++ {
				name, args := operation(p, me, c, i)
				took, err := s.call(client, name, args)
				own[name] = append(own[name], took)
				if err != nil {
					failed.Add(1)
					mu.Lock()
					first = errors.Join(first, err)
					mu.Unlock()
					break
				}
			}
			mu.Lock()
			for name, list := range own {
				took[name] = append(took[name], list...)
			}
			mu.Unlock()
		})
	}
	all.Wait()
	return took, failed.Load(), time.Since(begin), first
}

// operation is the i-th of a client's calls: of twenty eight send, six list, three search,
// two reserve and one looks somebody up.
func operation(p *place, me string, c, i int) (string, map[string]any) {
	other := p.agents[(c+1+i%7)%len(p.agents)]
	switch n := (i * 7) % 20; {
	case n < 8:
		return "send_message", map[string]any{"sender_name": me, "to": other, "subject": fmt.Sprintf("Part %d", i), "body_md": letter}
	case n < 14:
		return "fetch_inbox", map[string]any{"agent_name": me, "limit": 20}
	case n < 17:
		return "search_messages", map[string]any{"query": fmt.Sprintf("part %d", i%40), "limit": 20}
	case n < 19:
		return "file_reservation_paths", map[string]any{"agent_name": me, "paths": []string{fmt.Sprintf("work/%d/%d.go", c, i%50)}}
	default:
		return "whois", map[string]any{"agent_name": other, "include_recent_commits": false}
	}
}

func httpLoad(b *bench) (result, error) {
	p, box, _, err := b.sender("http", seed.Options{Agents: 60})
	if err != nil {
		return result{}, err
	}
	box.Close()
	s, err := b.serve(p.dir)
	if err != nil {
		return result{}, err
	}
	b.mixed(p, s, 50, 500, time.Minute) // warms up
	took, errs, span, first := b.mixed(p, s, 50, 1<<40, pick(b, 30*time.Second, 5*time.Second))
	if err := s.close(); err != nil {
		first, errs = errors.Join(first, err), errs+1
	}
	var all series
	var each []string
	late := func(s series) time.Duration {
		return s.quantile(0.99, func(x sample) time.Duration { return x.wall })
	}
	for _, name := range slices.Sorted(maps.Keys(took)) {
		all = append(all, took[name]...)
		each = append(each, name+" "+ms(late(took[name])))
	}
	rate, p99 := float64(len(all))/span.Seconds(), late(all)
	text := fmt.Sprintf("%.0f operations/s, median %s, 99 of 100 in %s (%s), %d errors of %d", rate, ms(all.wall()), ms(p99), strings.Join(each, ", "), errs, len(all))
	if first != nil {
		text += fmt.Sprintf(" (%.200s)", first)
	}
	return judge(text, [2]float64{300, rate}, [2]float64{float64(p99), float64(250 * time.Millisecond)}, [2]float64{float64(errs), 0}), nil
}

func httpFlat(b *bench) (result, error) {
	p, box, _, err := b.sender("flat", seed.Options{Agents: 60})
	if err != nil {
		return result{}, err
	}
	box.Close()
	s, err := b.serve(p.dir)
	if err != nil {
		return result{}, err
	}
	most := int64(pick(b, 5000, 500))
	if _, errs, _, first := b.mixed(p, s, 20, most, 5*time.Minute); errs > 0 {
		return result{}, first
	}
	files, memory := s.holds()
	if _, errs, _, first := b.mixed(p, s, 20, 2*most, 5*time.Minute); errs > 0 {
		return result{}, first
	}
	files2, memory2 := s.holds()
	if err := s.close(); err != nil {
		return result{}, err
	}
	if memory == 0 {
		return tell("the system does not say what a process holds"), nil
	}
	const mb = 1 << 20
	text := fmt.Sprintf("%d files and %d MB after %d operations, %d and %d MB after %d more", files, memory/mb, most, files2, memory2/mb, 2*most)
	return judge(text, [2]float64{float64(files2), float64(files + 5)}, [2]float64{float64(memory2), 1.25*float64(memory) + 16*mb}), nil
}
