package stage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/borea-go/borea/internal/atomicfile"
)

// fileRecord identifies one file of an output.
type fileRecord struct {
	Path   string `json:"path"` // slash-separated, from the output's folder
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// key hashes all that decides the output. Input paths themselves are left out,
// so that a moved folder stays valid.
func (s Spec) key(ctx context.Context) (string, error) {
	h := sha256.New()
	opts, err := json.Marshal(s.Options)
	if err != nil {
		return "", fmt.Errorf("options: %w", err)
	}
	fmt.Fprintf(h, "%s\n%s\n%s\n", s.Name, s.Version, opts)
	for _, in := range s.Inputs {
		files, err := hashTree(ctx, in)
		if err != nil {
			return "", fmt.Errorf("input: %w", err)
		}
		b, err := json.Marshal(files)
		if err != nil {
			return "", err
		}
		h.Write(append(b, '\n'))
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func hashFile(ctx context.Context, path string) (fileRecord, error) {
	if err := ctx.Err(); err != nil {
		return fileRecord{}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return fileRecord{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return fileRecord{filepath.Base(path), n, hex.EncodeToString(h.Sum(nil))}, err
}

// hashTree hashes a file, or every regular file below a folder, in order. A
// published stage counts by its record, which names every hash already.
func hashTree(ctx context.Context, path string) ([]fileRecord, error) {
	if rec, err := hashFile(ctx, filepath.Join(path, recordName)); err == nil {
		return []fileRecord{rec}, nil
	}
	var out []fileRecord
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rec, err := hashFile(ctx, p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(path, p)
		rec.Path = filepath.ToSlash(rel)
		out = append(out, rec)
		return err
	})
	return out, err
}

// syncTree syncs every file and folder and returns the files' records. Folders
// whose name starts with a dot (a stage's own checkpoints) are removed: they are
// scratch, not output.
func syncTree(dir string) ([]fileRecord, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Name()[0] == '.' {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return nil, err
			}
		}
	}
	out := []fileRecord{}
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return atomicfile.SyncDir(p)
		case !d.Type().IsRegular() || d.Name() == recordName:
			return nil
		}
		rec, err := syncFile(p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		rec.Path = filepath.ToSlash(rel)
		out = append(out, rec)
		return err
	})
	return out, err
}

func syncFile(path string) (fileRecord, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fileRecord{}, err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return fileRecord{}, err
	}
	if err := f.Close(); err != nil {
		return fileRecord{}, err
	}
	return hashFile(context.Background(), path)
}
