package checkpoint

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/borea-go/borea/internal/crashfs"
)

// damaged returns a CorruptError if err says that the checkpoint is not what was
// saved, and err itself if the system could not say.
func (s *Store) damaged(i id, file string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, crashfs.ErrNotRegular) && !errors.Is(err, crashfs.ErrTooLong) {
		return fmt.Errorf("checkpoint %s: %w", s.path(i.String()+"/"+file), err)
	}
	return &CorruptError{s.path(i.String()), file, err}
}

// errMismatch says that a file is not what the manifest lists.
var errMismatch = errors.New("does not match the manifest")

// check verifies what costs little: the manifest, the session, and the size of
// every file.
func (s *Store) check(i id) (manifest, error) {
	m, err := s.readManifest(i)
	if err != nil {
		return m, err
	}
	if m.Session != s.session.ID {
		return m, &ForeignError{s.path(i.String()), m.Session, s.session.ID}
	}
	for _, f := range m.Files {
		e, err := s.fs.Stat(i.String() + "/" + f.Name)
		if err == nil && (!e.Regular || e.Size != f.Size) {
			err = fmt.Errorf("%w: %d bytes, not %d", errMismatch, e.Size, f.Size)
		}
		if err != nil {
			return m, s.damaged(i, f.Name, err)
		}
	}
	return m, nil
}

// verify is check and every byte.
func (s *Store) verify(ctx context.Context, i id) (manifest, error) {
	m, err := s.check(i)
	if err != nil {
		return m, err
	}
	for _, f := range m.Files {
		if err := s.verifyFile(ctx, i, f); err != nil {
			return m, s.damaged(i, f.Name, err)
		}
	}
	return m, nil
}

func (s *Store) verifyFile(ctx context.Context, i id, want manifestFile) (err error) {
	f, err := s.fs.Open(i.String() + "/" + want.Name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := &hashWriter{ctx: ctx, w: io.Discard, h: sha256.New()}
	if _, err := io.CopyBuffer(h, struct{ io.Reader }{f}, make([]byte, min(1<<20, want.Size+1))); err != nil {
		return err
	}
	if h.n != want.Size || fmt.Sprintf("%x", h.h.Sum(nil)) != want.SHA256 {
		return errMismatch
	}
	return nil
}
