package hub

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRefusals(t *testing.T) {
	status := func(code int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(code); return true }
	}
	headers := func(kv ...string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			for i := 0; i < len(kv); i += 2 {
				w.Header().Set(kv[i], kv[i+1])
			}
			return true
		}
	}
	good := sha256Hex([]byte("x"))
	for name, c := range map[string]struct {
		hook func(http.ResponseWriter, *http.Request) bool
		want error
	}{
		"401": {status(401), ErrDenied}, "403": {status(403), ErrDenied}, "404": {status(404), ErrNotFound},
		"no hash":        {headers("X-Repo-Commit", commit, "ETag", `"abc"`, "X-Linked-Size", "1"), ErrUnverifiable},
		"another commit": {headers("X-Repo-Commit", strings.Repeat("f", 40), "ETag", good, "X-Linked-Size", "1"), ErrCommit},
		"no commit":      {headers("ETag", good, "X-Linked-Size", "1"), ErrCommit},
		"no size":        {headers("X-Repo-Commit", commit, "ETag", good, "X-Linked-Size", "big"), ErrSize},
		"too large":      {headers("X-Repo-Commit", commit, "ETag", good, "X-Linked-Size", "99999999999999"), ErrTooLarge},
		"other size":     {headers("X-Repo-Commit", commit, "X-Linked-Etag", good, "X-Linked-Size", "77", "Content-Length", "0"), ErrSize},
		"redirect loop": {func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
			return true
		}, errRedirect},
		"to a file": {func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodHead {
				return headers("X-Repo-Commit", commit, "X-Linked-Etag", good, "X-Linked-Size", "1")(w, r)
			}
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(http.StatusFound)
			return true
		}, errRedirect},
	} {
		t.Run(name, func(t *testing.T) {
			h := newFakeHub(t)
			h.hook = c.hook
			cl, _ := h.client(func(_ *Options, e *Env) { e.Token = canary })
			_, err := cl.Get(context.Background(), set, "f")
			require.ErrorIs(t, err, c.want)
			require.NotContains(t, err.Error(), canary)
			var e *Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, "f", e.Path)
		})
	}
}
