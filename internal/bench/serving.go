package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/git-agentmail/git-agentmail/internal/seed"
)

// serving is what coding agents wait for: the second program, over standard input and
// output.
var serving = []row{
	{"stdio server started and initialized / a small mcp-go server", "≤ 2.5×", initialize},
	{"tools/list and instructions, bytes / 4", "lean ≤ 2,000; full ≤ 9,000", tokens},
	{"send_message over stdio / durable commit, median by the clock", "≤ 2×", stdioSend},
	{"30 stdio clients × 5 sends", "0 lost; 99 of 100 ≤ 1 s", func(b *bench) (result, error) { return b.clients(30, 5) }},
	{"50 stdio clients × 20 sends", "0 lost; 99 of 100 ≤ 1 s", func(b *bench) (result, error) { return b.clients(50, pick(b, 20, 4)) }},
	{"50 HTTP clients: 40 % send, 30 % inbox, 15 % search, 10 % reserve, 5 % whois", "≥ 300 operations/s; 99 of 100 ≤ 250 ms; 0 errors", httpLoad},
	{"open files and memory of the HTTP server over 10,000 operations", "flat", httpFlat},
}

// smallServer is a server of the same library with one tool.
const smallServer = `package main

import (
	"context"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

func main() {
	s := server.NewMCPServer("small", "1")
	s.AddTool(mcp.NewTool("hello"), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText("hello"), nil
	})
	server.ServeStdio(s)
}
`

// buildServers builds the second program and the small server, once.
func (b *bench) buildServers() error {
	if b.small != "" {
		return nil
	}
	src, bin := filepath.Join(b.tmp, "small"), filepath.Dir(b.program)
	if err := os.MkdirAll(src, 0o777); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(src, "main.go"), []byte(smallServer), 0o666); err != nil {
		return err
	}
	small := filepath.Join(bin, "small")
	if err := b.goBuild(b.program+"-mcp", "./cmd/git-agentmail-mcp"); err != nil {
		return err
	}
	b.small = small
	return b.goBuild(small, filepath.Join(src, "main.go"))
}

// stdioClient is a client that started its server.
type stdioClient struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	id  int
}

func (b *bench) connect(dir, program string, args ...string) (*stdioClient, error) {
	cmd := b.cmd(dir, program, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &stdioClient{cmd: cmd, in: in, out: bufio.NewReader(out)}
	_, err = c.request("initialize", map[string]any{"protocolVersion": "2025-11-25", "capabilities": struct{}{},
		"clientInfo": map[string]string{"name": "bench", "version": "1"}})
	return c, err
}

// request waits for the answer, of which it returns the result.
func (c *stdioClient) request(method string, params any) (json.RawMessage, error) {
	c.id++
	data, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": c.id, "method": method, "params": params})
	if err != nil {
		return nil, err
	}
	if _, err := c.in.Write(append(data, '\n')); err != nil {
		return nil, err
	}
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	var r struct {
		Result json.RawMessage
		Error  json.RawMessage
	}
	if err := json.Unmarshal(line, &r); err != nil || r.Error != nil {
		return nil, fmt.Errorf("%s: %w: %s", method, errors.Join(err, errors.New("an error")), line)
	}
	return r.Result, nil
}

// send sends a message and returns its id.
func (c *stdioClient) send(from, to string) (string, error) {
	res, err := c.request("tools/call", map[string]any{"name": "send_message", "arguments": map[string]any{
		"sender_name": from, "to": []string{to}, "subject": "A message of the benchmark", "body_md": letter}})
	if err != nil {
		return "", err
	}
	var r struct {
		IsError           bool
		StructuredContent struct {
			Deliveries []struct{ Payload struct{ ID string } }
		}
	}
	if err := json.Unmarshal(res, &r); err != nil || r.IsError || len(r.StructuredContent.Deliveries) != 1 {
		return "", fmt.Errorf("not sent: %w: %s", errors.Join(err, errors.New("an error")), res)
	}
	return r.StructuredContent.Deliveries[0].Payload.ID, nil
}

func (c *stdioClient) close() error {
	c.in.Close()
	io.Copy(io.Discard, c.out)
	return c.cmd.Wait()
}

// greet is the time from the start of a server to its first answer.
func (b *bench) greet(dir, program string, args ...string) (sample, error) {
	begin := time.Now()
	c, err := b.connect(dir, program, args...)
	took := time.Since(begin)
	if err == nil {
		err = c.close()
	}
	if err != nil {
		return sample{}, err
	}
	st := c.cmd.ProcessState
	return sample{wall: took, cpu: st.UserTime() + st.SystemTime()}, nil
}

func initialize(b *bench) (result, error) {
	if err := b.buildServers(); err != nil {
		return result{}, err
	}
	p, err := b.mailbox(0)
	if err != nil {
		return result{}, err
	}
	got, err := b.turns(pick(b, 40, 10),
		func() (sample, error) { return b.greet(p.dir, b.program, "mcp") },
		func() (sample, error) { return b.greet(p.dir, b.small) },
		func() (sample, error) { return b.greet(p.dir, b.program+"-mcp", "mcp") })
	if err != nil {
		return result{}, err
	}
	text := fmt.Sprintf("%s; the second program named at once %s; CPU %s", compare(got[0].wall(), got[1].wall()), ms(got[2].wall()), compare(got[0].cpu(), got[1].cpu()))
	return judge(text, [2]float64{ratio(got[0].wall(), got[1].wall()), 2.5}), nil
}

func tokens(b *bench) (result, error) {
	if err := b.buildServers(); err != nil {
		return result{}, err
	}
	var got [2]int
	for i, profile := range []string{"lean", "full"} {
		c, err := b.connect(b.tmp, b.program, "mcp", "--tools", profile)
		if err != nil {
			return result{}, err
		}
		hello, err := c.request("initialize", map[string]any{"protocolVersion": "2025-11-25", "capabilities": struct{}{},
			"clientInfo": map[string]string{"name": "bench", "version": "1"}})
		if err != nil {
			return result{}, err
		}
		var h struct{ Instructions string }
		if err := json.Unmarshal(hello, &h); err != nil {
			return result{}, err
		}
		list, err := c.request("tools/list", nil)
		if err != nil {
			return result{}, err
		}
		got[i] = (len(list) + len(h.Instructions)) / 4
		if err := c.close(); err != nil {
			return result{}, err
		}
	}
	return judge(fmt.Sprintf("lean %d, full %d", got[0], got[1]), [2]float64{float64(got[0]), 2000}, [2]float64{float64(got[1]), 9000}), nil
}

func stdioSend(b *bench) (result, error) {
	if err := b.buildServers(); err != nil {
		return result{}, err
	}
	p, box, _, err := b.sender("serve", seed.Options{Agents: 4})
	if err != nil {
		return result{}, err
	}
	box.Close()
	dir, err := b.repo("plain")
	if err != nil {
		return result{}, err
	}
	s, err := b.store(dir)
	if err != nil {
		return result{}, err
	}
	defer s.Close()
	n := 0
	c, err := b.connect(p.dir, b.program, "mcp")
	if err != nil {
		return result{}, err
	}
	got, err := b.turns(pick(b, 200, 40),
		func() (sample, error) {
			return timeOf(func() error { _, err := c.send(p.agents[0], p.agents[1]); return err })
		},
		func() (sample, error) { n++; return timeOf(func() error { return b.commit(s, n, 1) }) })
	if err = errors.Join(err, c.close()); err != nil {
		return result{}, err
	}
	return judge(compare(got[0].wall(), got[1].wall()), [2]float64{ratio(got[0].wall(), got[1].wall()), 2}), nil
}

// clients lets n clients, each with a server of its own, send m messages each.
func (b *bench) clients(n, m int) (result, error) {
	if err := b.buildServers(); err != nil {
		return result{}, err
	}
	p, box, _, err := b.sender("clients", seed.Options{Agents: 60})
	if err != nil {
		return result{}, err
	}
	box.Close()
	before, err := b.count(p.dir)
	if err != nil {
		return result{}, err
	}
	var ids sync.Map
	var mu sync.Mutex
	var took series
	all := make([]*stdioClient, n)
	for i := range all {
		if all[i], err = b.connect(p.dir, b.program, "mcp"); err != nil {
			return result{}, err
		}
	}
	_, err = atOnce(n, m, func(w, _ int) error {
		begin := time.Now()
		id, err := all[w].send(p.agents[w%50], p.agents[(w+1)%50])
		s := sample{wall: time.Since(begin)}
		ids.Store(id, true)
		mu.Lock()
		took = append(took, s)
		mu.Unlock()
		return err
	})
	for _, c := range all {
		err = errors.Join(err, c.close())
	}
	if err != nil {
		return result{}, err
	}
	lost, fsck, err := b.missing(p, &ids, before, n*m)
	if err != nil {
		return result{}, err
	}
	p99 := took.quantile(0.99, func(s sample) time.Duration { return s.wall })
	text := fmt.Sprintf("%d of %d lost; fsck %s; median %s, 99 of 100 in %s", lost, n*m, fsck, ms(took.wall()), ms(p99))
	return judge(text, [2]float64{float64(lost), 0}, [2]float64{p99.Seconds(), 1}, [2]float64{float64(len(fsck)), float64(len("clean"))}), nil
}
