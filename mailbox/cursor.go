package mailbox

import (
	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/mail"
)

// cursor is how far an actor has come with a verb that follows what happens. It is
// kept in the repository, so that the next process goes on from there.
type cursor struct {
	b     *Box
	verb  string
	name  string // "" is not kept: nobody knows whose it is
	known bool   // there is a place to go on from
	lost  bool   // there should be one, but it cannot be read or noted
	at    gitstore.Version
	done  map[string]bool  // paths of the records after at that are done as well
	kept  bool             // what is written down is a place
	saved gitstore.Version // what was last written down
	told  bool             // that it cannot be
}

// cursor returns the actor's own for a verb. The person of a clone has one too.
func (b *Box) cursor(verb string, who Actor) *cursor {
	c := &cursor{b: b, verb: verb}
	switch who.Kind {
	case IsPerson:
		c.name = verb + "-person"
	case IsAgent:
		c.name = verb + "-" + who.ID
	default:
		return c
	}
	kept, ok, err := b.store.Cursor(c.name)
	if err != nil {
		c.lost = true
		instead := "all unread mail is shown"
		if verb == "watch" { // nobody notes which events were seen
			instead = "it goes on from now"
		}
		b.opt.Report(asMail(err).Error() + "; " + instead)
	}
	c.known, c.at, c.done, c.kept, c.saved = ok, kept.Version, kept.Done, ok, kept.Version
	return c
}

// start begins at a version, because there is no place to go on from. Where that
// cannot be noted the cursor is lost.
func (c *cursor) start(v gitstore.Version) {
	c.known, c.at, c.done = true, v, nil
	c.write()
	if c.name != "" && v != "" && !c.told {
		// A clone that has fetched mail and never wrote any has no directory for it, and
		// whoever reads makes none.
		if _, ok, err := c.b.store.Cursor(c.name); err == nil && !ok {
			c.kept = false
			c.report(mail.Errorf(mail.NotFound, "this clone has no mailbox of its own to note in how far it came, which git agentmail init makes"))
		}
	}
	c.lost = c.told
}

// move puts the place elsewhere, of which nothing was handed over but what is done.
func (c *cursor) move(v gitstore.Version) {
	c.at = v
	c.write()
	for path := range c.done {
		c.handed(path)
	}
}

// save notes that everything up to where the cursor is has been handed over.
func (c *cursor) save() {
	if c.known && (!c.kept || c.at != c.saved) {
		c.write()
	}
}

func (c *cursor) write() {
	c.saved = c.at
	if c.name != "" {
		err := c.b.store.SaveCursor(c.name, c.at)
		c.kept = c.kept || err == nil
		c.report(err)
	}
}

// handed notes that one of the records after the saved version has been handed over.
func (c *cursor) handed(path string) {
	if c.name != "" {
		c.report(c.b.store.CursorDone(c.name, path))
	}
}

// report tells once that nothing can be noted. Nothing else depends on it: in a
// repository that is read-only one can wait as well.
func (c *cursor) report(err error) {
	if err != nil && !c.told {
		c.told = true
		then := "mail is shown again by the next wait until it is read"
		switch {
		case c.verb == "watch" && c.kept:
			then = "the next watch goes on from the last place that was noted"
		case c.verb == "watch":
			then = "it goes on from now, and so will the next watch"
		}
		c.b.opt.Report(asMail(err).Error() + "; " + then)
	}
}
