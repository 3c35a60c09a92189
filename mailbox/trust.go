package mailbox

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/mail"
)

// Which logs of other clones are believed: agentmail.trust.
const (
	TrustFirst  = "tofu"   // that are signed with the key they had when they were seen first
	TrustListed = "listed" // besides, only with a key in the user's list of allowed signers
	TrustOff    = "off"    // all
)

// trust reads which logs are believed, from this repository's own configuration, so that a
// global setting believes no more than that. The list may be named anywhere, and is read
// again each time.
func (b *Box) trust(ctx context.Context) (mode string, t gitstore.Trust, err error) {
	mode, err = b.setting(ctx, "trust")
	switch {
	case err != nil:
	case mode == "":
		mode = TrustFirst
	case mode == TrustOff:
		t.Off = true
	case mode == TrustListed:
		t.Listed, err = b.allowedSigners(ctx)
	case mode != TrustFirst:
		err = mail.Errorf(mail.Invalid, "agentmail.trust is %q; it is tofu, listed or off", mode).Hint("git config agentmail.trust tofu")
	}
	return mode, t, err
}

// allowedSigners reads the list that is named for this, else git's own.
func (b *Box) allowedSigners(ctx context.Context) (*gitstore.Signers, error) {
	for _, key := range []string{"agentmail.allowedsigners", "gpg.ssh.allowedsignersfile"} {
		s, ok := b.repo.Get(ctx, key)
		if !ok || s.Value == "" {
			continue
		}
		file := s.Value
		if rest, home := strings.CutPrefix(file, "~/"); home {
			file = filepath.Join(b.getenv("HOME"), rest)
		}
		if !filepath.IsAbs(file) { // as git takes it, which runs there
			file = filepath.Join(cmp.Or(b.repo.TopLevel, b.repo.CommonDir), file)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, mail.Errorf(mail.Invalid, "agentmail.trust is listed, and the list of allowed signers cannot be read: %w", err).
				Hint("git config agentmail.allowedSigners FILE").Hint("git config agentmail.trust tofu")
		}
		return gitstore.ParseSigners(file, data), nil
	}
	return nil, mail.Errorf(mail.Invalid, "agentmail.trust is listed, and no list of allowed signers is named").
		Hint("git config agentmail.allowedSigners FILE").Hint("git agentmail doctor")
}

// trustState says which logs are believed here, and by what others know this one.
func (b *Box) trustState(ctx context.Context, sn *gitstore.Snapshot) Trust {
	mode, _, err := b.trust(ctx)
	out := Trust{Mode: mode, Key: sn.SignerLine(sn.Own()), Keyless: []string{}}
	if err != nil {
		out.Error = mail.AsError(err).Message
	}
	for _, replica := range sn.Replicas() {
		if sn.Header(replica).Key == "" {
			out.Keyless = append(out.Keyless, replica)
		}
	}
	return out
}

// trustFindings is what doctor says of it.
func (b *Box) trustFindings(ctx context.Context, sn *gitstore.Snapshot, remotes []Remote, say func(level, hint, format string, args ...any)) {
	s := b.trustState(ctx, sn)
	_, t, err := b.trust(ctx)
	switch {
	case err != nil:
		e := mail.AsError(err)
		say("problem", first(e.Hints), "no mail is exchanged: %s", e.Message)
	case s.Mode == TrustOff:
		say("note", "git config agentmail.trust tofu", "trust: off, whoever can push to a remote can write as any clone")
	case s.Mode == TrustListed:
		say("ok", "", "trust: listed, only logs with a key in %q are believed", t.Listed.File)
		for _, bad := range t.Listed.Bad {
			say("problem", "", "%s; the line counts for nothing", bad)
		}
	default:
		say("ok", "", "trust: tofu, each log is known by the key that it had when it was seen first")
	}
	if s.Key != "" {
		say("ok", "", "this clone for a list of allowed signers: %s", s.Key)
	}
	for _, r := range remotes {
		for _, f := range r.Refused {
			say("problem", "git agentmail sync "+shellQuote(r.Name), "the log %s at %q is refused: %s", f.Replica, r.Name, f.Why)
		}
	}
	if err != nil {
		return
	}
	bad, err := sn.Distrusted(ctx, t)
	if err != nil {
		say("problem", "git agentmail verify", "the signatures cannot be checked: %v", err)
	}
	for _, f := range bad {
		say("problem", "", "the log %s, as it is here: %s", f.Replica, f.Why)
	}
	if s.Mode != TrustOff && slices.Contains(s.Keyless, sn.Own()) {
		say("note", "", "this clone's log began before there were keys: others cannot tell who writes it")
	}
	if others := slices.DeleteFunc(s.Keyless, func(r string) bool { return r == sn.Own() }); len(others) > 0 && s.Mode == TrustFirst {
		say("note", "", "%s without a key, of which nobody can tell who writes them: %s", plural(len(others), "log"), strings.Join(others, ", "))
	}
}

// checkSignatures is what verify says of it: the list is no matter of what is stored.
func (b *Box) checkSignatures(ctx context.Context, sn *gitstore.Snapshot, bad func(format string, args ...any)) error {
	_, t, _ := b.trust(ctx)
	t.Listed = nil
	list, err := sn.Distrusted(ctx, t)
	for _, f := range list {
		bad("the log %s: %s", f.Replica, f.Why)
	}
	return asMail(err)
}
