package checkpoint

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/borea-go/borea/internal/crashfs"
)

// State is what a save writes. With SaveAsync it must be a snapshot: nothing it
// refers to may change until the save is done.
type State struct {
	// Step orders checkpoints; the newest is the one with the largest.
	Step int64
	// Meta is any value that encodes as JSON.
	Meta any
	// Files are written by name; names are plain file names.
	Files map[string]func(io.Writer) error
}

// Save writes a checkpoint. When it returns nil, the checkpoint is on disk and
// survives a power cut; when it returns an error, earlier ones are untouched.
func (s *Store) Save(ctx context.Context, st State) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.last = s.env.Now()
	s.serial++
	temp := fmt.Sprintf("%s%08d", tempPrefix, s.serial)
	if err := s.write(ctx, temp, st); err != nil {
		// A failed sync may leave pages that look clean: these files are never
		// synced again but thrown away.
		return errors.Join(fmt.Errorf("checkpoint of step %d: %w", st.Step, classify(err)), s.discard(temp))
	}
	return s.publish(temp, st.Step)
}

func (s *Store) publish(temp string, step int64) error {
	name := checkpointName(step, s.serial)
	if err := s.fs.Rename(temp, name); err != nil {
		return errors.Join(fmt.Errorf("publish %s: %w", name, classify(err)), s.discard(temp))
	}
	if !s.skip.parentSync {
		if err := s.fs.SyncDir(""); err != nil {
			return fmt.Errorf("publish %s: %w", name, classify(err))
		}
	}
	if err := s.rotate(s.opts.Keep); err != nil {
		s.env.Logger.Warn("old checkpoints not removed", "error", err)
	}
	return nil
}

// discard removes a temporary folder; if that fails too, Open will.
func (s *Store) discard(temp string) error {
	if err := crashfs.RemoveAll(s.fs, temp); err != nil {
		s.env.Logger.Warn("temporary folder left behind", "name", temp, "error", err)
	}
	return nil
}

func (s *Store) write(ctx context.Context, temp string, st State) error {
	meta, err := json.Marshal(st.Meta)
	if err != nil {
		return fmt.Errorf("meta: %w", err)
	}
	m := manifest{Schema: schema, Session: s.session.ID, Step: st.Step, Serial: s.serial, Meta: meta}
	if err := s.fs.Mkdir(temp); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(st.Files)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if name == manifestName || name == "" || path.Base(name) != name || strings.ContainsAny(name, `\:`) {
			return fmt.Errorf("file name %q is not allowed", name)
		}
		f, err := s.writeFile(temp+"/"+name, s.skip.fileSync, st.Files[name])
		if err != nil {
			return err
		}
		f.Name = name
		m.Files = append(m.Files, f)
	}
	b, err := m.encode()
	if err != nil {
		return err
	}
	if _, err := s.writeFile(temp+"/"+manifestName, s.skip.manifestSync, copyFrom(b)); err != nil {
		return err
	}
	if s.skip.tempDirSync {
		return nil
	}
	return s.fs.SyncDir(temp)
}

func copyFrom(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(b))
		return err
	}
}

func (s *Store) writeFile(path string, skipSync bool, data func(io.Writer) error) (manifestFile, error) {
	f, err := s.fs.Create(path)
	if err != nil {
		return manifestFile{}, err
	}
	w := &hashWriter{w: f, h: sha256.New()}
	err = data(w)
	if err == nil && !skipSync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return manifestFile{}, fmt.Errorf("%s: %w", path, err)
	}
	return manifestFile{Size: w.n, SHA256: hex.EncodeToString(w.h.Sum(nil))}, nil
}

// rotate removes all but the newest keep checkpoints: renamed to a temporary name
// first, so that a half-removed one is never taken for a checkpoint.
func (s *Store) rotate(keep int) error {
	names, err := s.published()
	if err != nil {
		return err
	}
	for _, name := range names[min(keep, len(names)):] {
		trash := tempPrefix + name
		if err := s.fs.Rename(name, trash); err != nil {
			return err
		}
		if err := crashfs.RemoveAll(s.fs, trash); err != nil {
			return err
		}
	}
	return nil
}

// SaveAsync starts a save in the background. If one is still running it waits
// for that first; the error of an earlier background save is returned here or by
// Wait, once.
func (s *Store) SaveAsync(ctx context.Context, st State) error {
	err := s.Wait()
	s.mu.Lock()
	s.last = s.env.Now()
	s.mu.Unlock()
	s.flight.Go(func() {
		// The save must not be cut short by the end of the step's context.
		err := s.Save(context.WithoutCancel(ctx), st)
		s.asyncM.Lock()
		s.async = err
		s.asyncM.Unlock()
	})
	return err
}

// Wait waits for a background save and returns its error, once.
func (s *Store) Wait() error {
	s.flight.Wait()
	s.asyncM.Lock()
	defer s.asyncM.Unlock()
	err := s.async
	s.async = nil
	return err
}
