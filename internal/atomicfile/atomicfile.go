package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path"
	"path/filepath"

	"github.com/borea-go/borea/internal/crashfs"
)

// WriteFile lets write fill a new file and puts it in place of the named one once
// all of it is on disk; perm is subject to the umask. The folder must exist. When
// it returns an error from before the rename, the old file is untouched.
func WriteFile(name string, perm fs.FileMode, write func(io.Writer) error) (err error) {
	o, err := crashfs.OpenOS(filepath.Dir(name))
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	if err := Write(o, filepath.Base(name), perm, write); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// Write is WriteFile on any file system.
func Write(fsys crashfs.FS, name string, perm fs.FileMode, write func(io.Writer) error) error {
	dir, base := path.Split(name)
	temp := fmt.Sprintf("%s.%s.tmp-%016x", dir, base, rand.Uint64())
	err := crashfs.WriteSynced(fsys, temp, perm, write)
	if err == nil {
		err = fsys.Rename(temp, name)
	}
	if err != nil {
		return errors.Join(err, crashfs.RemoveAll(fsys, temp))
	}
	return fsys.Sync(path.Dir(name))
}
