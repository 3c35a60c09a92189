package mailbox

import "github.com/git-agentmail/git-agentmail/gitstore"

// cursor is how far an actor has come with a verb that follows what happens. It is
// kept in the repository, so that the next process goes on from there.
type cursor struct {
	b     *Box
	name  string // "" is not kept: nobody knows whose it is
	known bool   // there is a place to go on from
	at    gitstore.Version
	done  map[string]bool  // paths of the records after at that are done as well
	saved gitstore.Version // what was last written down
	told  bool             // that it cannot be
}

// cursor returns the actor's own for a verb. The person of a clone has one too.
func (b *Box) cursor(verb string, who Actor) *cursor {
	c := &cursor{b: b}
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
		b.opt.Report(asMail(err).Error() + "; it goes on from now")
	}
	c.known, c.at, c.done, c.saved = ok, kept.Version, kept.Done, kept.Version
	return c
}

// start begins at a version, because there is no place to go on from.
func (c *cursor) start(v gitstore.Version) {
	c.known, c.at, c.done = true, v, nil
	c.write()
}

// save notes that everything up to where the cursor is has been handed over.
func (c *cursor) save() {
	if c.known && c.at != c.saved {
		c.write()
	}
}

func (c *cursor) write() {
	c.saved = c.at
	if c.name != "" {
		c.report(c.b.store.SaveCursor(c.name, c.at))
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
		c.b.opt.Report(asMail(err).Error() + "; what is shown now may be shown again by the next call")
	}
}
