package stage

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/borea-go/borea/internal/crashfs"
)

// fileRecord identifies one file of an output.
type fileRecord struct {
	Path   string `json:"path"` // slash-separated, from the output's folder
	Size   int64  `json:"size"` // bytes
	SHA256 string `json:"sha256"`
}

// skip says which names of a folder are not part of what it holds.
type skip func(name string) bool

// isRecord is STAGE.json: a stage's input is what an earlier stage made, not from
// what it made it, so equal output is an equal input.
func isRecord(name string) bool { return name == recordName }

// notOutput is scratch, the record, and what a killed process left half written.
func notOutput(name string) bool {
	return strings.HasPrefix(name, ".") && !strings.Contains(name, "/") || isRecord(name) || isTemp(path.Base(name))
}

// isTemp reports whether a name is atomicfile's, before the rename.
func isTemp(name string) bool {
	i := strings.LastIndex(name, ".tmp-")
	return strings.HasPrefix(name, ".") && i > 0 && len(name)-i == len(".tmp-")+16
}

// hashInput returns the digest of a file or folder on the real file system; what
// a link at path itself points to counts.
func hashInput(ctx context.Context, name string) (string, error) {
	st, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	var recs []fileRecord
	switch {
	case st.IsDir():
		recs, err = hashFolder(ctx, name)
	case st.Mode().IsRegular():
		recs, err = hashSingle(ctx, name)
	default:
		err = kindError(name)
	}
	if err != nil {
		return "", err
	}
	return digest(recs)
}

// digest hashes a value's JSON.
func digest(v any) (string, error) {
	b, err := json.Marshal(v)
	return fmt.Sprintf("%x", sha256.Sum256(b)), err
}

func hashFolder(ctx context.Context, dir string) (recs []fileRecord, err error) {
	o, err := crashfs.OpenOS(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	recs, err = hashTree(ctx, o, ".", isRecord)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return recs, nil
}

// hashSingle leaves the name out, so that a moved file stays the same input.
func hashSingle(ctx context.Context, name string) ([]fileRecord, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	rec, err := hashReader(ctx, f)
	return []fileRecord{rec}, errors.Join(err, f.Close())
}

// hashTree hashes every file below a folder, several at once, and returns them in
// the order of their paths.
func hashTree(ctx context.Context, fsys crashfs.FS, dir string, leave skip) ([]fileRecord, error) {
	names, err := listTree(fsys, dir, ".", leave)
	if err != nil {
		return nil, err
	}
	recs, errs := make([]fileRecord, len(names)), make([]error, len(names))
	var wg sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, name := range names {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			recs[i], errs[i] = hashFile(ctx, fsys, path.Join(dir, name))
			recs[i].Path = name
		})
	}
	wg.Wait()
	return recs, errors.Join(errs...)
}

// listTree returns the files below dir/rel as paths from dir, in order.
func listTree(fsys crashfs.FS, dir, rel string, leave skip) ([]string, error) {
	entries, err := fsys.ReadDir(path.Join(dir, rel))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name := path.Join(rel, e.Name)
		switch {
		case leave(name):
		case e.Dir:
			below, err := listTree(fsys, dir, name, leave)
			if err != nil {
				return nil, err
			}
			names = append(names, below...)
		case e.Regular:
			names = append(names, name)
		default:
			return nil, kindError(path.Join(dir, name))
		}
	}
	return names, nil
}

func hashFile(ctx context.Context, fsys crashfs.FS, name string) (fileRecord, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return fileRecord{}, err
	}
	rec, err := hashReader(ctx, f)
	return rec, errors.Join(err, f.Close())
}

func hashReader(ctx context.Context, r io.Reader) (rec fileRecord, err error) {
	h := sha256.New()
	buf := make([]byte, 512)
	for {
		if ctx.Err() != nil {
			return rec, context.Cause(ctx)
		}
		n, err := r.Read(buf)
		h.Write(buf[:n])
		rec.Size += int64(n)
		if errors.Is(err, io.EOF) {
			rec.SHA256 = fmt.Sprintf("%x", h.Sum(nil))
			return rec, nil
		}
		if err != nil {
			return rec, err
		}
		if n == len(buf) && n < 256<<10 {
			buf = make([]byte, 2*n)
		}
	}
}

// missing reports whether err says that a name is not there.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

func join(dir, name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
