package safetensors

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
)

// ErrNotMappable is wrapped where a file cannot be mapped: it is none of the
// operating system's, or the system has no call that this package knows.
var ErrNotMappable = errors.New("safetensors: the file cannot be mapped into memory")

// ErrChanged is wrapped when a file no longer has the size it was opened with.
var ErrChanged = errors.New("safetensors: the file changed after it was opened")

// Map maps every file of the model into memory, read-only, so that Mapped gives
// tensors without reading them. Until Close nobody may shorten the files: a page
// that is gone ends the program (SIGBUS), which Go cannot turn into an error. A file
// that another is renamed over stays as it was; on Windows it cannot be replaced.
func (m *Model) Map() error {
	if m.maps != nil {
		return nil
	}
	maps := map[string][]byte{}
	for shard, f := range m.files {
		b, err := mapFile(f, m.shards[shard].size)
		if err != nil {
			return errors.Join(&ShardError{shard, err}, unmapAll(maps))
		}
		maps[shard] = b
	}
	m.maps = maps
	return nil
}

func mapFile(f fs.File, size int64) ([]byte, error) {
	osFile, ok := f.(*os.File)
	if !ok {
		return nil, fmt.Errorf("%w: it is a %T", ErrNotMappable, f)
	}
	if size > math.MaxInt {
		return nil, fmt.Errorf("%w: %d bytes", ErrNotMappable, size)
	}
	b, err := mapOS(osFile, int(size))
	if err != nil {
		return nil, err
	}
	// The size is compared after mapping: what is shorter by now would fault.
	if st, err := f.Stat(); err != nil || st.Size() != size {
		return nil, errors.Join(ErrChanged, err, unmapOS(b))
	}
	return b, nil
}

func unmapAll(maps map[string][]byte) error {
	var errs []error
	for _, b := range maps {
		errs = append(errs, unmapOS(b))
	}
	return errors.Join(errs...)
}

// Mapped returns a tensor's bytes, little-endian and in row-major order, where they
// lie in its file, or nil without Map. They must not be written to, nor read after
// Close.
func (m *Model) Mapped(name string) []byte {
	info, ok := m.Info(name)
	file := m.maps[m.of[name]]
	if !ok || file == nil {
		return nil
	}
	end := info.Offset + info.Size
	return file[info.Offset:end:end]
}
