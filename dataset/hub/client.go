package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/borea-go/borea/internal/atomicfile"
	"github.com/borea-go/borea/internal/wait"
)

// Client downloads from one hub into one cache. It may be used from any
// goroutine.
type Client struct {
	opts Options
	env  Env
	http *http.Client
}

// New returns a client.
func New(opts Options, env Env) (*Client, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	env = env.withDefaults(opts)
	return &Client{opts: opts, env: env, http: &http.Client{
		Transport:     env.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// meta is what the hub says about a file.
type meta struct {
	commit string
	hash   string // SHA-256 (64 digits) or git blob SHA-1 (40)
	size   int64
}

// Resolve returns repo with Revision replaced by the commit it stands for now,
// found by asking for the file. Offline it is the one the cache remembers.
func (c *Client) Resolve(ctx context.Context, repo Repo, file string) (Repo, error) {
	if err := errors.Join(repo.validate(false), checkPath(file)); err != nil {
		return repo, err
	}
	asked := repo
	if commitName.MatchString(repo.Revision) {
		return repo, nil
	}
	if c.opts.Offline {
		b, err := os.ReadFile(repo.refPath(c.opts.CacheDir))
		if repo.Revision = strings.TrimSpace(string(b)); err != nil || !commitName.MatchString(repo.Revision) {
			return asked, &Error{Repo: asked, Path: file, Err: ErrOffline}
		}
		return repo, nil
	}
	m, err := c.head(ctx, repo, file)
	if err != nil {
		return asked, err
	}
	ref := repo.refPath(c.opts.CacheDir)
	if err := os.MkdirAll(filepath.Dir(ref), 0o755); err != nil {
		return asked, err
	}
	repo.Revision = m.commit
	return repo, atomicfile.WriteFile(ref, 0o644, writeString(m.commit))
}

// Get returns the path of the file in the cache, downloading it if it is not
// there. The path is a link into the cache: read it, do not write to it. The
// revision must be a commit.
func (c *Client) Get(ctx context.Context, repo Repo, file string) (string, error) {
	if err := errors.Join(repo.validate(true), checkPath(file)); err != nil {
		return "", err
	}
	at := repo.snapshotPath(c.opts.CacheDir, file)
	if info, err := os.Stat(at); err == nil && info.Mode().IsRegular() {
		return at, nil
	}
	if c.opts.Offline {
		return "", &Error{Repo: repo, Path: file, Err: ErrOffline}
	}
	m, err := c.head(ctx, repo, file)
	if err != nil {
		return "", err
	}
	switch {
	case m.commit != repo.Revision:
		return "", &Error{Repo: repo, Path: file, Err: fmt.Errorf("%w: %s", ErrCommit, m.commit)}
	case m.size > c.opts.MaxBytes:
		return "", &Error{Repo: repo, Path: file, Err: fmt.Errorf("%w: %d bytes, limit %d", ErrTooLarge, m.size, c.opts.MaxBytes)}
	}
	blob := repo.blobPath(c.opts.CacheDir, m.hash)
	if info, err := os.Stat(blob); err != nil || info.Size() != m.size {
		d := download{c: c, repo: repo, file: file, meta: m, blob: blob}
		if err := d.run(ctx); err != nil {
			return "", err
		}
	}
	return at, link(blob, at)
}

// Verify hashes a file that Get returned and compares with the name the hub gave
// its content. It finds damage on disk; downloads are verified by Get itself.
func Verify(at string) error {
	blob, err := filepath.EvalSymlinks(at)
	if err != nil {
		return err
	}
	hash := filepath.Base(blob)
	if !commitName.MatchString(hash) && !sha256Name.MatchString(hash) {
		return fmt.Errorf("hub: %s: %w", at, ErrUnverifiable)
	}
	f, err := os.Open(blob)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	got, err := hashOf(f, hash, info.Size())
	if err != nil {
		return err
	}
	if got != hash {
		return fmt.Errorf("hub: %s: %w: is %s", at, ErrHash, got)
	}
	return nil
}

// link makes the snapshot's name point at the blob: by a relative symbolic link,
// as other tools do, or where the system has none by a hard link.
func link(blob, at string) error {
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	target, err := filepath.Rel(filepath.Dir(at), blob)
	if err != nil {
		return err
	}
	if err = os.Symlink(target, at); err == nil || errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err := os.Link(blob, at); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// head asks for the file's metadata. Redirects within the endpoint's host are
// followed (a renamed repository); one to elsewhere is the answer itself, whose
// header describes the file.
func (c *Client) head(ctx context.Context, repo Repo, file string) (m meta, err error) {
	fail := func(status int, err error) (meta, error) {
		return meta{}, &Error{Repo: repo, Path: file, Status: status, Err: err}
	}
	var res *http.Response
	err = c.retry(ctx, func() (bool, error) {
		res, err = c.follow(ctx, http.MethodHead, repo.url(c.opts.Endpoint, file), nil, true)
		if err != nil {
			return false, err
		}
		res.Body.Close()
		if temporary(res.StatusCode) {
			return false, notReady(repo, file, res)
		}
		return false, nil
	})
	if err != nil {
		var e *Error
		if errors.As(err, &e) || ctx.Err() != nil {
			return m, err
		}
		return fail(0, err)
	}
	if err := statusError(res.StatusCode, true); err != nil {
		return fail(res.StatusCode, err)
	}
	m.commit = strings.ToLower(res.Header.Get("X-Repo-Commit"))
	if m.hash, err = hashName(res.Header); err != nil {
		return fail(res.StatusCode, err)
	}
	if !commitName.MatchString(m.commit) {
		return fail(res.StatusCode, fmt.Errorf("%w: no X-Repo-Commit", ErrCommit))
	}
	size := res.Header.Get("X-Linked-Size")
	if size == "" {
		size = res.Header.Get("Content-Length")
	}
	if m.size, err = strconv.ParseInt(size, 10, 64); err != nil || m.size < 0 {
		return fail(res.StatusCode, fmt.Errorf("%w: %q", ErrSize, size))
	}
	return m, nil
}

func notReady(repo Repo, file string, res *http.Response) error {
	after := wait.RetryAfter(res.Header, time.Now())
	return &Error{Repo: repo, Path: file, Status: res.StatusCode, After: after, Err: errors.New("the hub is not ready")}
}

// hashName reads X-Linked-Etag, else ETag: the SHA-256 of a large file or the
// git blob hash of a small one.
func hashName(h http.Header) (string, error) {
	tag := h.Get("X-Linked-Etag")
	if tag == "" {
		tag = h.Get("ETag")
	}
	hash := strings.ToLower(strings.Trim(strings.TrimPrefix(tag, "W/"), `"`))
	if commitName.MatchString(hash) || sha256Name.MatchString(hash) {
		return hash, nil
	}
	return "", fmt.Errorf("%w (ETag %q)", ErrUnverifiable, tag)
}

func statusError(status int, redirectIsAnswer bool) error {
	switch {
	case status >= 200 && status <= 299, redirectIsAnswer && status >= 300 && status <= 399:
		return nil
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return ErrDenied
	case status == http.StatusNotFound || status == http.StatusGone:
		return ErrNotFound
	}
	return errors.New("unexpected status")
}

func temporary(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500
}

var errRedirect = errors.New("too many redirects, or one without a usable target")

const maxRedirects = 5

// follow makes a request and follows redirects. The token goes to the endpoint's
// host alone. With stay, a redirect to another host is returned as it is.
func (c *Client) follow(ctx context.Context, method, address string, header http.Header, stay bool) (*http.Response, error) {
	home, err := url.Parse(c.opts.Endpoint)
	if err != nil {
		return nil, err
	}
	for range maxRedirects + 1 {
		req, err := http.NewRequestWithContext(ctx, method, address, nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("User-Agent", "borea-hub/1.0")
		req.Header.Set("Accept-Encoding", "identity")
		for k, v := range header {
			req.Header[k] = v
		}
		if c.env.Token != "" && req.URL.Host == home.Host && req.URL.Scheme == home.Scheme {
			req.Header.Set("Authorization", "Bearer "+c.env.Token)
		}
		res, err := c.http.Do(req)
		if err != nil {
			return nil, err
		}
		to, err := res.Location()
		if res.StatusCode < 300 || res.StatusCode > 399 || err != nil {
			return res, nil
		}
		if stay && to.Host != home.Host {
			return res, nil
		}
		res.Body.Close()
		if to.Scheme != "https" && (to.Scheme != "http" || home.Scheme == "https") {
			return nil, fmt.Errorf("%w: %s", errRedirect, to.Redacted())
		}
		address = to.String()
	}
	return nil, errRedirect
}

// maxWait is the longest Retry-After that is sat out.
const maxWait = 10 * time.Minute

// asked is the wait that the hub asked for with a failure.
func asked(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.After
	}
	return 0
}

// retry calls fn until it succeeds or fails for good; fn reports whether it made
// progress, which starts the count of attempts anew.
func (c *Client) retry(ctx context.Context, fn func() (progress bool, err error)) error {
	pause := c.opts.RetrySeconds
	for attempt := 1; ; attempt++ {
		progress, err := fn()
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		if permanent(err) {
			return err
		}
		if progress {
			attempt, pause = 1, c.opts.RetrySeconds
		}
		after := asked(err)
		if attempt >= c.opts.MaxAttempts || after > maxWait {
			return err
		}
		c.env.Logger.InfoContext(ctx, "hub: trying again", "attempt", attempt, "error", err)
		if err := c.env.Sleep(ctx, max(after, seconds(min(pause, 60)))); err != nil {
			return err
		}
		pause *= 2
	}
}

func permanent(err error) bool {
	for _, target := range []error{ErrNotFound, ErrDenied, ErrHash, ErrTooLarge, ErrSize, ErrUnverifiable, ErrLocked, errRedirect, fs.ErrPermission, fs.ErrExist} {
		if errors.Is(err, target) {
			return true
		}
	}
	var path *fs.PathError
	return errors.As(err, &path)
}
