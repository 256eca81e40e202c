package gguf

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"path/filepath"
)

// A journal keeps what an edit in place overwrites, until all of it is on disk.
type journal struct {
	size   int64  // of the file
	header int64  // bytes before the tensors
	at     int64  // where old and fresh stand
	old    []byte // both of equal length
	fresh  []byte
	rest   [sha256.Size]byte // hash of the header's other bytes
}

const (
	journalMark = "borea gguf undo 1\n"
	maxJournal  = 1 << 32
	// journalFixed is the length of what stands around the bytes: three numbers, two
	// hashes.
	journalFixed = len(journalMark) + 3*8 + 2*sha256.Size
)

// journalName is where the journal of a file stands: beside it.
func journalName(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".undo")
}

// newJournal keeps the bytes within which two headers of equal length differ.
func newJournal(old, fresh []byte, size int64) journal {
	first, last := differing(old, fresh)
	return journal{size, int64(len(old)), int64(first), old[first:last], fresh[first:last], restOf(old, first, last)}
}

// differing returns the range within which two slices of equal length differ.
func differing(a, b []byte) (first, last int) {
	for last = len(a); last > 0 && a[last-1] == b[last-1]; last-- {
	}
	for first = 0; first < last && a[first] == b[first]; first++ {
	}
	return first, last
}

func restOf(header []byte, first, last int) [sha256.Size]byte {
	h := sha256.New()
	h.Write(header[:first])
	h.Write(header[last:])
	return [sha256.Size]byte(h.Sum(nil))
}

// encode ends in a hash of it all, by which a journal that was cut off is told.
func (j journal) encode() []byte {
	b := []byte(journalMark)
	for _, n := range []int64{j.size, j.header, j.at} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	b = append(append(append(b, j.rest[:]...), j.old...), j.fresh...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// decodeJournal returns false for what encode did not write, whole.
func decodeJournal(b []byte) (j journal, ok bool) {
	body := len(b) - sha256.Size
	if len(b) < journalFixed || !bytes.HasPrefix(b, []byte(journalMark)) {
		return j, false
	}
	if sum := sha256.Sum256(b[:body]); !bytes.Equal(sum[:], b[body:]) {
		return j, false
	}
	b = b[len(journalMark):body]
	for _, n := range []*int64{&j.size, &j.header, &j.at} {
		*n, b = int64(binary.LittleEndian.Uint64(b)), b[8:]
	}
	j.rest, b = [sha256.Size]byte(b), b[sha256.Size:]
	half := len(b) / 2
	j.old, j.fresh = b[:half], b[half:]
	return j, len(b)%2 == 0 && j.header >= 0 && j.header <= maxJournal && j.at >= 0 && j.at <= j.header-int64(half)
}

// fits reports whether a header is the old one, the fresh one or, where a write
// was cut off, made of both.
func (j journal) fits(header []byte) bool {
	last := int(j.at) + len(j.old)
	for i, b := range header[j.at:last] {
		if b != j.old[i] && b != j.fresh[i] {
			return false
		}
	}
	return restOf(header, int(j.at), last) == j.rest
}
