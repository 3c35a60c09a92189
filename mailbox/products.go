package mailbox

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/mail"
)

// A product is a named set of repositories of this machine. That a repository belongs to
// one is recorded in its own log, where it survives and goes to other clones; the list of
// known repositories only says where to look, and keeps the names of products that have
// none yet.

// maxProductName is the greatest length of a product's name, in bytes.
const maxProductName = 200

// productUID is how many hexadecimal digits the uid of a product has that brought none.
const productUID = 20

// EnsureProduct finds a product by its key, which is its uid or exact name, or by its name,
// and else makes it. A key of 8 to 64 hexadecimal digits becomes the uid.
func (p *Projects) EnsureProduct(ctx context.Context, key, name string) (Product, error) {
	key, name = strings.TrimSpace(key), strings.TrimSpace(name)
	if key == "" && name == "" {
		return Product{}, mail.Errorf(mail.Invalid, "a product needs a key or a name").Hint("git agentmail product ensure NAME")
	}
	for _, s := range []string{key, name} {
		if err := checkProduct(s); err != nil {
			return Product{}, err
		}
	}
	all := p.products(ctx)
	found := productsBy(all, key)
	if len(found) == 0 {
		found = productsBy(all, name)
	}
	if len(found) > 1 {
		return Product{}, severalProducts(cmp.Or(key, name), found)
	}
	uid := strings.ToLower(key)
	if !mail.IsProductUID(uid) {
		random := make([]byte, productUID/2)
		p.opt.Rand(random)
		uid = fmt.Sprintf("%x", random)
	}
	made := knownProduct{UID: uid, Name: cmp.Or(name, key), Created: p.opt.Now().UTC().Truncate(time.Millisecond)}
	if len(found) == 1 {
		made = found[0].knownProduct
	}
	err := p.register(ctx, func(r *registry) {
		// Somebody may have come first.
		i := slices.IndexFunc(r.Products, func(o knownProduct) bool { return o.UID == made.UID || len(found) == 0 && o.Name == made.Name })
		if i >= 0 {
			made = r.Products[i]
			r.Products = slices.Delete(r.Products, i, i+1)
		}
		r.Products = append(r.Products, made)
	})
	if err != nil {
		return Product{}, err
	}
	return made.view(), nil
}

// checkProduct refuses what cannot name a product.
func checkProduct(s string) error {
	mark := mail.Placeholder(s)
	switch {
	case mark != "":
		return mail.Errorf(mail.Invalid, "%q is a placeholder (%s), not a product", clip(s, 80), mark).Typed("CONFIGURATION_ERROR").
			With("detected_placeholder", mark).With("fix_hint", "give the product a name of its own").Hint("git agentmail product ensure NAME")
	case len(s) > maxProductName || !utf8.ValidString(s) || oneLine(s) != s:
		return mail.Errorf(mail.Invalid, "the product %q is longer than %d bytes or no single line", clip(s, 40), maxProductName)
	}
	return nil
}

func (k knownProduct) view() Product { return Product{k.UID, k.UID, k.Name, TS(k.Created)} }

// productMembers is a product and the repositories that belong to it.
type productMembers struct {
	knownProduct
	members []knownRepo
}

// products finds all products: by the logs of known repositories, and by the list of names.
func (p *Projects) products(ctx context.Context) map[string]*productMembers {
	all := map[string]*productMembers{}
	for _, k := range p.registry().Products {
		all[k.UID] = &productMembers{knownProduct: k}
	}
	for _, k := range p.candidates(ctx) {
		repo, err := p.findAt(ctx, k.Path, gitstore.Elsewhere(p.opt.Environ))
		if err != nil {
			continue
		}
		b := newBox(ctx, repo, p.opt) // not one that stays open: most belong to none
		linked, err := b.products(ctx)
		b.Close()
		if err != nil {
			p.opt.Report(fmt.Sprintf("%s was passed over: %v", k.HumanKey, err))
		}
		for uid, l := range linked {
			if all[uid] == nil {
				all[uid] = &productMembers{knownProduct: knownProduct{uid, l.Name.Value, l.Since.Time().UTC()}}
			}
			all[uid].members = append(all[uid].members, k)
		}
	}
	return all
}

// products returns what this repository belongs to.
func (b *Box) products(ctx context.Context) (mail.Products, error) {
	list := mail.Products{}
	sn, err := b.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return list, b.walk(ctx, sn, "products/", nil, list.Apply)
}

func productsBy(all map[string]*productMembers, key string) (found []*productMembers) {
	if p := all[strings.ToLower(key)]; p != nil {
		return []*productMembers{p}
	}
	for _, p := range all {
		if p.Name == key && key != "" {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b *productMembers) int { return strings.Compare(a.UID, b.UID) })
	return found
}

func severalProducts(key string, found []*productMembers) error {
	var uids []string
	for _, p := range found {
		uids = append(uids, p.UID)
	}
	return mail.Errorf(mail.Invalid, "%d products are called %q: name one by its uid, %s", len(found), key, briefList(uids)).With("candidates", uids)
}

func (p *Projects) product(ctx context.Context, key string) (*productMembers, error) {
	if key = strings.TrimSpace(key); key == "" {
		return nil, mail.Errorf(mail.Invalid, "product_key must not be empty").With("argument", "product_key")
	}
	if err := checkProduct(key); err != nil {
		return nil, err
	}
	all := p.products(ctx)
	found := productsBy(all, key)
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		e := mail.Errorf(mail.NotFound, "no product %q: not found", clip(key, 80)).Hint("git agentmail product ensure %s", shellQuote(key))
		var names []string
		for _, o := range all {
			if len(p.roots) == 0 || len(o.members) > 0 { // the others are nobody's business here
				names = append(names, o.Name)
			}
		}
		if near := mail.Nearest(key, names); len(near) > 0 {
			e.With("suggestions", near)
			e.Hints = append([]string{"did you mean " + strings.Join(near[:min(3, len(near))], ", ") + "?"}, e.Hints...)
		}
		return nil, e
	}
	return nil, severalProducts(key, found)
}

// Product returns a product with its projects.
func (p *Projects) Product(ctx context.Context, key string) (ProductView, error) {
	f, err := p.product(ctx, key)
	if err != nil {
		return ProductView{}, err
	}
	v := ProductView{Product: f.view(), Projects: []ProjectRow{}}
	for _, k := range f.members {
		v.Projects = append(v.Projects, ProjectRow{k.Project, TS(k.Created)})
	}
	return v, nil
}

// LinkProduct makes the repository of an open mailbox part of a product. Again does no
// harm. Where nobody can say who did it, it was the person of the clone.
func (p *Projects) LinkProduct(ctx context.Context, key string, b *Box, who Actor) (ProductLinked, error) {
	f, err := p.product(ctx, key)
	if err != nil {
		return ProductLinked{}, err
	}
	if who.err != nil {
		return ProductLinked{}, who.err
	}
	if who.Kind == IsUnidentified {
		who = Actor{Kind: IsPerson, Name: b.personName(ctx)}
	}
	linked, err := b.products(ctx)
	if err == nil && linked[f.UID] == nil {
		err = b.update(ctx, who, func(w *writer, me *mail.Agent) (string, error) {
			return fmt.Sprintf("product: %s links this repository to %s", me.Name.Value, clip(f.Name, 80)),
				w.add(&mail.ProductLink{Header: w.head(me.ID), Product: f.UID, Name: f.Name})
		})
	}
	if err == nil {
		err = p.remember(ctx, b, b.created(ctx))
	}
	if err != nil {
		return ProductLinked{}, err
	}
	return ProductLinked{Product: f.view(), Project: b.Project(), Linked: true}, nil
}

// eachMember calls fn with the mailbox of each project of a product. One that cannot be
// read is reported and passed over, unless that is so with all.
func (p *Projects) eachMember(ctx context.Context, key string, fn func(*Box) error) (*productMembers, error) {
	f, err := p.product(ctx, key)
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, k := range f.members {
		err := func() error {
			b, release, err := p.Open(ctx, k.Path)
			if err != nil {
				return err
			}
			defer release()
			return fn(b)
		}()
		if ctx.Err() != nil {
			return nil, asMail(ctx.Err())
		}
		if err != nil {
			failed = append(failed, err)
			p.opt.Report(fmt.Sprintf("%s was passed over: %v", k.HumanKey, err))
		}
	}
	if len(failed) > 0 && len(failed) == len(f.members) {
		return nil, failed[0]
	}
	return f, nil
}

// once leaves one of each id: two clones of one repository have the same mail.
func once[T any](list []T, id func(T) string) []T {
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(v T) bool {
		again := seen[id(v)]
		seen[id(v)] = true
		return again
	})
}

// SearchProduct is [Box.Search] over the projects of a product, newest first.
func (p *Projects) SearchProduct(ctx context.Context, key string, q SearchQuery) ([]ProductHit, error) {
	hits := []ProductHit{}
	n, err := q.limit()
	if err != nil {
		return hits, err
	}
	q.Rank, q.Before = false, ""
	_, err = p.eachMember(ctx, key, func(b *Box) error {
		found, err := b.Search(ctx, Actor{Kind: IsPerson}, q)
		for _, h := range found {
			hits = append(hits, ProductHit{SearchHit: h, ProjectID: b.Project().ID, Project: b.Project().HumanKey})
		}
		return err
	})
	slices.SortStableFunc(hits, func(a, b ProductHit) int { return b.CreatedTS.Time().Compare(a.CreatedTS.Time()) })
	hits = once(hits, func(h ProductHit) string { return h.ID })
	return hits[:min(n, len(hits))], err
}

// InboxProduct is [Box.Inbox] over the projects of a product, newest first. Projects in
// which the caller is nobody are left out.
func (p *Projects) InboxProduct(ctx context.Context, key string, c Caller, q InboxQuery) ([]ProductRow, error) {
	rows := []ProductRow{}
	n, err := q.limit()
	if err != nil {
		return rows, err
	}
	q.Before = ""
	var nobody error
	_, err = p.eachMember(ctx, key, func(b *Box) error {
		who, err := b.Who(ctx, c)
		if err != nil {
			return err
		}
		if who.Kind == IsUnidentified {
			if who.Given == "" || mail.Placeholder(who.Given) != "" {
				nobody = who.mayRead() // nowhere else either
			}
			return nil
		}
		list, err := b.Inbox(ctx, who, q)
		for _, r := range list {
			rows = append(rows, ProductRow{r, b.Project().HumanKey})
		}
		return err
	})
	if err == nil {
		err = nobody
	}
	slices.SortStableFunc(rows, func(a, b ProductRow) int { return b.CreatedTS.Time().Compare(a.CreatedTS.Time()) })
	rows = once(rows, func(r ProductRow) string { return r.ID })
	return rows[:min(n, len(rows))], err
}

// SummarizeProduct is [Box.SummarizeThread] of the messages that a thread has in all the
// projects of a product. With examples it names some of the newest.
func (p *Projects) SummarizeProduct(ctx context.Context, key, thread string, q SummaryQuery, examples bool) (ProductSummary, error) {
	thread = strings.TrimSpace(thread)
	if !mail.ValidThread(thread) {
		return ProductSummary{}, mail.Errorf(mail.Invalid, "%q can be no thread", clip(thread, 80)).Typed("INVALID_THREAD_ID")
	}
	all := writing{id: thread}
	names := map[string]string{} // of agents, by id
	var last *Box
	f, err := p.eachMember(ctx, key, func(b *Box) error {
		list, name, err := b.writings(ctx, Actor{Kind: IsPerson}, []string{thread}, &q)
		if mail.CodeOf(err) == mail.NotFound {
			return nil
		}
		if err != nil {
			return err
		}
		all.messages = append(all.messages, list[0].messages...)
		for _, m := range list[0].messages {
			for _, id := range append(m.Recipients(), m.By) {
				names[id] = name(id)
			}
		}
		last = b
		return nil
	})
	if err != nil {
		return ProductSummary{}, err
	}
	if last == nil {
		return ProductSummary{}, mail.Errorf(mail.NotFound, "thread %q not found in the %s of %q", thread, plural(len(f.members), "project"), f.Name).
			Hint("git agentmail product status %s", shellQuote(f.Name))
	}
	slices.SortStableFunc(all.messages, func(a, b *mail.Message) int { return cmp.Or(cmp.Compare(a.At, b.At), a.HLC.Compare(b.HLC)) })
	all.messages = once(all.messages, func(m *mail.Message) string { return m.ID })
	all.read = min(q.Messages, len(all.messages))
	for _, m := range all.messages[:len(all.messages)-all.read] {
		m.Body = "" // of each project the newest were read; these are not among the newest of all
	}
	name := func(id string) string { return cmp.Or(names[id], id) }
	out := ProductSummary{ThreadSummary: ThreadSummary{ThreadID: thread, MessagesRead: all.read, Summary: p.opt.Digest.Summarize(all.messages, name, q.Tokens)}}
	if q.Refine {
		s := &out.Summary
		if out.Refinement, err = last.refine(ctx, q, []writing{all}, name, s, mail.SummaryEntries, &s.KeyPoints, &s.ActionItems, q.Tokens); err != nil {
			return ProductSummary{}, err
		}
	}
	if examples {
		out.Examples = []Example{}
		for _, m := range slices.Backward(all.messages[max(0, len(all.messages)-summaryExamples):]) {
			out.Examples = append(out.Examples, Example{m.ID, m.Subject, name(m.By), ts(m.At)})
		}
	}
	return out, nil
}
