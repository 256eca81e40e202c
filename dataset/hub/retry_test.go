package hub

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTokenAndBusyHub(t *testing.T) {
	h := newFakeHub(t)
	h.files["f"], h.token = large(5000), canary
	busy := 3
	h.hook = func(w http.ResponseWriter, _ *http.Request) bool {
		if busy--; busy >= 0 {
			w.WriteHeader(503)
			return true
		}
		return false
	}
	anonymous, _ := h.client(nil)
	_, err := anonymous.Get(context.Background(), set, "f")
	require.ErrorIs(t, err, ErrDenied)
	busy = 3
	var pauses []time.Duration
	c, _ := h.client(func(o *Options, e *Env) {
		o.RetrySeconds, e.Token = 1, canary
		e.Sleep = func(_ context.Context, d time.Duration) error { pauses = append(pauses, d); return nil }
	})
	at, err := c.Get(context.Background(), set, "f")
	require.NoError(t, err)
	requireFile(t, at, h.files["f"])
	require.Equal(t, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}, pauses)
}

func TestRetryAfterIsWaitedFor(t *testing.T) {
	h := newFakeHub(t)
	h.files["f"] = large(5000)
	asks := []string{"7", "3600"}
	h.hook = func(w http.ResponseWriter, _ *http.Request) bool {
		if len(asks) == 0 {
			return false
		}
		w.Header().Set("Retry-After", asks[0])
		asks = asks[1:]
		w.WriteHeader(429)
		return true
	}
	var pauses []time.Duration
	c, _ := h.client(func(o *Options, e *Env) {
		e.Sleep = func(_ context.Context, d time.Duration) error { pauses = append(pauses, d); return nil }
	})
	_, err := c.Get(context.Background(), set, "f")
	var failed *Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, time.Hour, failed.After)
	require.Equal(t, []time.Duration{7 * time.Second}, pauses, "an hour is not sat out")
	at, err := c.Get(context.Background(), set, "f")
	require.NoError(t, err)
	requireFile(t, at, h.files["f"])
}

func TestStalledBodyIsContinued(t *testing.T) {
	h := newFakeHub(t)
	h.files["f"] = large(50_000)
	stalls := 1
	h.cdn.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if stalls--; stalls >= 0 {
			w.Header().Set("ETag", h.tag)
			w.Header().Set("Content-Length", "50000")
			_, _ = w.Write(h.files["f"][:20_000])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		h.deliver(w, r)
	})
	c, _ := h.client(func(o *Options, _ *Env) { o.TimeoutSeconds = 0.2 })
	at, err := c.Get(context.Background(), set, "f")
	require.NoError(t, err)
	requireFile(t, at, h.files["f"])
	require.Equal(t, []string{"bytes=20000-"}, h.ranges)
}
