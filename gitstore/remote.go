package gitstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// pushSpec moves one ref of a remote, if it is where we saw it.
type pushSpec struct {
	to      string
	oid     OID
	old     OID    // "" if it was not there
	replica string // whose log it is, "" for a table or an archive
}

// refspec is the one place where a refspec for a push is made: one with nothing before its
// colon deletes.
func (p pushSpec) refspec() string {
	if !isOID(p.oid) || p.oid == zeroOID || !strings.HasPrefix(p.to, "refs/") {
		panic(fmt.Sprintf("gitstore: a push of %q to %q", p.oid, p.to))
	}
	return p.oid + ":" + p.to
}

// dropSpec takes a ref from a remote, if it is where we saw it. It is the one way to do so.
type dropSpec struct {
	ref string
	old OID
}

func (d dropSpec) refspec() string {
	if replicaOf(d.ref) == "" && archiveOf(d.ref) == "" || !isOID(d.old) || d.old == zeroOID {
		panic(fmt.Sprintf("gitstore: a push that deletes %q at %q", d.ref, d.old))
	}
	return ":" + d.ref
}

// replace makes a ref at a remote that takes the place of others, and takes those from it: all
// of it or, also where the remote cannot do that, nothing.
func (r *Repo) replace(ctx context.Context, remote string, put pushSpec, drops []dropSpec) error {
	args := append(pushFlags[:len(pushFlags):len(pushFlags)], "--atomic", "--force-with-lease="+put.to+":")
	for _, d := range drops {
		args = append(args, "--force-with-lease="+d.ref+":"+d.old)
	}
	args = append(args, "--", r.pushURL(ctx, remote), put.refspec())
	for _, d := range drops {
		args = append(args, d.refspec())
	}
	_, err := r.transport(ctx, args...)
	return err
}

// pushFlags keep a push from doing more than it is told.
var pushFlags = []string{"push", "--porcelain", "--no-verify", "--no-signed", "--no-follow-tags", "--recurse-submodules=no"}

// push moves refs of a remote, each for itself, and returns which were moved and which it
// refused to move. Of the others nobody knows. Why something was refused is in words of the
// remote, or of what lies between, that nobody can tell apart: who wants to know looks at the refs.
func (r *Repo) push(ctx context.Context, remote string, specs []pushSpec, options ...string) (done, refused []pushSpec, err error) {
	args := append(pushFlags[:len(pushFlags):len(pushFlags)], options...)
	for _, p := range specs {
		args = append(args, "--force-with-lease="+p.to+":"+p.old)
	}
	args = append(args, "--", r.pushURL(ctx, remote))
	for _, p := range specs {
		args = append(args, p.refspec())
	}
	res, err := r.transport(ctx, args...)
	for line := range strings.Lines(string(res)) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 3)
		if len(f) < 3 || len(f[0]) != 1 {
			continue
		}
		_, to, _ := strings.Cut(f[1], ":")
		for _, p := range specs {
			if p.to == to && f[0] == "!" {
				refused = append(refused, p)
			} else if p.to == to {
				done = append(done, p)
			}
		}
	}
	if err == nil && len(done) < len(specs) {
		err = errors.New("it did not take all refs")
	}
	return done, refused, err
}

// pushURL returns where a remote is pushed to. By its name git would make refs that follow
// the remote's, and push what the user has set beside it.
func (r *Repo) pushURL(ctx context.Context, remote string) string {
	list, _ := r.Config(ctx)
	for _, key := range []string{"remote." + remote + ".pushurl", "remote." + remote + ".url"} {
		for _, v := range list {
			if v.Key == key {
				return v.Value
			}
		}
	}
	return remote
}

// RemoteNames returns the names of the remotes in the configuration.
func (r *Repo) RemoteNames(ctx context.Context) ([]string, error) {
	list, err := r.Config(ctx)
	names := map[string]bool{}
	for _, v := range list {
		rest, ok := strings.CutPrefix(v.Key, "remote.")
		if name, isURL := strings.CutSuffix(rest, ".url"); ok && isURL {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), err
}

// silence is when a git that speaks HTTP gives up a hub that was reached and says nothing any
// more: after a minute without a byte. By itself it waits for as long as the system has the
// connection for alive, which is hours if the cable was pulled, and nobody else can exchange then.
var silence = []string{"-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60"}

// transport runs a git that speaks to a remote, in the user's configuration and with the
// user's credentials. It asks nobody anything, and ends with its context.
func (r *Repo) transport(ctx context.Context, args ...string) ([]byte, error) {
	dir := r.TopLevel // of which a path in the configuration is relative
	if dir == "" {
		dir = r.CommonDir
	}
	args = slices.Concat(ownConfig, silence, args)
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.WaitDelay = time.Second // then git is killed, and what it started is not waited for
	apart(cmd)
	// Without a terminal ssh would open a window instead, a server's every half minute.
	return runGit(ctx, cmd, dir, append([]string{"SSH_ASKPASS_REQUIRE=never"}, r.env...), nil, args)
}

func unreachable(doing, remote string, err error) error {
	var ge *gitError
	if errors.As(err, &ge) {
		return &Error{Kind: Unreachable, Msg: fmt.Sprintf("could not %s %q: %s", doing, remote, ge.reason()), Err: err}
	}
	if err == nil || KindOf(err) != "" {
		return err
	}
	return &Error{Kind: Unreachable, Msg: fmt.Sprintf("could not %s %q: %s", doing, remote, err), Err: err}
}
