package checkpoint

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/borea-go/borea/internal/crashfs"
)

// State is what a save writes.
type State struct {
	// Step orders checkpoints, from 0; the largest is the newest.
	Step int64
	// Meta is any value that encodes as JSON.
	Meta any
	// Files write the state by name. Names are letters, digits, '.', '_' and '-'.
	// With SaveAsync what they read must be a snapshot: nothing may change it
	// until the save is done.
	Files map[string]func(io.Writer) error
}

// Save writes a checkpoint. When it returns nil, the checkpoint is on disk and
// survives a power cut; when it returns an error, earlier ones are untouched and
// the next save may succeed.
func (s *Store) Save(ctx context.Context, st State) error {
	s.begin()
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.save(ctx, st)
	if err != nil {
		s.env.Logger.Error("checkpoint not saved", "step", st.Step, "error", err)
	}
	return s.wrap(fmt.Sprintf("save step %d", st.Step), err)
}

func (s *Store) save(ctx context.Context, st State) error {
	m, err := s.prepare(ctx, st)
	if err != nil {
		return err
	}
	s.serial++
	i := id{st.Step, s.session.Starts, s.serial}
	m.Start, m.Serial = i.start, i.serial
	temp := tempPrefix + i.String()
	if err := s.write(ctx, temp, &m, st.Files); err != nil {
		return errors.Join(err, s.discard(temp))
	}
	if err := s.fs.Rename(temp, i.String()); err != nil {
		return errors.Join(err, s.discard(temp))
	}
	// If this fails the checkpoint is there but not durable: it is not counted
	// when old ones are removed.
	if err := s.fs.Sync("."); err != nil {
		return err
	}
	s.owned[i] = true
	s.rotate()
	return nil
}

// prepare refuses what must not or cannot be saved, before anything is written.
func (s *Store) prepare(ctx context.Context, st State) (manifest, error) {
	if s.closed {
		return manifest{}, ErrClosed
	}
	if ctx.Err() != nil {
		return manifest{}, context.Cause(ctx)
	}
	if err := checkNames(st.Files); err != nil {
		return manifest{}, err
	}
	meta, err := json.Marshal(st.Meta)
	if err != nil {
		return manifest{}, fmt.Errorf("meta: %w", err)
	}
	l, err := s.list()
	if err != nil {
		return manifest{}, err
	}
	if l.lastStart() > s.session.Starts {
		return manifest{}, ErrSuperseded
	}
	return manifest{Session: s.session.ID, Step: st.Step, Meta: meta}, s.checkStep(st.Step)
}

func (s *Store) checkStep(step int64) error {
	newest := int64(0)
	for i := range s.owned {
		newest = max(newest, i.step)
	}
	if step < newest {
		return &StepError{step, newest}
	}
	return nil
}

const maxName = 128

func checkNames(files map[string]func(io.Writer) error) error {
	seen := map[string]bool{strings.ToLower(manifestName): true}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		lower := strings.ToLower(name)
		if !plainName(name) || seen[lower] || files[name] == nil {
			return &NameError{name}
		}
		seen[lower] = true
	}
	return nil
}

// plainName reports whether every system takes name for one file in a folder.
func plainName(name string) bool {
	for _, r := range name {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !letter && !strings.ContainsRune("._-", r) {
			return false
		}
	}
	// Windows drops a last dot, and knows devices by these names with any suffix.
	stem, _, _ := strings.Cut(strings.ToUpper(name), ".")
	device := slices.Contains([]string{"CON", "PRN", "AUX", "NUL"}, stem) ||
		len(stem) == 4 && '0' <= stem[3] && stem[3] <= '9' && (stem[:3] == "COM" || stem[:3] == "LPT")
	return name != "" && len(name) <= maxName && stem != "" && !strings.HasSuffix(name, ".") && !device
}

// write fills the temporary folder: files, then the manifest, then its entries.
func (s *Store) write(ctx context.Context, temp string, m *manifest, files map[string]func(io.Writer) error) error {
	if err := s.fs.Mkdir(temp); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &hashWriter{ctx: ctx, h: sha256.New()}
		err := crashfs.WriteSynced(s.fs, temp+"/"+name, 0o600, func(w io.Writer) error {
			h.w = w
			return h.fill(files[name], s.buffer)
		})
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		m.Files = append(m.Files, manifestFile{name, h.n, fmt.Sprintf("%x", h.h.Sum(nil))})
	}
	b, err := m.seal()
	if err != nil {
		return err
	}
	err = crashfs.WriteSynced(s.fs, temp+"/"+manifestName, 0o600, func(w io.Writer) error { _, err := w.Write(b); return err })
	if err != nil {
		return fmt.Errorf("%s: %w", manifestName, err)
	}
	return s.fs.Sync(temp)
}

// discard removes a temporary folder. Its files are never synced again, since a
// failed sync may leave pages that look clean. What cannot be removed is left to
// the next Open.
func (s *Store) discard(temp string) error {
	if err := crashfs.RemoveAll(s.fs, temp); err != nil {
		s.env.Logger.Warn("temporary folder left behind", "name", temp, "error", err)
	}
	return nil
}

// hashWriter counts and hashes what passes through, and stops with the context.
type hashWriter struct {
	ctx context.Context
	w   io.Writer
	h   hash.Hash
	n   int64
}

func (w *hashWriter) fill(write func(io.Writer) error, buffer int) error {
	b := bufio.NewWriterSize(w, buffer)
	if err := write(b); err != nil {
		return err
	}
	return b.Flush()
}

// Write implements io.Writer.
func (w *hashWriter) Write(p []byte) (int, error) {
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	n, err := w.w.Write(p)
	w.h.Write(p[:n])
	w.n += int64(n)
	return n, err
}
