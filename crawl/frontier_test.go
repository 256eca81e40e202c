package crawl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/borea-go/borea/dataset"
)

// TestFrontiers holds both kinds to the same contract.
func TestFrontiers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "frontier.db")
	stored, err := OpenFrontier(path)
	require.NoError(t, err)
	t.Run("memory", func(t *testing.T) { checkFrontier(t, NewMemoryFrontier()) })
	t.Run("bolt", func(t *testing.T) { checkFrontier(t, stored) })
	require.NoError(t, stored.Close())

	again, err := OpenFrontier(path)
	require.NoError(t, err)
	defer again.Close()
	l, err := again.Lane("a", 3)
	require.NoError(t, err)
	checkEnd(t, again, l)
}

func checkFrontier(t *testing.T, f Frontier) {
	l, err := f.Lane("a", 3)
	require.NoError(t, err)
	_, ok, err := l.Head()
	require.NoError(t, err)
	require.False(t, ok)
	a, b, c := Item{URL: "http://a/"}, Item{URL: "http://b/", Depth: 1}, Item{URL: "http://c/", Depth: 1, Sitemap: true}
	require.NoError(t, l.Add(a, a, b))
	require.NoError(t, l.Add(b, a))
	head, ok, err := l.Head()
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, a, head)
	require.ErrorIs(t, l.Commit(Visit{Item: b, Reason: Denied}), ErrNotHead)
	s := dataset.Sample{ID: "id1", Text: "文"}
	until := time.Unix(1_800_000_000, 5)
	require.NoError(t, l.Commit(Visit{
		Item: a, Sample: &s, Seen: []string{"http://alias/"}, Links: []Item{a, c, {URL: "http://alias/"}, {URL: "http://d/"}, {URL: "http://e/"}},
		Host: "a", HoldUntil: until,
	}))
	require.NoError(t, f.Hold("a", until.Add(-time.Hour)))
	require.NoError(t, l.Commit(Visit{Item: b, Reason: Denied}))
	require.NoError(t, l.Commit(Visit{Item: c, Reason: Sitemap}))
	other, err := f.Lane("b", 3)
	require.NoError(t, err)
	require.NoError(t, other.Add(a))
	n, err := other.Counts()
	require.NoError(t, err)
	require.Equal(t, Counts{Queued: 1, Drops: map[Reason]int{}}, n)
	checkEnd(t, f, l)
}

func checkEnd(t *testing.T, f Frontier, l Lane) {
	counts, err := l.Counts()
	require.NoError(t, err)
	require.Equal(t, Counts{Visited: 3, Kept: 1, Queued: 1, Overflow: 1, Drops: map[Reason]int{Denied: 1, Sitemap: 1}}, counts)
	require.Equal(t, 2, counts.pages())
	head, ok, err := l.Head()
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "http://d/", head.URL)
	got, ok, err := l.Sample(0)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, dataset.Sample{ID: "id1", Text: "文"}, got)
	_, ok, err = l.Sample(1)
	require.NoError(t, err)
	require.False(t, ok)
	for id, want := range map[string]bool{"id1": true, "id2": false} {
		has, err := l.HasContent(id)
		require.NoError(t, err)
		require.Equal(t, want, has, id)
	}
	holds, err := f.Holds()
	require.NoError(t, err)
	require.Len(t, holds, 1)
	require.True(t, holds["a"].Equal(time.Unix(1_800_000_000, 5)))
}

func TestOpenFrontierRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f.db")
	f, err := OpenFrontier(path)
	require.NoError(t, err)
	_, err = OpenFrontier(path)
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, f.Close())

	good, err := os.ReadFile(path)
	require.NoError(t, err)
	for name, b := range map[string][]byte{"garbage": bytes.Repeat([]byte("no frontier "), 2000), "short": []byte("x"), "torn": good[:len(good)/4], "zeros": make([]byte, len(good))} {
		bad := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(bad, b, 0o644))
		f, err := OpenFrontier(bad)
		require.Error(t, err, name)
		require.Nil(t, f, name)
		require.Contains(t, err.Error(), bad)
	}
	db, err := bolt.Open(path, 0o644, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bolt.Tx) error { return tx.Bucket(metaBucket).Put(versionKey, []byte("99")) }))
	require.NoError(t, db.Close())
	_, err = OpenFrontier(path)
	require.ErrorIs(t, err, ErrFrontier)
	_, err = OpenFrontier(filepath.Join(dir, "no", "such", "dir"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestDamagedFrontier flips bytes of a good file: whatever is read or refused,
// the process lives.
func TestDamagedFrontier(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f.db")
	f, err := OpenFrontier(path)
	require.NoError(t, err)
	l, err := f.Lane("a", 1000)
	require.NoError(t, err)
	for i := range 300 {
		require.NoError(t, l.Add(Item{URL: fmt.Sprint("http://a/", i)}))
	}
	require.NoError(t, f.Close())
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	rng := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for i := range 60 {
		b := bytes.Clone(good)
		for range 1 + i%8 {
			b[rng.IntN(len(b))] = byte(rng.Uint32())
			b[rng.IntN(len(b)/64)*64+rng.IntN(16)] = 0xff // page headers and element tables
		}
		bad := filepath.Join(dir, "bad.db")
		require.NoError(t, os.WriteFile(bad, b, 0o644))
		if useFrontier(bad) != nil {
			refused++
		}
	}
	t.Logf("%d of 60 refused", refused)
	require.Positive(t, refused)
}

func useFrontier(path string) error {
	f, err := OpenFrontier(path)
	if err != nil {
		return err
	}
	l, err := f.Lane("a", 1000)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	it, _, err := l.Head()
	err = errors.Join(err, l.Add(Item{URL: "http://new/"}), l.Commit(Visit{Item: it, Reason: Denied}))
	_, e := l.Counts()
	return errors.Join(err, e, f.Close())
}

const resumePages = 40

func encodeSamples(t *testing.T, samples []dataset.Sample) string {
	t.Helper()
	b, err := json.Marshal(samples)
	require.NoError(t, err)
	return string(b)
}

func TestBreakAndContinue(t *testing.T) {
	s := newStage(t, linked("", resumePages))
	s.opts.MaxDepth = 100
	whole, _ := s.crawl()
	require.Len(t, whole, resumePages)
	s.mu.Lock()
	s.log = nil
	s.mu.Unlock()
	s.env.Frontier = NewMemoryFrontier()
	c, err := New(s.opts, s.seeds, s.env)
	require.NoError(t, err)
	for range 3 {
		n := 0
		for _, err := range c.Samples(context.Background()) {
			require.NoError(t, err)
			if n++; n == 7 {
				break
			}
		}
		require.Equal(t, 7, n)
	}
	rest, _ := s.crawl()
	require.Equal(t, encodeSamples(t, whole), encodeSamples(t, rest))
	seen := map[string]int{}
	for _, p := range s.paths() {
		if seen[p]++; p != "/robots.txt" && seen[p] > 2 {
			t.Errorf("%s was fetched %d times", p, seen[p])
		}
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("stop"))
	for _, err := range c.Samples(ctx) {
		if err != nil {
			require.EqualError(t, err, "stop")
		}
	}
}

// crawlChild is the process that TestKillAndContinue kills.
const childFrontier, childServer = "BOREA_CRAWL_FRONTIER", "BOREA_CRAWL_SERVER"

func TestMain(m *testing.M) {
	if path := os.Getenv(childFrontier); path != "" {
		crawlChild(path, os.Getenv(childServer))
		return
	}
	os.Exit(m.Run())
}

func resumeOptions() Options {
	o := DefaultOptions()
	o.AllowLoopback, o.DelaySeconds, o.MaxDepth, o.MaxSitemaps = true, 0.002, 100, 0
	return o
}

func crawlChild(path, server string) {
	f, err := OpenFrontier(path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	c, err := New(resumeOptions(), []Seed{{URL: "http://" + testHost + "/"}}, Env{Frontier: f, Hosts: map[string]string{testHost + ":80": server}})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for _, err := range c.Samples(context.Background()) {
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("sample")
	}
}

// TestKillAndContinue kills a crawling process again and again. What is found in
// the end equals an uninterrupted crawl, and a kill costs at most one page.
func TestKillAndContinue(t *testing.T) {
	s := newStage(t, linked("User-agent: *\nDisallow: /none\n", resumePages))
	s.opts = resumeOptions()
	s.env.Now, s.env.Sleep = nil, nil
	whole, _ := s.crawl()
	s.mu.Lock()
	s.log = nil
	s.mu.Unlock()
	path := filepath.Join(t.TempDir(), "frontier.db")
	kills := 0
	for round := range 100 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childFrontier+"="+path, childServer+"="+s.env.Hosts[testHost+":80"])
		var out bytes.Buffer
		cmd.Stdout = &out
		require.NoError(t, cmd.Start())
		killer := time.AfterFunc(time.Duration(10+7*(round%13))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		err := cmd.Wait()
		killer.Stop()
		if err == nil {
			break
		}
		require.NotContains(t, out.String(), "crawl:")
		kills++
	}
	require.Positive(t, kills)
	f, err := OpenFrontier(path)
	require.NoError(t, err)
	defer f.Close()
	s.env.Frontier = f
	before := len(s.paths())
	rest, _ := s.crawl()
	require.Equal(t, encodeSamples(t, whole), encodeSamples(t, rest))
	pages := strings.Count(strings.Join(s.paths(), " ")+" ", "/") - strings.Count(strings.Join(s.paths(), " "), "/robots.txt")
	require.LessOrEqual(t, pages, resumePages+kills)
	t.Logf("%d kills, %d page requests for %d pages, %d after the last", kills, pages, resumePages, len(s.paths())-before)
}
