package cli

import (
	"testing"
	"time"
)

func TestParseSpan(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want time.Duration // 0 for an error
	}{
		{"30m", 30 * time.Minute},
		{"1h", time.Hour},
		{"2d", 48 * time.Hour},
		{"1w", 7 * 24 * time.Hour},
		{"90s", 90 * time.Second},
		{"1h30m", 90 * time.Minute},
		{"", 0},
		{"0", 0},
		{"0s", 0},
		{"5", 0},
		{"h", 0},
		{"-1h", 0},
		{"1.5h", 0},
		{"1 h", 0},
		{"1y", 0},
		{"soon", 0},
		{"99999999999999999999h", 0},
		{"106751d106751d", 0},
	} {
		got, err := parseSpan(tt.in)
		if got != tt.want || (err == nil) != (tt.want != 0) {
			t.Errorf("parseSpan(%q) = %v, %v, want %v", tt.in, got, err, tt.want)
		}
	}
}

func TestParseSince(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	at := func(h, m, s int) time.Time { return time.Date(2026, 11, 20, h, m, s, 0, time.UTC) }
	for _, tt := range []struct {
		in   string
		want time.Time // zero for an error
	}{
		{"2h", at(10, 0, 0)},
		{"2026-11-20T10:00Z", at(10, 0, 0)},
		{"2026-11-20T10:00:05Z", at(10, 0, 5)},
		{"2026-11-20T12:00:05+02:00", at(10, 0, 5)},
		{"2026-11-20T12:00+02:00", at(10, 0, 0)},
		{"2026-11-20T10:00", at(10, 0, 0)},
		{"2026-11-20 10:00 UTC", at(10, 0, 0)},
		{"2026-11-20", at(0, 0, 0)},
		{"2026-11-20 10:00 CET", time.Time{}},
		{"10:00", time.Time{}},
		{"yesterday", time.Time{}},
		{"", time.Time{}},
	} {
		got, err := parseSince(tt.in, now)
		if !got.Equal(tt.want) || (err == nil) != !tt.want.IsZero() {
			t.Errorf("parseSince(%q) = %v, %v, want %v", tt.in, got, err, tt.want)
		}
	}
}

func TestSpan(t *testing.T) {
	for _, tt := range []struct {
		in   time.Duration
		want string
	}{
		{0, "0s"},
		{1400 * time.Millisecond, "1s"},
		{59*time.Second + 700*time.Millisecond, "1m"},
		{3*time.Minute + 10*time.Second, "3m"},
		{59*time.Minute + 59*time.Second, "1h"},
		{90 * time.Minute, "1h30m"},
		{3 * time.Hour, "3h"},
		{11*time.Hour + 40*time.Minute, "12h"},
		{47 * time.Hour, "47h"},
		{49 * time.Hour, "2d"},
		{400 * 24 * time.Hour, "400d"},
	} {
		if got := span(tt.in); got != tt.want {
			t.Errorf("span(%v) = %q, want %q", tt.in, got, tt.want)
		}
	}
}
