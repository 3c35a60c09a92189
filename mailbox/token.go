package mailbox

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"

	"github.com/git-agentmail/git-agentmail/mail"
)

// tokensFile holds, by agent, what a registration token is known again by. It stays in
// this clone: a token says that a caller is the one who registered here, and no other
// clone may act as the agent anyway.
const tokensFile = "tokens.json"

// tokenKept is what is kept of a token: never itself.
type tokenKept struct {
	Salt string `json:"salt"`
	Hash string `json:"hash"`
}

func tokenHash(salt, token string) string {
	sum := sha256.Sum256([]byte(salt + "\x00" + token))
	return hex.EncodeToString(sum[:])
}

// newToken hands out a token for an agent; the one before is of no use any more.
func (b *Box) newToken(ctx context.Context, agent string) (string, error) {
	var random [24]byte
	b.opt.Rand(random[:])
	token := base64.RawURLEncoding.EncodeToString(random[:])
	salt := mail.NewID(b.opt.Rand)
	return token, asMail(b.store.ChangeState(ctx, tokensFile, func(old []byte) ([]byte, error) {
		kept := keptTokens(old)
		kept[agent] = tokenKept{salt, tokenHash(salt, token)}
		data, err := json.Marshal(kept)
		return append(data, '\n'), err
	}))
}

// keptTokens reads the file. One that does not decode is as good as none: tokens are handed
// out anew with each registration.
func keptTokens(data []byte) map[string]tokenKept {
	kept := map[string]tokenKept{}
	if json.Unmarshal(data, &kept) != nil || kept == nil {
		kept = map[string]tokenKept{}
	}
	return kept
}

// CheckToken returns nil if token is the newest that an agent was given by its
// registration in this clone, and otherwise why the caller is not to be taken for it.
func (b *Box) CheckToken(who Actor, token string) error {
	data, err := b.store.State(tokensFile)
	if err != nil {
		return asMail(err)
	}
	kept, ok := keptTokens(data)[who.ID]
	if ok && subtle.ConstantTimeCompare([]byte(kept.Hash), []byte(tokenHash(kept.Salt, token))) == 1 {
		return nil
	}
	return mail.Errorf(mail.Denied, "the token is not the newest of %q", who.Name).Typed("INVALID_ARGUMENT").
		Hint("leave the token out, or register again: git agentmail register %s --program NAME --model NAME", shellQuote(who.Name))
}
