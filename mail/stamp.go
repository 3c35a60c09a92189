package mail

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Version is the greatest v of a record that this package understands.
const Version = 1

// Time is a wall-clock time in milliseconds since 1970, UTC. In JSON it is
// RFC 3339 with exactly three decimals. Wall time is for people and for the end
// of leases; it orders nothing.
type Time int64

const timeLayout = "2006-01-02T15:04:05.000Z"

// At returns t as a Time.
func At(t time.Time) Time { return Time(t.UnixMilli()) }

// Time returns t as a time.Time in UTC.
func (t Time) Time() time.Time { return time.UnixMilli(int64(t)).UTC() }

func (t Time) String() string { return t.Time().Format(timeLayout) }

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) { return []byte(`"` + t.String() + `"`), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (t *Time) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	v, err := time.Parse(timeLayout, s)
	if err != nil {
		return fmt.Errorf("%q is not a time such as %q", s, "2006-01-02T15:04:05.000Z")
	}
	if v.Year() < 1970 || v.Year() > 9999 {
		return fmt.Errorf("the year of %q is out of range", s)
	}
	*t = At(v)
	return nil
}

// Stamp is a hybrid logical clock reading. Stamps of one replica only grow. In
// JSON it is [ms, n].
type Stamp struct {
	MS int64 // milliseconds, at least the wall clock of the writer
	N  int64 // counts up while MS stands still
}

// MarshalJSON implements json.Marshaler.
func (s Stamp) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "[%d,%d]", s.MS, s.N), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (s *Stamp) UnmarshalJSON(b []byte) error {
	var v []int64
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	if len(v) != 2 || v[0] < 0 || v[1] < 0 {
		return fmt.Errorf("%s is not a stamp [ms, counter]", b)
	}
	s.MS, s.N = v[0], v[1]
	return nil
}

func (s Stamp) String() string { return fmt.Sprintf("%d.%d", s.MS, s.N) }

// ParseStamp reads what String wrote; anything else is the zero stamp.
func ParseStamp(text string) Stamp {
	var s Stamp
	if n, err := fmt.Sscanf(text, "%d.%d", &s.MS, &s.N); err != nil || n != 2 || s.MS < 0 || s.N < 0 {
		return Stamp{}
	}
	return s
}

// Compare orders stamps.
func (s Stamp) Compare(o Stamp) int {
	return cmp.Or(cmp.Compare(s.MS, o.MS), cmp.Compare(s.N, o.N))
}

// Mark is where a record stands in the order that decides between writers: its
// stamp, then its replica.
type Mark struct {
	Stamp   Stamp  `json:"hlc"`
	Replica string `json:"replica"`
}

// Compare orders marks; the greater one is the later writer.
func (m Mark) Compare(o Mark) int {
	return cmp.Or(m.Stamp.Compare(o.Stamp), strings.Compare(m.Replica, o.Replica))
}

// MaxSkew is how far a foreign clock may be ahead. A stamp further ahead is not
// adopted, and a lease issued further ahead does not count: one clone ten years
// ahead must not drag everybody along.
const MaxSkew = 5 * time.Minute

// Clock gives out the stamps of one replica.
type Clock struct{ last Stamp }

// NewClock returns a clock that goes on after last, the replica's newest stamp.
func NewClock(last Stamp) *Clock { return &Clock{last} }

// Adopt makes later stamps greater than s, unless s is more than MaxSkew ahead
// of now.
func (c *Clock) Adopt(s Stamp, now time.Time) {
	if s.MS <= now.Add(MaxSkew).UnixMilli() && s.Compare(c.last) > 0 {
		c.last = s
	}
}

// Overwrite makes later stamps greater than s, the stamp of a value about to be
// replaced, however far ahead it is: a value from a wrong clock must stay
// replaceable.
func (c *Clock) Overwrite(s Stamp) {
	if s.Compare(c.last) > 0 {
		c.last = s
	}
}

// Next returns the next stamp.
func (c *Clock) Next(now time.Time) Stamp {
	if ms := now.UnixMilli(); ms > c.last.MS {
		c.last = Stamp{MS: ms}
	} else {
		c.last.N++
	}
	return c.last
}
