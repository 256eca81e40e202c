package hub

import (
	"context"
	"crypto/sha1" // git names blobs by it
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/borea-go/borea/internal/atomicfile"
	"github.com/borea-go/borea/internal/crashfs"
)

var errStalled = errors.New("the body stopped coming")

// download brings one blob into the cache. What has come so far lies beside it
// as NAME.incomplete, with the ETag it was served under in NAME.etag, so that
// another process can go on.
type download struct {
	c    *Client
	repo Repo
	file string
	meta meta
	blob string
}

func (d *download) partial() string { return d.blob + ".incomplete" }
func (d *download) etag() string    { return d.blob + ".etag" }

func (d *download) run(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Dir(d.blob), 0o755); err != nil {
		return err
	}
	blobs, err := crashfs.OpenOS(filepath.Dir(d.blob))
	if err != nil {
		return err
	}
	defer blobs.Close() // nothing is buffered in it
	lock, err := blobs.Lock(filepath.Base(d.blob) + ".lock")
	if err != nil {
		return d.fail(0, err)
	}
	defer lock.Close() // ends with the process at the latest
	if info, err := os.Stat(d.blob); err == nil && info.Size() == d.meta.size {
		return nil // another process was quicker
	}
	fresh := false
	for {
		resumed, err := d.fetch(ctx)
		if err != nil {
			return err
		}
		err = d.publish(blobs)
		if !errors.Is(err, ErrHash) {
			return err
		}
		// What was there before may be the damaged part: once more from the start.
		if clean := errors.Join(removeIfThere(d.partial()), removeIfThere(d.etag())); clean != nil || !resumed || fresh {
			return errors.Join(err, clean)
		}
		fresh = true
	}
}

func (d *download) fail(status int, err error) error {
	return &Error{Repo: d.repo, Path: d.file, Status: status, Err: err}
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// fetch appends until the partial file is whole. resumed says that some of it
// was there already.
func (d *download) fetch(ctx context.Context) (resumed bool, err error) {
	f, err := os.OpenFile(d.partial(), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	have := info.Size()
	if have > d.meta.size {
		have = 0
		if err := f.Truncate(0); err != nil {
			return false, err
		}
	}
	resumed = have > 0
	err = d.c.retry(ctx, func() (progress bool, err error) {
		if have == d.meta.size {
			return true, nil
		}
		before := have
		have, err = d.append(ctx, f, have)
		return have > before, err
	})
	var known *Error
	switch {
	case err == nil:
	case errors.As(err, &known) || ctx.Err() != nil:
		return resumed, err
	default:
		return resumed, d.fail(0, err)
	}
	return resumed, f.Sync()
}

// append asks for what is missing and writes what comes; it returns the size of
// the file after that.
func (d *download) append(ctx context.Context, f *os.File, have int64) (int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	header := http.Header{}
	tag, err := os.ReadFile(d.etag())
	if have > 0 && (err != nil || len(tag) == 0) {
		have = 0 // nothing says that the beginning and the rest would fit
	}
	if have > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", have))
		header.Set("If-Range", string(tag))
	}
	res, err := d.c.follow(ctx, http.MethodGet, d.repo.url(d.c.opts.Endpoint, d.file), header, false)
	if err != nil {
		return have, err
	}
	defer res.Body.Close()
	have, err = d.start(res, have)
	if err != nil {
		return have, err
	}
	if err := f.Truncate(have); err != nil {
		return have, err
	}
	if have == 0 {
		if err := d.remember(res.Header.Get("ETag")); err != nil {
			return have, err
		}
	}
	return d.copy(ctx, cancel, f, have, res.Body)
}

// remember keeps a strong ETag for If-Range; a weak one is no use there (RFC
// 9110, section 13.1.5).
func (d *download) remember(tag string) error {
	if len(tag) < 2 || tag[0] != '"' {
		return removeIfThere(d.etag())
	}
	return atomicfile.WriteFile(d.etag(), 0o644, writeString(tag))
}

func writeString(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

// start reads from status and Content-Range where the body belongs.
func (d *download) start(res *http.Response, have int64) (int64, error) {
	switch {
	case res.StatusCode == http.StatusOK:
		if res.ContentLength >= 0 && res.ContentLength != d.meta.size {
			return 0, d.fail(res.StatusCode, fmt.Errorf("%w: %d bytes, now %d", ErrSize, d.meta.size, res.ContentLength))
		}
		return 0, nil
	case res.StatusCode == http.StatusPartialContent:
		var from, to, total int64
		if n, err := fmt.Sscanf(res.Header.Get("Content-Range"), "bytes %d-%d/%d", &from, &to, &total); err != nil || n != 3 || from != have || total != d.meta.size {
			return 0, d.fail(res.StatusCode, fmt.Errorf("%w: Content-Range %q", ErrSize, res.Header.Get("Content-Range")))
		}
		return have, nil
	case res.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return 0, errors.Join(errors.New("range refused"), removeIfThere(d.etag()))
	case temporary(res.StatusCode):
		return have, notReady(d.repo, d.file, res)
	}
	if err := statusError(res.StatusCode, false); err != nil {
		return have, d.fail(res.StatusCode, err)
	}
	return have, d.fail(res.StatusCode, errors.New("unexpected status"))
}

// copy writes the body from offset on. A body that stops coming is cancelled, one
// that goes on too long is cut off.
func (d *download) copy(ctx context.Context, cancel context.CancelCauseFunc, f *os.File, at int64, body io.Reader) (int64, error) {
	stall := time.AfterFunc(seconds(d.c.opts.TimeoutSeconds), func() { cancel(errStalled) })
	defer stall.Stop()
	for buf := make([]byte, 128<<10); ; {
		n, err := body.Read(buf)
		stall.Reset(seconds(d.c.opts.TimeoutSeconds))
		if at+int64(n) > d.meta.size {
			return 0, d.fail(0, fmt.Errorf("%w: more than %d bytes", ErrSize, d.meta.size))
		}
		if _, err := f.WriteAt(buf[:n], at); err != nil {
			return at, err
		}
		at += int64(n)
		d.c.env.Progress(at, d.meta.size)
		switch {
		case err == nil:
		case at == d.meta.size:
			return at, nil
		case errors.Is(err, io.EOF):
			return at, io.ErrUnexpectedEOF
		case context.Cause(ctx) != nil:
			return at, context.Cause(ctx)
		default:
			return at, err
		}
	}
}

// publish verifies the partial file and gives it its name.
func (d *download) publish(blobs *crashfs.OS) error {
	f, err := os.Open(d.partial())
	if err != nil {
		return err
	}
	got, err := hashOf(f, d.meta.hash, d.meta.size)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if got != d.meta.hash {
		return d.fail(0, fmt.Errorf("%w: is %s, should be %s", ErrHash, got, d.meta.hash))
	}
	if err := blobs.Rename(filepath.Base(d.partial()), filepath.Base(d.blob)); err != nil {
		return err
	}
	return errors.Join(blobs.Sync("."), removeIfThere(d.etag()))
}

// hashOf hashes by the scheme that the wanted hash's length tells: SHA-256, or
// git's SHA-1 over "blob SIZE", a zero byte and the content.
func hashOf(r io.Reader, wanted string, size int64) (string, error) {
	var h hash.Hash
	if len(wanted) == 2*sha256.Size {
		h = sha256.New()
	} else {
		h = sha1.New()
		fmt.Fprintf(h, "blob %d\x00", size)
	}
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
