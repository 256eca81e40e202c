package gguf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/borea-go/borea/internal/crashfs"
)

// EditMode says how EditFile may change a file.
type EditMode string

// The modes.
const (
	EditAuto    EditMode = "auto"     // in place if it fits, else by a copy
	EditInPlace EditMode = "in-place" // ErrNoRoom if it does not fit
	EditCopy    EditMode = "copy"
)

// EditOptions says how to change a file.
type EditOptions struct {
	// Mode is how; default EditAuto.
	Mode EditMode `json:"mode" yaml:"mode"`
	// ReserveBytes is the room that a copy keeps for the next edits: 0 to 64 Mi;
	// default 64 Ki.
	ReserveBytes int64 `json:"reserve_bytes" yaml:"reserve_bytes"`
	// Reader is how the file is read.
	Reader ReaderOptions `json:"reader" yaml:"reader"`
}

// DefaultEditOptions returns the defaults named in EditOptions.
func DefaultEditOptions() EditOptions {
	return EditOptions{Mode: EditAuto, ReserveBytes: 64 << 10, Reader: DefaultReaderOptions()}
}

// Validate checks the ranges.
func (o EditOptions) Validate() error {
	switch {
	case o.Mode != EditAuto && o.Mode != EditInPlace && o.Mode != EditCopy:
		return fmt.Errorf("gguf: %w: edit mode %q", ErrOption, string(o.Mode))
	case o.ReserveBytes < 0 || o.ReserveBytes > maxReserve:
		return fmt.Errorf("gguf: %w: %d bytes in reserve, want 0 to %d", ErrOption, o.ReserveBytes, maxReserve)
	}
	return o.Reader.Validate()
}

// EditReport says how a file was changed.
type EditReport struct {
	InPlace bool  `json:"in_place"`
	Written int64 `json:"written"` // bytes
	Free    int64 `json:"free"`    // bytes of room left in the header
}

var (
	// ErrNoRoom: the metadata does not fit the header, and EditInPlace forbids a copy.
	ErrNoRoom = errors.New("no room in the header")
	// ErrUnfinished: an edit of the file was cut off; RecoverEdit brings the original
	// back.
	ErrUnfinished = errors.New("an edit was cut off, see RecoverEdit")
	// ErrLocked: somebody else edits the file.
	ErrLocked = crashfs.ErrLocked
)

// An edit is the result of a change of metadata: a header of the same length, or
// an image to be copied.
type edit struct {
	old, header []byte // both from the start of the file to the tensors
	image       *Image
	free        int64
}

// planEdit applies change to a copy of the metadata.
func planEdit(r *Reader, change func(*Metadata) error, opts EditOptions) (edit, error) {
	i := NewImage(r)
	i.ReserveBytes = opts.ReserveBytes
	if err := change(&i.Metadata); err != nil {
		return edit{}, err
	}
	l, err := i.place()
	if err != nil {
		return edit{}, err
	}
	if opts.Mode != EditCopy {
		e, ok, err := inPlace(r, i)
		if ok || err != nil {
			return e, err
		}
	}
	if opts.Mode == EditInPlace {
		return edit{}, fmt.Errorf("gguf: %w", ErrNoRoom)
	}
	return edit{image: i, free: freeOf(l.header, i)}, nil
}

// inPlace makes the header that takes the place of the old one, of version 3 whatever
// that was. Another alignment would move every tensor.
func inPlace(r *Reader, i *Image) (edit, bool, error) {
	alignment, err := alignmentOf(&i.Metadata, 1<<20)
	if err != nil || alignment != r.alignment {
		return edit{}, false, nil
	}
	h := heading{&i.Metadata, make([]TensorInfo, len(r.tensors)), i.big, alignment}
	for n, t := range r.tensors {
		h.tensors[n] = t.TensorInfo
		h.tensors[n].Offset -= r.data
	}
	plain, err := h.plain()
	if err != nil {
		return edit{}, false, err
	}
	free := r.data - int64(len(plain))
	header, ok, err := h.exactly(plain, r.data)
	if !ok || err != nil {
		return edit{}, false, err
	}
	old := make([]byte, r.data)
	if err := readFullAt(r.r, old, 0); err != nil {
		return edit{}, false, err
	}
	return edit{old: old, header: header, free: free}, true, nil
}

func freeOf(header []byte, i *Image) int64 {
	plain, err := heading{&i.Metadata, i.infos(), i.big, 1}.plain()
	if err != nil {
		return 0
	}
	return int64(len(header) - len(plain))
}

// EditFile changes the metadata of the file at path: change is given a copy of it.
// What fits the header, with the room that PaddingKey holds, is written in place,
// under a journal beside the file; else a whole new file replaces the old one.
// Killed or without power at any moment, the disk holds the old file, the new one,
// or the old one's header in the journal, for RecoverEdit, which this function
// calls first.
func EditFile(ctx context.Context, path string, change func(*Metadata) error, opts EditOptions, env Env) (EditReport, error) {
	fsys, base, err := openFolder(path)
	if err != nil {
		return EditReport{}, err
	}
	defer fsys.Close()
	report, err := editFile(ctx, fsys, base, change, opts, env)
	if err != nil {
		return report, fmt.Errorf("edit %s: %w", path, err)
	}
	return report, nil
}

// RecoverEdit undoes an edit that was cut off, and reports whether there was one.
func RecoverEdit(path string) (bool, error) {
	fsys, base, err := openFolder(path)
	if err != nil {
		return false, err
	}
	defer fsys.Close()
	lock, err := lockFile(fsys, base)
	if err != nil {
		return false, fmt.Errorf("recover %s: %w", path, err)
	}
	undone, err := recoverEdit(fsys, base)
	if err = errors.Join(err, lock.Close()); err != nil {
		return undone, fmt.Errorf("recover %s: %w", path, err)
	}
	return undone, nil
}

// An editFS can also overwrite parts of a file.
type editFS interface {
	crashfs.FS
	Update(name string) (updater, error)
}

type updater interface {
	io.WriterAt
	io.Closer
	Sync() error
}

// osFolder is the real one.
type osFolder struct{ *crashfs.OS }

func openFolder(path string) (osFolder, string, error) {
	o, err := crashfs.OpenOS(filepath.Dir(path))
	return osFolder{o}, filepath.Base(path), err
}

// Update implements editFS.
func (o osFolder) Update(name string) (updater, error) {
	return os.OpenFile(o.Path(name), os.O_WRONLY, 0)
}

// lockFile locks a file that exists.
func lockFile(fsys editFS, name string) (io.Closer, error) {
	if e, err := fsys.Stat(name); err != nil {
		return nil, err
	} else if !e.Regular {
		return nil, &fs.PathError{Op: "edit", Path: name, Err: crashfs.ErrNotRegular}
	}
	return fsys.Lock(name)
}

func editFile(ctx context.Context, fsys editFS, name string, change func(*Metadata) error, opts EditOptions, env Env) (report EditReport, err error) {
	if err := opts.Validate(); err != nil {
		return report, err
	}
	lock, err := lockFile(fsys, name)
	if err != nil {
		return report, err
	}
	s := &editSession{ctx: ctx, fsys: fsys, name: name, env: env, held: []io.Closer{lock}}
	defer func() { err = errors.Join(err, s.release()) }()
	if _, err := recoverEdit(fsys, name); err != nil {
		return report, err
	}
	return s.run(change, opts)
}

// editSession is one EditFile.
type editSession struct {
	ctx  context.Context
	fsys editFS
	name string
	env  Env
	held []io.Closer
}

func (s *editSession) release() error {
	var errs []error
	for _, c := range s.held {
		errs = append(errs, c.Close())
	}
	s.held = nil
	return errors.Join(errs...)
}

func (s *editSession) run(change func(*Metadata) error, opts EditOptions) (EditReport, error) {
	f, err := s.fsys.Open(s.name)
	if err != nil {
		return EditReport{}, err
	}
	s.held = append(s.held, f)
	size, err := f.Size()
	if err != nil {
		return EditReport{}, err
	}
	r, err := NewReader(f, size, opts.Reader)
	if err != nil {
		return EditReport{}, err
	}
	e, err := planEdit(r, change, opts)
	if err != nil {
		return EditReport{}, err
	}
	if e.image != nil {
		n, err := s.replace(e.image)
		return EditReport{Written: n, Free: e.free}, err
	}
	n, err := s.overwrite(e, size)
	return EditReport{InPlace: true, Written: n, Free: e.free}, err
}

// replace writes a copy and renames it over the file, which is closed and unlocked
// just before, because Windows replaces no open file.
func (s *editSession) replace(i *Image) (int64, error) {
	size, err := i.Size()
	if err != nil {
		return 0, err
	}
	temp := fmt.Sprintf(".%s.tmp-%016x", s.name, rand.Uint64())
	err = crashfs.WriteSynced(s.fsys, temp, 0o644, func(w io.Writer) error { return i.Encode(s.ctx, w, s.env) })
	if err == nil {
		err = s.release()
	}
	if err == nil {
		err = s.fsys.Rename(temp, s.name)
	}
	if err != nil {
		return 0, errors.Join(err, crashfs.RemoveAll(s.fsys, temp))
	}
	return size, s.fsys.Sync(".")
}

// overwrite changes the header's bytes that differ, once the old ones are safe in
// the journal.
func (s *editSession) overwrite(e edit, size int64) (int64, error) {
	j := newJournal(e.old, e.header, size)
	if len(j.old) == 0 {
		return 0, nil
	}
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	name := journalName(s.name)
	err := crashfs.WriteSynced(s.fsys, name, 0o600, func(w io.Writer) error {
		_, err := w.Write(j.encode())
		return err
	})
	if err == nil {
		err = s.fsys.Sync(".")
	}
	if err != nil {
		return 0, errors.Join(err, crashfs.RemoveAll(s.fsys, name))
	}
	if err := writeBack(s.fsys, s.name, j.fresh, j.at); err != nil {
		_, undo := recoverEdit(s.fsys, s.name)
		return 0, errors.Join(err, undo)
	}
	return int64(len(j.fresh)), dropJournal(s.fsys, name)
}

func writeBack(fsys editFS, name string, b []byte, at int64) error {
	f, err := fsys.Update(name)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(b, at); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func dropJournal(fsys editFS, journal string) error {
	if err := fsys.Remove(journal); err != nil {
		return err
	}
	return fsys.Sync(".")
}

// recoverEdit brings back what a journal holds, under the lock. A journal that is
// not whole was cut off itself: nothing was overwritten yet.
func recoverEdit(fsys editFS, name string) (bool, error) {
	journal := journalName(name)
	b, err := crashfs.ReadFile(fsys, journal, maxJournal)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	j, whole := decodeJournal(b)
	if !whole {
		return false, dropJournal(fsys, journal)
	}
	if err := checkJournal(fsys, name, j); err != nil {
		return false, fmt.Errorf("gguf: %w: %v: if %s is of another file, delete it", ErrUnfinished, err, journal)
	}
	if err := writeBack(fsys, name, j.old, j.at); err != nil {
		return false, err
	}
	return true, dropJournal(fsys, journal)
}

// checkJournal refuses a journal that belongs to another file of that name.
func checkJournal(fsys editFS, name string, j journal) (err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return err
	}
	if size != j.size || j.header > size {
		return fmt.Errorf("the file has %d bytes, not %d", size, j.size)
	}
	header := make([]byte, j.header)
	if err := readFullAt(f, header, 0); err != nil {
		return err
	}
	if !j.fits(header) {
		return errors.New("the file's header is neither the old one nor the new one")
	}
	return nil
}
