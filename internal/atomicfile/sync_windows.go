package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// SyncDir does nothing: Windows offers no way to sync a folder.
func SyncDir(string) error { return nil }

// rename retries for a second, because another process that has the target open
// for a moment (a virus scanner, an indexer) makes MoveFileEx fail with "access
// denied".
func rename(from, to string) error {
	var err error
	for range 20 {
		if err = os.Rename(from, to); !errors.Is(err, fs.ErrPermission) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}
