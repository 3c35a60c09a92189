//go:build unix

package hub

import (
	"bufio"
	"bytes"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// listen puts the hub on the network, at the same address as before. The caller holds mu.
func (h *Hub) listen() {
	h.t.Helper()
	l, err := net.Listen("tcp", h.addr)
	for range 50 { // an outgoing connection of somebody may have the port for a moment
		if err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
		l, err = net.Listen("tcp", h.addr)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.addr = l.Addr().String()
	h.server = &http.Server{Handler: http.HandlerFunc(h.serve), ErrorLog: log.New(io.Discard, "", 0)}
	go h.server.Serve(listener{l, h})
}

// listener gives connections that count and can be cut.
type listener struct {
	net.Listener
	h *Hub
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &conn{Conn: c, h: l.h}, err
}

type conn struct {
	net.Conn
	h                    *Hub
	fromClient, toClient int64
	cut                  bool
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if fits := c.pass(n, true); fits < n {
		c.Close()
		return fits, net.ErrClosed
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	fits := c.pass(len(p), false)
	n, err := c.Conn.Write(p[:fits])
	if fits < len(p) {
		c.Close()
		return n, net.ErrClosed
	}
	return n, err
}

// pass counts n more bytes and returns how many of them get through. Where that is less,
// the connection is to be closed.
func (c *conn) pass(n int, fromClient bool) int {
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	network := &c.h.network
	sofar, all, limit := &c.toClient, &c.h.counts.ToClient, network.ToClient
	if fromClient {
		sofar, all, limit = &c.fromClient, &c.h.counts.FromClient, network.FromClient
	}
	if c.cut {
		return 0
	}
	if limit > 0 && *sofar+int64(n) > limit {
		c.cut, n = true, int(max(0, limit-*sofar))
		c.h.counts.Cuts++
		if network.Once {
			network.FromClient, network.ToClient = 0, 0
		}
	}
	*sofar += int64(n)
	*all += int64(n)
	return n
}

// serve lets git answer a request, unless another answer is set.
func (h *Hub) serve(w http.ResponseWriter, r *http.Request) {
	req := Request{Method: r.Method, Path: r.URL.Path, Service: r.URL.Query().Get("service")}
	kind := req.Service + "-advertisement"
	if r.Method == http.MethodPost {
		req.Service = path.Base(r.URL.Path)
		kind = req.Service + "-result"
	}
	if r.Method == http.MethodPost && req.Service == "git-receive-pack" {
		req.Refs = pushed(r)
	}
	h.mu.Lock()
	h.counts.Requests++
	if req.Refs != nil {
		h.counts.Pushes++
	}
	delay := h.network.Delay
	h.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done(): // the client went before the hub heard of it
		return
	}
	a := h.answer(req)
	if a == nil {
		h.run(w, r)
		return
	}
	if a.Late {
		h.run(httptest.NewRecorder(), r)
	}
	io.Copy(io.Discard, r.Body)                           // or the client sees a broken pipe and no answer
	w.Header().Set("Content-Type", "application/x-"+kind) // so that git looks at the body
	for k, v := range a.Header {
		w.Header().Set(k, v)
	}
	w.WriteHeader(a.Status)
	io.WriteString(w, a.Body)
}

// answer finds the answer for a request, and uses it up.
func (h *Hub) answer(req Request) *Answer {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.network.Answers
	for i, a := range list {
		if a.To != nil && !a.To(req) {
			continue
		}
		h.counts.Answered++
		if a.Times == 1 {
			h.network.Answers = slices.Delete(list, i, i+1)
		} else if a.Times > 1 {
			list[i].Times--
		}
		return &a
	}
	return nil
}

// pushed reads the refs at the head of a push and leaves the body as it was. Each is a
// line "old new name", before it its length and, after the first, a NUL and more.
func pushed(r *http.Request) (refs []string) {
	var head bytes.Buffer
	body := io.TeeReader(r.Body, &head)
	for {
		var size [4]byte
		io.ReadFull(body, size[:])
		n, err := strconv.ParseUint(string(size[:]), 16, 16)
		if err != nil || n <= 4 {
			break
		}
		line := make([]byte, n-4)
		if _, err := io.ReadFull(body, line); err != nil {
			break
		}
		command, _, _ := bytes.Cut(line, []byte{0})
		if f := strings.Fields(string(command)); len(f) == 3 {
			refs = append(refs, f[2])
		}
	}
	r.Body = io.NopCloser(io.MultiReader(&head, r.Body))
	return refs
}

// run lets git-http-backend answer. net/http/cgi would not do: it takes no chunked
// request, which a large push is, and starts no process group, which is what dies whole.
func (h *Hub) run(w http.ResponseWriter, r *http.Request) {
	cmd := exec.Command(h.backend)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = append(slices.Clone(h.env), "HUB_GROUP=1",
		"GIT_PROJECT_ROOT="+filepath.Dir(h.Dir), "GIT_HTTP_EXPORT_ALL=1", "REMOTE_ADDR=127.0.0.1",
		"REQUEST_METHOD="+r.Method, "PATH_INFO="+r.URL.Path, "QUERY_STRING="+r.URL.RawQuery,
		"CONTENT_TYPE="+r.Header.Get("Content-Type"), "HTTP_CONTENT_ENCODING="+r.Header.Get("Content-Encoding"),
		"GIT_PROTOCOL="+r.Header.Get("Git-Protocol"))
	if r.ContentLength >= 0 {
		cmd.Env = append(cmd.Env, "CONTENT_LENGTH="+strconv.FormatInt(r.ContentLength, 10))
	}
	cmd.Stdin, cmd.Stderr = r.Body, h.log
	cmd.WaitDelay = time.Second // a client may hold its body open when git is dead
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = h.start(cmd)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	wire := http.NewResponseController(w)
	wire.EnableFullDuplex() // git sends headers before it has read all
	from := bufio.NewReader(out)
	head, err := textproto.NewReader(from).ReadMIMEHeader()
	if err == nil {
		status, _, _ := strings.Cut(head.Get("Status"), " ")
		head.Del("Status")
		maps.Copy(w.Header(), http.Header(head))
		if code, err := strconv.Atoi(status); err == nil {
			w.WriteHeader(code)
		}
		// The client has seen what git said before it was killed. Its own going stops
		// nothing: what it sent whole is done.
		part := make([]byte, 32<<10)
		for n, end := 0, error(nil); end == nil; {
			wire.Flush()
			n, end = from.Read(part)
			w.Write(part[:n])
		}
	}
	cmd.Wait()
	h.mu.Lock()
	delete(h.running, cmd)
	h.mu.Unlock()
	h.wait.Done()
	if cmd.ProcessState.ExitCode() < 0 { // killed, which must not look like the end of an answer
		panic(http.ErrAbortHandler)
	}
	if err != nil {
		http.Error(w, "no header: "+err.Error(), http.StatusInternalServerError)
	}
}

// start starts cmd where KillServer and the end of the test find it.
func (h *Hub) start(cmd *exec.Cmd) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return http.ErrServerClosed
	}
	err := cmd.Start()
	if err == nil {
		h.running[cmd] = true
		h.wait.Add(1)
	}
	return err
}

// kill ends cmd and all it has started.
func kill(cmd *exec.Cmd) { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
