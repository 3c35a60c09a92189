package gitstore

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
)

// pushing is the second half of an exchange: a hub is given what it has not got of the own
// log, what something removed from it of those that it had, and a new version of its table.
type pushing struct {
	s      *Store
	remote string
	hub    *hubFile
	prefix string              // of the branches that this clone may push
	before map[string]imageRef // what the hub had before the fetch
	image  map[string]imageRef // and after it
	refs   map[string]OID      // of which that was made
	table  *pushSpec           // nil if it stays
	out    *SyncResult

	sn      *Snapshot
	own     pushSpec // its oid is "" if there is nothing to push
	missing []pushSpec
}

func (p *pushing) push(ctx context.Context) (err error) {
	if p.sn, err = p.s.Snapshot(ctx); err != nil {
		return err
	}
	there := p.image[p.sn.own]
	ladder := places(p.hub, p.prefix, p.sn.own, there)
	if err := p.ours(ctx, there, ladder[0]); err != nil {
		return err
	}
	if err := p.lacks(ctx, ladder[0]); err != nil {
		return err
	}
	var failed error
	for i, place := range ladder {
		specs := p.specs(place)
		if len(specs) == 0 {
			return nil
		}
		record := p.s.repo.begin(ctx, "update-ref", "--stdin")
		done, refused, refusal := p.s.pushTo(ctx, p.remote, p.hub, specs)
		if p.table != nil && len(specs) > 1 && len(done)+len(refused) == 0 && ctx.Err() == nil {
			// What lies between may refuse the whole push for the sake of the table.
			done, refused, _ = p.s.pushTo(ctx, p.remote, p.hub, slices.DeleteFunc(slices.Clone(specs), pushSpec.isTable))
		}
		orders, err := p.taken(ctx, done)
		if rerr := record(orders); err == nil && rerr != nil && orders != "" {
			err = gitFailure("write down what the remote has", rerr)
		}
		if err != nil || len(done) == len(specs) {
			return err
		}
		if len(done) == len(specs)-1 && p.table != nil && slices.ContainsFunc(refused, pushSpec.isTable) {
			p.out.Contended = true
			return nil
		}
		// Only who was never taken looks for another place. A remote that has taken our log
		// before does so again, and one that seems to have lost it may only seem so: what lies
		// between can make git believe that there are no refs, and then the lease refuses.
		failed = refusal
		known := slices.Contains(p.hub.Had, place) || p.prefix == "" && (slices.Contains(p.hub.Had, logRef(p.sn.own)) || p.before[p.sn.own].oid != "")
		if p.own.oid == "" || p.own.old != "" || known {
			break
		}
		p.out.Refuses = ladder[:i+1]
	}
	if p.own.oid == "" {
		p.out.Refuses = nil
	} else if p.s.earlier(p.own.old, p.sn.logs[p.sn.own]) {
		return unreachable("push the log of this clone, which was truncated (a host with receive.denyNonFastForwards takes no such branch), to", p.remote, failed)
	}
	return notTaken(p.out.Refuses, unreachable("push to", p.remote, failed))
}

// ours finds out whether the own log is to be pushed, and signs it. best is its first place.
func (p *pushing) ours(ctx context.Context, there imageRef, best string) error {
	own := p.sn.own
	if p.out.Place = there.ref; p.refs[best] != "" {
		p.out.Place = best
	}
	p.own = pushSpec{replica: own}
	t := p.sn.logs[own]
	refused := !p.out.forged && there.ref == best && slices.ContainsFunc(p.out.Refused, func(r Refused) bool { return r.Replica == own })
	if t == nil || refused || p.refs[best] == t.OID || there.archived && there.oid == t.OID {
		return nil
	}
	t, err := p.s.signed(ctx, t)
	if err == nil {
		p.own.oid = t.OID
	}
	return err
}

// lacks finds what something removed from the hub.
func (p *pushing) lacks(ctx context.Context, best string) (err error) {
	var list []pushSpec
	for _, ref := range p.hub.Had {
		replica := replicaOf(ref)
		twice := slices.ContainsFunc(list, func(m pushSpec) bool { return m.replica == replica })
		if _, there := p.image[replica]; !there && !twice && p.sn.logs[replica] != nil && replica != p.sn.own {
			list = append(list, pushSpec{to: ref, oid: p.sn.logs[replica].OID, replica: replica})
		}
	}
	p.missing, err = p.s.gather(ctx, p.sn, list, best)
	return err
}

// specs returns what goes with one push, if the own log goes to place.
func (p *pushing) specs(place string) (list []pushSpec) {
	if p.own.oid != "" {
		p.own.to, p.own.old = place, p.refs[place]
		list = append(list, p.own)
	}
	for _, m := range p.missing {
		if mayPush(place, m.to) {
			list = append(list, m)
		}
	}
	if p.table != nil {
		table := *p.table
		if table.old == "" && strings.HasPrefix(place, branchPrefix) {
			table.to = tableBranch
		}
		if mayPush(place, table.to) {
			list = append(list, table)
		}
	}
	return list
}

// taken notes what the hub has taken, and returns what git is to write down of it: the next look
// must not take it for something that is missing.
func (p *pushing) taken(ctx context.Context, done []pushSpec) (orders string, err error) {
	for _, d := range done {
		if d.isTable() {
			t := p.out.Table
			t.ref, t.at, t.tip = d.to, d.oid, d.oid
			more, err := p.s.tableOrders(p.remote, t, true)
			if err != nil {
				return orders, err
			}
			orders += more
			p.table = nil
			continue
		}
		if d.replica != "" && d.replica == p.sn.own {
			if p.out.Pushed, err = p.s.count(ctx, cmp.Or(d.old, p.image[p.sn.own].oid), d.oid); err != nil {
				return orders, err
			}
			branch := strings.HasPrefix(d.to, branchPrefix)
			p.out.Place, p.out.Fell = d.to, branch && !p.hub.Branches && p.prefix == ""
			p.hub.Branches, p.own.oid = branch, ""
		} else if d.replica != "" {
			p.out.Restored = append(p.out.Restored, d.replica)
		} else if logs, err := p.s.archived(d.oid); err == nil {
			p.out.Restored = append(p.out.Restored, slices.Sorted(maps.Keys(logs))...)
		}
		orders += "update " + hubPrefix + hubID(p.remote) + "/" + imageName(d.to) + " " + d.oid + "\n"
	}
	p.missing = slices.DeleteFunc(p.missing, func(m pushSpec) bool { return slices.Contains(done, m) })
	return orders, nil
}
