package hub

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/internal/crashfs"
)

const (
	commit = "0123456789abcdef0123456789abcdef01234567"
	canary = "hf_CANARYcanaryCANARY"
)

// fakeHub is an endpoint that redirects large files to a second host, as the hub
// does to its delivery network.
type fakeHub struct {
	t        *testing.T
	endpoint *httptest.Server
	cdn      *httptest.Server
	mu       sync.Mutex
	files    map[string][]byte
	wrong    bool   // the CDN serves other bytes than the hub announces
	cutAfter int    // the CDN hangs up after so many bytes of each answer
	tag      string // the CDN's ETag
	ranges   []string
	token    string // required, if set
	hook     func(w http.ResponseWriter, r *http.Request) bool
}

func newFakeHub(t *testing.T) *fakeHub {
	h := &fakeHub{t: t, files: map[string][]byte{}, tag: `"cdn-1"`}
	h.cdn = httptest.NewServer(http.HandlerFunc(h.deliver))
	h.endpoint = httptest.NewServer(http.HandlerFunc(h.resolve))
	t.Cleanup(h.cdn.Close)
	t.Cleanup(h.endpoint.Close)
	return h
}

func sha256Hex(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func gitHash(b []byte) string {
	s := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(b)), b...))
	return hex.EncodeToString(s[:])
}

func (h *fakeHub) resolve(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.hook != nil && h.hook(w, r) {
		return
	}
	if h.token != "" && r.Header.Get("Authorization") != "Bearer "+h.token {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	rest, ok := strings.CutPrefix(r.URL.Path, "/datasets/own/set/resolve/")
	rev, name, _ := strings.Cut(rest, "/")
	body, known := h.files[name]
	if !ok || !known || rev != commit && rev != "main" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("X-Repo-Commit", commit)
	if len(body) < 100 { // small: served here, named by git's hash
		w.Header().Set("ETag", `"`+gitHash(body)+`"`)
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = w.Write(body)
		return
	}
	w.Header().Set("X-Linked-Etag", `"`+sha256Hex(body)+`"`)
	w.Header().Set("X-Linked-Size", fmt.Sprint(len(body)))
	http.Redirect(w, r, h.cdn.URL+"/"+name+"?signature=s", http.StatusFound)
}

func (h *fakeHub) deliver(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.Header.Get("Authorization") != "" {
		h.t.Error("the token went to another host")
	}
	body := h.files[strings.TrimPrefix(r.URL.Path, "/")]
	if h.wrong {
		body = append([]byte("x"), body[1:]...)
	}
	from := 0
	h.ranges = append(h.ranges, r.Header.Get("Range"))
	if h.tag != "" {
		w.Header().Set("ETag", h.tag)
	}
	if rg := r.Header.Get("Range"); rg != "" && r.Header.Get("If-Range") == h.tag {
		_, err := fmt.Sscanf(rg, "bytes=%d-", &from)
		require.NoError(h.t, err)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(body)-1, len(body)))
		w.Header().Set("Content-Length", fmt.Sprint(len(body)-from))
		w.WriteHeader(http.StatusPartialContent)
	} else {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	}
	end := len(body)
	if h.cutAfter > 0 {
		end = min(end, from+h.cutAfter)
	}
	_, _ = w.Write(body[from:end])
	if end < len(body) {
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

var set = Repo{Kind: Dataset, ID: "own/set", Revision: commit}

func (h *fakeHub) client(change func(*Options, *Env)) (*Client, string) {
	h.t.Helper()
	o := DefaultOptions()
	o.Endpoint, o.CacheDir, o.RetrySeconds, o.TimeoutSeconds = h.endpoint.URL, h.t.TempDir(), 0, 5
	env := Env{}
	if change != nil {
		change(&o, &env)
	}
	c, err := New(o, env)
	require.NoError(h.t, err)
	return c, o.CacheDir
}

func large(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * i >> 3)
	}
	return b
}

func requireFile(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, sha256Hex(want), sha256Hex(got))
	require.NoError(t, Verify(path))
}

func TestGet(t *testing.T) {
	h := newFakeHub(t)
	h.files["data/big.bin"], h.files["small.json"], h.files["empty"] = large(300_000), []byte(`{"a":1}`), nil
	var last [2]int64
	c, dir := h.client(func(_ *Options, e *Env) { e.Progress = func(a, b int64) { last = [2]int64{a, b} } })
	for name, body := range h.files {
		at, err := c.Get(context.Background(), set, name)
		require.NoError(t, err, name)
		require.Equal(t, filepath.Join(dir, "datasets--own--set", "snapshots", commit, filepath.FromSlash(name)), at)
		requireFile(t, at, body)
	}
	require.Equal(t, last[1], last[0])
	blob := filepath.Join(dir, "datasets--own--set", "blobs", sha256Hex(h.files["data/big.bin"]))
	require.FileExists(t, blob)
	if runtime.GOOS != "windows" {
		target, err := os.Readlink(filepath.Join(dir, "datasets--own--set", "snapshots", commit, "data", "big.bin"))
		require.NoError(t, err)
		require.Equal(t, "../../../blobs/"+filepath.Base(blob), target)
	}
	h.endpoint.Close() // a second Get needs no hub
	at, err := c.Get(context.Background(), set, "data/big.bin")
	require.NoError(t, err)
	requireFile(t, at, h.files["data/big.bin"])
}

func TestResolveAndOffline(t *testing.T) {
	h := newFakeHub(t)
	h.files["a.txt"] = []byte("text")
	c, dir := h.client(nil)
	branch := set
	branch.Revision = "main"
	_, err := c.Get(context.Background(), branch, "a.txt")
	var opt *OptionError
	require.ErrorAs(t, err, &opt, "a branch is no pin")
	pinned, err := c.Resolve(context.Background(), branch, "a.txt")
	require.NoError(t, err)
	require.Equal(t, set, pinned)
	_, err = c.Get(context.Background(), pinned, "a.txt")
	require.NoError(t, err)

	off, _ := h.client(func(o *Options, e *Env) { o.Offline, o.CacheDir, e.Transport = true, dir, denyAll{t} })
	again, err := off.Resolve(context.Background(), branch, "a.txt")
	require.NoError(t, err)
	require.Equal(t, set, again)
	at, err := off.Get(context.Background(), again, "a.txt")
	require.NoError(t, err)
	requireFile(t, at, h.files["a.txt"])
	_, err = off.Get(context.Background(), again, "b.txt")
	require.ErrorIs(t, err, ErrOffline)
	branch.Revision = "other"
	_, err = off.Resolve(context.Background(), branch, "a.txt")
	require.ErrorIs(t, err, ErrOffline)
}

type denyAll struct{ t *testing.T }

func (d denyAll) RoundTrip(*http.Request) (*http.Response, error) {
	d.t.Error("a request while offline")
	return nil, errors.New("no network")
}

func TestResume(t *testing.T) {
	for _, c := range []struct {
		name   string
		cut    int
		tag    string
		resume bool
	}{
		{"cut every 40 kB", 40_000, `"v1"`, true},
		{"weak tag", 0, `W/"v1"`, false},
		{"no tag", 0, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFakeHub(t)
			h.files["f"] = large(300_000)
			h.cutAfter, h.tag = c.cut, c.tag
			cl, _ := h.client(nil)
			at, err := cl.Get(context.Background(), set, "f")
			require.NoError(t, err)
			requireFile(t, at, h.files["f"])
			require.Equal(t, c.resume, len(h.ranges) > 1)
			for _, r := range h.ranges[1:] {
				require.NotEmpty(t, r)
			}
		})
	}
}

// leavePartial makes a cache in which a download was broken off after n bytes.
func leavePartial(t *testing.T, h *fakeHub, n int) string {
	t.Helper()
	h.cutAfter = n
	c, dir := h.client(func(o *Options, _ *Env) { o.MaxAttempts = 1 })
	ctx, cancel := context.WithCancel(context.Background())
	c.env.Progress = func(int64, int64) { cancel() }
	_, err := c.Get(ctx, set, "f")
	require.Error(t, err)
	h.cutAfter, h.ranges = 0, nil
	return dir
}

func TestContinueAfterAnotherProcess(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, h *fakeHub, partial string)
		ranges int
	}{
		"as left":            {func(*testing.T, *fakeHub, string) {}, 1},
		"file has a new tag": {func(_ *testing.T, h *fakeHub, _ string) { h.tag = `"v2"` }, 1},
		"damaged part": {func(t *testing.T, _ *fakeHub, partial string) {
			b, err := os.ReadFile(partial)
			require.NoError(t, err)
			b[10] ^= 1
			require.NoError(t, os.WriteFile(partial, b, 0o644))
		}, 2},
		"longer than the file": {func(t *testing.T, _ *fakeHub, partial string) {
			require.NoError(t, os.Truncate(partial, 1_000_000))
		}, 1},
		"whole but damaged": {func(t *testing.T, _ *fakeHub, partial string) { require.NoError(t, os.Truncate(partial, 300_000)) }, 1},
		"tag lost": {func(t *testing.T, _ *fakeHub, partial string) {
			require.NoError(t, os.Remove(strings.TrimSuffix(partial, ".incomplete")+".etag"))
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			h := newFakeHub(t)
			h.files["f"] = large(300_000)
			dir := leavePartial(t, h, 100_000)
			partial := filepath.Join(dir, "datasets--own--set", "blobs", sha256Hex(h.files["f"])+".incomplete")
			require.FileExists(t, partial)
			c.change(t, h, partial)
			cl, _ := h.client(func(o *Options, _ *Env) { o.CacheDir = dir })
			at, err := cl.Get(context.Background(), set, "f")
			require.NoError(t, err)
			requireFile(t, at, h.files["f"])
			require.Len(t, h.ranges, c.ranges)
			require.NoFileExists(t, partial)
		})
	}
}

func TestWrongContentNeverAppears(t *testing.T) {
	h := newFakeHub(t)
	h.files["f"] = large(5000)
	h.wrong = true
	c, dir := h.client(nil)
	_, err := c.Get(context.Background(), set, "f")
	require.ErrorIs(t, err, ErrHash)
	require.Len(t, h.ranges, 1, "wrong from the start: asking again would not help")
	require.NoError(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		require.True(t, d.IsDir() || strings.HasSuffix(p, ".lock"), p)
		return err
	}))
}

func TestLock(t *testing.T) {
	h := newFakeHub(t)
	h.files["f"] = large(5000)
	c, dir := h.client(nil)
	blobs := filepath.Join(dir, "datasets--own--set", "blobs")
	require.NoError(t, os.MkdirAll(blobs, 0o755))
	other, err := crashfs.OpenOS(blobs)
	require.NoError(t, err)
	held, err := other.Lock(sha256Hex(h.files["f"]) + ".lock")
	require.NoError(t, err)
	_, err = c.Get(context.Background(), set, "f")
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, held.Close())
	require.NoError(t, other.Close())
	_, err = c.Get(context.Background(), set, "f")
	require.NoError(t, err)
}

func TestVerifyFindsDamage(t *testing.T) {
	h := newFakeHub(t)
	h.files["f"] = large(5000)
	c, dir := h.client(nil)
	at, err := c.Get(context.Background(), set, "f")
	require.NoError(t, err)
	blob := filepath.Join(dir, "datasets--own--set", "blobs", sha256Hex(h.files["f"]))
	b, err := os.ReadFile(blob)
	require.NoError(t, err)
	b[4999] ^= 1
	require.NoError(t, os.WriteFile(blob, b, 0o644))
	require.ErrorIs(t, Verify(at), ErrHash)
}
