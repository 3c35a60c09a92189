package mail

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Version is the greatest v of a record that this package understands.
const Version = 1

// Time is a wall-clock time in milliseconds since 1970, UTC. In JSON it is
// RFC 3339 with exactly three decimals. Wall time is for people and for the end
// of leases; it orders nothing.
type Time int64

const (
	timeLayout      = "2006-01-02T15:04:05.000Z"
	maxTime    Time = 253402300799999 // the end of 9999
)

// At returns t as a Time.
func At(t time.Time) Time { return Time(t.UnixMilli()) }

// Time returns t as a time.Time in UTC.
func (t Time) Time() time.Time { return time.UnixMilli(int64(t)).UTC() }

func (t Time) String() string { return t.Time().Format(timeLayout) }

// MarshalJSON implements json.Marshaler. A time that UnmarshalJSON would not
// accept is an error.
func (t Time) MarshalJSON() ([]byte, error) {
	if t < 0 || t > maxTime {
		return nil, fmt.Errorf("the time %s is not between 1970 and 9999", t)
	}
	return []byte(`"` + t.String() + `"`), nil
}

// UnmarshalJSON implements json.Unmarshaler. The form is fixed, so it is read by
// hand: a fold reads one in each record.
func (t *Time) UnmarshalJSON(b []byte) error {
	const form = `"0000-00-00T00:00:00.000Z"`
	bad := len(b) != len(form)
	for i := 0; i < len(b) && !bad; i++ {
		if form[i] == '0' {
			bad = b[i] < '0' || b[i] > '9'
		} else {
			bad = b[i] != form[i]
		}
	}
	if bad {
		return fmt.Errorf("%s is not a time such as %q", b, "2006-01-02T15:04:05.000Z")
	}
	n := func(from, to int) (v int) {
		for _, c := range b[from:to] {
			v = v*10 + int(c-'0')
		}
		return v
	}
	v := At(time.Date(n(1, 5), time.Month(n(6, 8)), n(9, 11), n(12, 14), n(15, 17), n(18, 20), n(21, 24)*int(time.Millisecond), time.UTC))
	if v < 0 || `"`+v.String()+`"` != string(b) { // such as the 31st of February
		return fmt.Errorf("%s is not a time since 1970", b)
	}
	*t = v
	return nil
}

// Stamp is a hybrid logical clock reading. Stamps of one replica only grow. In
// JSON it is [ms, n].
type Stamp struct {
	MS int64 // milliseconds, at least the wall clock of the writer
	N  int64 // counts up while MS stands still
}

// MarshalJSON implements json.Marshaler.
func (s Stamp) MarshalJSON() ([]byte, error) {
	if s.MS < 0 || s.N < 0 {
		return nil, fmt.Errorf("the stamp %s is negative", s)
	}
	return fmt.Appendf(nil, "[%d,%d]", s.MS, s.N), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Stamp) UnmarshalJSON(b []byte) error {
	inner, ok := bytes.CutPrefix(b, []byte("["))
	inner, ok2 := bytes.CutSuffix(inner, []byte("]"))
	ms, n, ok3 := bytes.Cut(inner, []byte(","))
	var err1, err2 error
	s.MS, err1 = strconv.ParseInt(string(ms), 10, 64)
	s.N, err2 = strconv.ParseInt(string(n), 10, 64)
	if !ok || !ok2 || !ok3 || err1 != nil || err2 != nil || s.MS < 0 || s.N < 0 {
		return fmt.Errorf("%s is not a stamp [ms,counter]", b)
	}
	return nil
}

func (s Stamp) String() string { return fmt.Sprintf("%d.%d", s.MS, s.N) }

// ParseStamp reads what String wrote; anything else is the zero stamp.
func ParseStamp(text string) Stamp {
	ms, n, _ := strings.Cut(text, ".")
	var s Stamp
	var err1, err2 error
	s.MS, err1 = strconv.ParseInt(ms, 10, 64)
	s.N, err2 = strconv.ParseInt(n, 10, 64)
	if err1 != nil || err2 != nil || s.MS < 0 || s.N < 0 || s.String() != text {
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
	switch ms := now.UnixMilli(); {
	case ms > c.last.MS:
		c.last = Stamp{MS: ms}
	case c.last.N < math.MaxInt64:
		c.last.N++
	case c.last.MS < math.MaxInt64: // only a forged stamp can bring us here
		c.last = Stamp{MS: c.last.MS + 1}
	}
	return c.last
}
