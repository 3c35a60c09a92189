//go:build unix

package hub

import (
	"io"
	"net"
	"strings"
	"sync"
)

// Way is another way to a hub than its URL, through the hub's own network: some clients can
// be cut off while others are not.
type Way struct {
	URL string

	to    string // the hub's address
	l     net.Listener
	mu    sync.Mutex // guards the rest
	moved *sync.Cond // state has changed
	state State
	open  map[*net.TCPConn]bool
}

// State is how a Way is.
type State int

// The states of a Way. From Silent what is under way goes on when it is Open again, as TCP
// does after a cable was out.
const (
	Open   State = iota
	Closed       // connections end, and new ones do at once
	Silent       // they stay and nothing goes through
	ended
)

// Way makes one, which ends with the test. It listens at an address such as "127.0.0.1:0".
func (h *Hub) Way(addr string) *Way {
	h.t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		h.t.Fatal(err)
	}
	w := &Way{l: l, to: h.addr, open: map[*net.TCPConn]bool{}, URL: strings.Replace(h.URL, h.addr, l.Addr().String(), 1)}
	w.moved = sync.NewCond(&w.mu)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { w.carry(c.(*net.TCPConn)) })
		}
	})
	h.t.Cleanup(func() {
		l.Close()
		w.Set(ended)
		all.Wait()
	})
	return w
}

// Set changes the way at once, for open connections too.
func (w *Way) Set(s State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state = s
	if s == Closed || s == ended {
		for c := range w.open {
			c.SetLinger(0) // a reset, or it would look like the end of an answer
			c.Close()
		}
		clear(w.open)
	}
	w.moved.Broadcast()
}

// carry takes a connection to the hub and back.
func (w *Way) carry(c *net.TCPConn) {
	defer c.Close()
	if !w.pass(c) {
		return
	}
	up, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	hub := up.(*net.TCPConn)
	defer hub.Close()
	if !w.pass(hub) {
		return
	}
	var both sync.WaitGroup
	for _, d := range [][2]*net.TCPConn{{c, hub}, {hub, c}} {
		both.Go(func() {
			part := make([]byte, 32<<10)
			for {
				n, err := d[0].Read(part)
				if !w.pass(d[0]) {
					return
				}
				if _, werr := d[1].Write(part[:n]); err != nil || werr != nil {
					if err == io.EOF {
						d[1].CloseWrite()
						return
					}
					for _, c := range d { // neither side is to take it for an end
						c.SetLinger(0)
						c.Close()
					}
					return
				}
			}
		})
	}
	both.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, c)
	delete(w.open, hub)
}

// pass waits while the way is silent, and says whether a connection may go on.
func (w *Way) pass(c *net.TCPConn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.state == Silent {
		w.moved.Wait()
	}
	if w.state != Open {
		c.SetLinger(0)
		return false
	}
	w.open[c] = true
	return true
}
