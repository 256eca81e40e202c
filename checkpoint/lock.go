package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/borea-go/borea/internal/crashfs"
)

// Lock takes an exclusive lock on the file at path, which it creates along with
// its folder, and returns the function that releases it. The lock ends with the
// process, so that kill -9 leaves nothing behind. If somebody else holds it the
// error is ErrLocked.
func Lock(path string) (unlock func() error, err error) {
	dir, name := filepath.Dir(path), filepath.Base(path)
	fsys, err := crashfs.CreateOS(dir)
	if err != nil {
		return nil, &Error{"lock", dir, err}
	}
	held, err := lockIn(fsys, name)
	if err != nil {
		return nil, errors.Join(&Error{"lock", dir, err}, fsys.Close())
	}
	return func() error { return errors.Join(held.Close(), fsys.Close()) }, nil
}

func lockIn(fsys crashfs.FS, name string) (io.Closer, error) {
	held, err := fsys.Lock(name)
	if errors.Is(err, crashfs.ErrLocked) {
		err = fmt.Errorf("%w (%w)", ErrLocked, err)
	}
	return held, err
}
