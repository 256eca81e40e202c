package ahocorasick

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func all(m *Matcher, text string) (out []Match) {
	m.Scan([]byte(text), func(x Match) bool { out = append(out, x); return true })
	return out
}

// naive is the specification: every pattern at every place.
func naive(patterns []string, text string) (out []Match) {
	for end := 1; end <= len(text); end++ {
		var here []Match
		for i, p := range patterns {
			if p != "" && strings.HasSuffix(text[:end], p) {
				here = append(here, Match{i, end - len(p), end})
			}
		}
		slices.SortStableFunc(here, func(a, b Match) int { return a.Start - b.Start })
		out = append(out, here...)
	}
	return out
}

func TestScan(t *testing.T) {
	tests := []struct {
		name, text string
		patterns   []string
	}{
		{"the paper's example", "ushers", []string{"he", "she", "his", "hers"}},
		{"pattern within pattern", "不可欠と不可", []string{"不可", "不可欠", "可"}},
		{"equal patterns", "abab", []string{"ab", "ab"}},
		{"an empty pattern", "aa", []string{"", "a"}},
		{"no patterns", "aa", nil},
		{"overlap with itself", "aaaa", []string{"aa", "aaa"}},
		{"byte 0 and 255", "\x00\xff\x00", []string{"\x00", "\xff\x00"}},
	}
	for _, tt := range tests {
		m, err := New(tt.patterns)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := all(m, tt.text), naive(tt.patterns, tt.text); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", tt.name, got, want)
		}
	}
}

func TestScanStops(t *testing.T) {
	m, _ := New([]string{"a"})
	n := 0
	m.Scan([]byte("aaa"), func(Match) bool { n++; return n < 2 })
	if n != 2 {
		t.Errorf("called %d times", n)
	}
}

func TestAllBytes(t *testing.T) {
	var patterns []string
	for b := range 256 {
		patterns = append(patterns, string([]byte{byte(b)}))
	}
	m, err := New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(patterns, "")
	if got := all(m, text); len(got) != 256 {
		t.Errorf("%d of 256 bytes found", len(got))
	}
}

func TestRandomAgainstNaive(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	word := func(n int) string {
		b := make([]byte, rng.IntN(n))
		for i := range b {
			b[i] = "abc"[rng.IntN(3)]
		}
		return string(b)
	}
	for range 2000 {
		patterns := make([]string, rng.IntN(12))
		for i := range patterns {
			patterns[i] = word(5)
		}
		text := word(60)
		m, err := New(patterns)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := all(m, text), naive(patterns, text); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%q in %q: %v, want %v", patterns, text, got, want)
		}
	}
}

func TestTableIsBounded(t *testing.T) {
	b := make([]byte, 2<<20)
	for i := range b {
		b[i] = byte(i * 7)
	}
	_, err := New([]string{string(b)})
	var size *SizeError
	if !errors.As(err, &size) {
		t.Errorf("error %v, want *SizeError", err)
	}
}

func FuzzScan(f *testing.F) {
	f.Add("he,she,his,hers", "ushers")
	f.Fuzz(func(t *testing.T, list, text string) {
		if len(list) > 200 || len(text) > 400 {
			return
		}
		patterns := strings.Split(list, ",")
		m, err := New(patterns)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := all(m, text), naive(patterns, text); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	rng := rand.New(rand.NewPCG(2, 2))
	text := []byte(strings.Repeat("港湾の運営では、船舶の入港予定と荷役の計画を合わせる必要がある。", 1000))
	patterns := make([]string, 500)
	for i := range patterns {
		r := make([]rune, 2+rng.IntN(4))
		for j := range r {
			r[j] = rune(0x4e00 + rng.IntN(2000))
		}
		patterns[i] = string(r)
	}
	m, err := New(patterns)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		m.Scan(text, func(Match) bool { return true })
	}
}
