package mailbox

import "github.com/git-agentmail/git-agentmail/mail"

// CheckToken returns why a token does not prove that its bearer is who, or nil. None was
// ever handed out.
func (b *Box) CheckToken(who Actor, token string) error {
	return mail.Errorf(mail.Denied, "wrong token for %q; nothing was done", who.Name).Typed("INVALID_ARGUMENT")
}
