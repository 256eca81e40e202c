package crawl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// Layout of a bbolt meta page (go.etcd.io/bbolt, internal/common/meta.go): a
// page header of 16 bytes, then magic, version, page size, flags (4 bytes each),
// root bucket (16), free list (8), high-water page (8), transaction (8), checksum.
const (
	boltHeader   = 16
	boltMeta     = 64
	boltMagic    = 0xed0cdaed
	boltPageSize = 8
	boltHigh     = 40
	boltChecksum = 56
)

// checkBoltSize refuses a file that ends before the pages it says it has. bbolt
// maps the file into memory, where touching a page that is not there ends the
// process instead of giving an error. A file that does not exist is fine.
func checkBoltSize(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is no regular file", ErrFrontier, path)
	}
	high := boltEnd(f, info.Size())
	if high == 0 || high > uint64(info.Size()) {
		return fmt.Errorf("%w: %s has %d bytes, should have %d", ErrFrontier, path, info.Size(), high)
	}
	return nil
}

// boltEnd returns the size that the valid meta pages ask for, or 0 where neither
// is valid. The second lies one page after the first, whatever size a page has.
func boltEnd(r io.ReaderAt, size int64) (end uint64) {
	offsets := []int64{0}
	for p := int64(1 << 10); p <= 1<<16; p *= 2 {
		offsets = append(offsets, p)
	}
	for _, off := range offsets {
		b := make([]byte, boltMeta)
		if off+boltHeader+boltMeta > size {
			break
		}
		if _, err := r.ReadAt(b, off+boltHeader); err != nil {
			return 0
		}
		h := fnv.New64a()
		h.Write(b[:boltChecksum])
		if binary.NativeEndian.Uint32(b) != boltMagic || binary.NativeEndian.Uint64(b[boltChecksum:]) != h.Sum64() {
			continue
		}
		pages, page := binary.NativeEndian.Uint64(b[boltHigh:]), uint64(binary.NativeEndian.Uint32(b[boltPageSize:]))
		if pages > 1<<40 {
			return 1 << 63
		}
		end = max(end, pages*page)
	}
	return end
}
