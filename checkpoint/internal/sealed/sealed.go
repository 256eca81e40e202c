package sealed

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// Errors of Open.
var (
	ErrTorn = errors.New("is torn or altered")
	ErrKind = errors.New("is a record of another kind")
)

// VersionError reports a whole record of a version that the reader does not know.
type VersionError struct{ Version, Known int }

// Error implements error.
func (e *VersionError) Error() string {
	return fmt.Sprintf("has layout %d, this program knows %d", e.Version, e.Known)
}

// Seal returns v as a record of a kind, a word without spaces.
func Seal(kind string, version int, v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	b := fmt.Appendf(nil, "%s %d\n%s\n", kind, version, body)
	return fmt.Appendf(b, "sha256 %x\n", sha256.Sum256(b)), nil
}

const sumLine = len("sha256 ") + 2*sha256.Size + len("\n")

// Open checks a record and decodes it into v.
func Open(kind string, version int, record []byte, v any) error {
	if len(record) < sumLine {
		return ErrTorn
	}
	b, sum := record[:len(record)-sumLine], record[len(record)-sumLine:]
	if string(sum) != fmt.Sprintf("sha256 %x\n", sha256.Sum256(b)) {
		return ErrTorn
	}
	head, body, _ := bytes.Cut(b, []byte("\n"))
	name, digits, _ := bytes.Cut(head, []byte(" "))
	if string(name) != kind {
		return ErrKind
	}
	if got, err := strconv.Atoi(string(digits)); err != nil || got != version {
		return &VersionError{got, version}
	}
	return json.Unmarshal(body, v)
}
