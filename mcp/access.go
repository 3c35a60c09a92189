package mcp

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
)

// access is who may ask over HTTP.
type access struct {
	token     string // "" is none: then only this machine is served
	openLocal bool   // this machine needs no token

	origins              []string // of other pages that may ask; none unless the environment names them
	methods, headers     string   // that such pages may use
	shareWithCredentials bool
}

func newAccess(getenv func(string) string) (*access, error) {
	a := &access{token: getenv("HTTP_BEARER_TOKEN"), openLocal: isSet(getenv, "HTTP_ALLOW_LOCALHOST_UNAUTHENTICATED", true)}
	if !isSet(getenv, "HTTP_CORS_ENABLED", false) {
		return a, nil
	}
	a.origins = commaList(getenv("HTTP_CORS_ORIGINS"))
	if len(a.origins) == 0 {
		return nil, mail.Errorf(mail.Invalid, "HTTP_CORS_ENABLED is set, and HTTP_CORS_ORIGINS names nobody").Hint("export HTTP_CORS_ORIGINS=https://example.org")
	}
	a.methods, a.headers = getenv("HTTP_CORS_ALLOW_METHODS"), getenv("HTTP_CORS_ALLOW_HEADERS")
	a.shareWithCredentials = isSet(getenv, "HTTP_CORS_ALLOW_CREDENTIALS", false)
	return a, nil
}

// authenticate reports whether the caller is one that may use the mailbox. Whoever adds
// signed tokens or roles adds them here.
func (a *access) authenticate(r *http.Request) bool {
	local := loopback(r.RemoteAddr) && !forwarded(r.Header)
	if local && (a.openLocal || a.token == "") {
		return true
	}
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	// Hashes are of one length, and comparing them tells nothing by the time it takes.
	want, got := sha256.Sum256([]byte(a.token)), sha256.Sum256([]byte(given))
	return a.token != "" && strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// strange says why a request is not from where it may come from, "" if it is. A page of
// another site can make a browser ask a server on this machine: its Origin tells. And it
// can give that site's own name the address of this machine: then the Host tells.
func (a *access) strange(r *http.Request) string {
	if here, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && loopback(here.String()) && !loopback(r.Host) {
		return "invalid Host"
	}
	origins := r.Header.Values("Origin")
	if len(origins) == 0 || len(origins) == 1 && (a.shares(origins[0]) || sameHost(origins[0], r.Host)) {
		return ""
	}
	return "invalid Origin"
}

// sameHost reports whether a page was served from where its request goes.
func sameHost(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, host)
}

func (a *access) shares(origin string) bool {
	return slices.Contains(a.origins, "*") || slices.Contains(a.origins, origin)
}

// share tells a browser that a page of another site may see the answer, if that is so.
func (a *access) share(h http.Header, r *http.Request) {
	origin := r.Header.Get("Origin")
	if origin == "" || !a.shares(origin) {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Add("Vary", "Origin")
	h.Set("Access-Control-Expose-Headers", "Mcp-Session-Id")
	if a.shareWithCredentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", orElse(a.methods, "GET, POST, DELETE, OPTIONS"))
		h.Set("Access-Control-Allow-Headers", orElse(a.headers, r.Header.Get("Access-Control-Request-Headers")))
	}
}

// orElse returns s, or another where s is anything.
func orElse(s, other string) string {
	if s == "" || s == "*" {
		return other
	}
	return s
}

// caller is the address of who asks, without the port.
func caller(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// forwarded reports whether somebody else asked whoever asks us.
func forwarded(h http.Header) bool {
	for name := range h {
		if name == "Forwarded" || name == "X-Real-Ip" || name == "Via" || strings.HasPrefix(name, "X-Forwarded-") {
			return true
		}
	}
	return false
}

// loopback reports whether an address, with or without a port, is of this machine alone.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = strings.Trim(addr, "[]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
