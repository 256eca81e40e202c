package stage

import (
	"context"
	"io"
	"path"

	"github.com/borea-go/borea/internal/crashfs"
)

// recover completes or undoes an exchange that was interrupted.
func (r *runner) recover() error {
	there, err := crashfs.Exists(r.fs, r.out())
	if err != nil {
		return err
	}
	if there {
		return r.removeOld()
	}
	if err := r.fs.Rename(r.old(), r.out()); !missing(err) {
		return err
	}
	return nil
}

// removeOld removes the output before, once the exchange is durable: the disk may
// still call it by the output's name.
func (r *runner) removeOld() error {
	there, err := crashfs.Exists(r.fs, r.old())
	if err != nil || !there {
		return err
	}
	if err := r.fs.Sync("."); err != nil {
		return err
	}
	return crashfs.RemoveAll(r.fs, r.old())
}

// publish makes everything in the partial folder durable, then its record, which
// ends the work, and exchanges the folders.
func (r *runner) publish(ctx context.Context) error {
	if err := r.syncTree(r.partial()); err != nil {
		return err
	}
	files, err := hashTree(ctx, r.fs, r.partial(), notOutput)
	if err != nil {
		return err
	}
	b := record{made: r.made, Key: r.res.Key, Files: files}.encode()
	// The record gets its name only when its bytes are durable, so that whoever finds
	// it under that name need not ask.
	temp := r.partial() + "/.record"
	if err := crashfs.RemoveAll(r.fs, temp); err != nil {
		return err
	}
	err = crashfs.WriteSynced(r.fs, temp, 0o600, func(w io.Writer) error { _, err := w.Write(b); return err })
	if err != nil {
		return err
	}
	if err := r.fs.Rename(temp, r.partial()+"/"+recordName); err != nil {
		return err
	}
	return r.finish()
}

// finish makes the names of everything that a record vouches for durable, the
// partial folder's own too, before scratch is removed.
func (r *runner) finish() error {
	for _, name := range []string{r.partial(), "."} {
		if err := r.fs.Sync(name); err != nil {
			return err
		}
	}
	return r.exchange()
}

// syncTree syncs the files and folders below dir and removes what a killed process
// left half written.
func (r *runner) syncTree(dir string) error {
	entries, err := r.fs.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name)
		switch {
		case isTemp(e.Name):
			err = crashfs.RemoveAll(r.fs, name)
		case dir == r.partial() && notOutput(e.Name):
		case e.Dir:
			if err = r.syncTree(name); err == nil {
				err = r.fs.Sync(name)
			}
		case e.Regular:
			err = r.fs.Sync(name)
		default:
			err = kindError(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// exchange puts the finished partial folder in the output's place. The output
// before is deleted only when the new one is durable; recover knows every state
// in between.
func (r *runner) exchange() error {
	if err := r.removeScratch(); err != nil {
		return err
	}
	if err := r.fs.Rename(r.out(), r.old()); err != nil && !missing(err) {
		return err
	}
	if err := r.fs.Rename(r.partial(), r.out()); err != nil {
		return err
	}
	if err := r.fs.Sync("."); err != nil {
		return err
	}
	if err := crashfs.RemoveAll(r.fs, r.old()); err != nil {
		r.env.Logger.Warn("earlier output not removed", "name", r.old(), "error", err)
	}
	return nil
}

// removeScratch removes what is not output, durably, so that it is not published.
func (r *runner) removeScratch() error {
	entries, err := r.fs.ReadDir(r.partial())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if notOutput(e.Name) && !isRecord(e.Name) {
			if err := crashfs.RemoveAll(r.fs, path.Join(r.partial(), e.Name)); err != nil {
				return err
			}
		}
	}
	return r.fs.Sync(r.partial())
}
