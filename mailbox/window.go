package mailbox

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// windowsFile holds the terminal windows that have registered agents here: whoever
// registers without a name in a window that is known goes on under the name that this
// has. Windows are of one machine, so they are in no log.
const windowsFile = "windows.json"

// windowDays is how many days without use a window is remembered, unless
// MCP_AGENT_MAIL_WINDOW_TTL_DAYS says otherwise.
const windowDays = 30

// window is a window as it is kept.
type window struct {
	ID         string    `json:"id"`
	UUID       string    `json:"window_uuid"`
	Name       string    `json:"display_name"`
	Created    mail.Time `json:"created"`
	LastActive mail.Time `json:"last_active"`
	Expired    bool      `json:"expired,omitempty"`
}

func windows(data []byte) []window {
	var list []window
	if json.Unmarshal(data, &list) != nil {
		return nil // the next registration in each window makes it known again
	}
	return list
}

// windowUUID returns a UUID as it is kept; ok is false if s is none.
func windowUUID(s string) (uuid string, ok bool) {
	plain := strings.ToLower(strings.TrimSpace(s))
	if len(plain) == 36 && plain[8] == '-' && plain[13] == '-' && plain[18] == '-' && plain[23] == '-' {
		plain = strings.ReplaceAll(plain, "-", "")
	}
	if raw, err := hex.DecodeString(plain); err != nil || len(raw) != 16 {
		return "", false
	}
	return plain[:8] + "-" + plain[8:12] + "-" + plain[12:16] + "-" + plain[16:20] + "-" + plain[20:], true
}

// windowTTL is how long a window is remembered after its last use.
func (b *Box) windowTTL() time.Duration {
	days, err := strconv.Atoi(strings.TrimSpace(b.getenv("MCP_AGENT_MAIL_WINDOW_TTL_DAYS")))
	if err != nil || days < 1 || days > 36500 {
		days = windowDays
	}
	return time.Duration(days) * 24 * time.Hour
}

func (b *Box) windowEnds(w window) time.Time { return w.LastActive.Time().Add(b.windowTTL()) }

func (b *Box) windowLive(w window) bool { return !w.Expired && b.now().Before(b.windowEnds(w)) }

// window returns the window of a UUID that is known and has not expired.
func (b *Box) window(uuid string) (window, bool, error) {
	data, err := b.store.State(windowsFile)
	if err != nil {
		return window{}, false, asMail(err)
	}
	for _, w := range windows(data) {
		if w.UUID == uuid && b.windowLive(w) {
			return w, true, nil
		}
	}
	return window{}, false, nil
}

// useWindow notes that an agent was registered in a window, which from then on has that
// name, if it is new or its old name could not be had.
func (b *Box) useWindow(ctx context.Context, uuid, name string, rename bool) (window, error) {
	var used window
	err := b.changeWindows(ctx, func(list []window) ([]window, error) {
		now := mail.At(b.now())
		list = slices.DeleteFunc(list, func(w window) bool { return !b.windowLive(w) })
		i := slices.IndexFunc(list, func(w window) bool { return w.UUID == uuid })
		if i < 0 {
			i = len(list)
			list = append(list, window{ID: mail.NewID(b.opt.Rand), UUID: uuid, Name: name, Created: now})
		}
		if list[i].LastActive = now; rename {
			list[i].Name = name
		}
		used = list[i]
		return list, nil
	})
	return used, err
}

func (b *Box) changeWindows(ctx context.Context, change func([]window) ([]window, error)) error {
	return asMail(b.store.ChangeState(ctx, windowsFile, func(old []byte) ([]byte, error) {
		list, err := change(windows(old))
		if err != nil {
			return nil, err
		}
		data, err := json.MarshalIndent(list, "", " ")
		return append(data, '\n'), err
	}))
}

// Windows lists the terminal windows that are known in this repository and have not
// expired, the one that was used last first.
func (b *Box) Windows(context.Context) (Windows, error) {
	out := Windows{Identities: []Window{}}
	data, err := b.store.State(windowsFile)
	if err != nil {
		return out, asMail(err)
	}
	list := windows(data)
	slices.SortStableFunc(list, func(x, y window) int { return cmp.Compare(y.LastActive, x.LastActive) })
	for _, w := range list {
		if b.windowLive(w) {
			out.Identities = append(out.Identities, Window{
				ID: w.ID, UUID: w.UUID, DisplayName: w.Name, CreatedTS: ts(w.Created), LastActiveTS: ts(w.LastActive),
				ExpiresTS: TS(b.windowEnds(w)), AgeDays: int(b.now().Sub(w.Created.Time()) / (24 * time.Hour)),
			})
		}
	}
	out.Count = len(out.Identities)
	return out, nil
}

// RenameWindow gives a window the name under which agents that register in it without
// one go on.
func (b *Box) RenameWindow(ctx context.Context, uuid, name string) (RenamedWindow, error) {
	var out RenamedWindow
	clean := mail.CleanName(name)
	if !mail.ValidName(clean) {
		e := mail.Errorf(mail.Invalid, "%q cannot be the name of an agent, and so not of a window", name).Typed("INVALID_DISPLAY_NAME")
		if m, wrong := mail.NameMistake(name); wrong {
			e.With("mistake", "it looks like "+m.Why)
		}
		return out, e
	}
	err := b.changeWindow(ctx, uuid, func(w *window) {
		old := w.Name
		w.Name, w.LastActive = clean, mail.At(b.now())
		out = RenamedWindow{ID: w.ID, UUID: w.UUID, DisplayName: w.Name, OldDisplayName: old, LastActiveTS: ts(w.LastActive)}
	})
	return out, err
}

// ExpireWindow forgets a window: whoever registers in it next is somebody new.
func (b *Box) ExpireWindow(ctx context.Context, uuid string) (ExpiredWindow, error) {
	var out ExpiredWindow
	err := b.changeWindow(ctx, uuid, func(w *window) {
		w.Expired = true
		out = ExpiredWindow{UUID: w.UUID, DisplayName: w.Name, Expired: true, ExpiredAt: TS(b.now())}
	})
	return out, err
}

// changeWindow changes one window that is known.
func (b *Box) changeWindow(ctx context.Context, id string, change func(*window)) error {
	uuid, ok := windowUUID(id)
	if !ok {
		return mail.Errorf(mail.Invalid, "%q is no UUID, as windows are called", id).Typed("INVALID_WINDOW_UUID").Hint("git agentmail window list")
	}
	unknown := mail.Errorf(mail.NotFound, "window %q not found, or expired", id).Typed("WINDOW_NOT_FOUND").Hint("git agentmail window list")
	if _, known, err := b.window(uuid); err != nil || !known { // no mailbox is made for the question
		if err == nil {
			err = unknown
		}
		return err
	}
	return b.changeWindows(ctx, func(list []window) ([]window, error) {
		for i := range list {
			if list[i].UUID == uuid && b.windowLive(list[i]) {
				change(&list[i])
				return list, nil
			}
		}
		return nil, unknown
	})
}
