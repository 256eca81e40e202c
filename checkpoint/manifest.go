package checkpoint

import (
	"encoding/json"
	"errors"

	"github.com/borea-go/borea/checkpoint/internal/sealed"
	"github.com/borea-go/borea/internal/crashfs"
)

const (
	manifestName = "MANIFEST"
	manifestKind = "borea-checkpoint"
	// schema is the layout of manifests that this version writes and reads.
	schema = 1
	// maxManifest bounds what is written and read as a manifest, in bytes.
	maxManifest = 64 << 20
)

// manifest is the commit record of a checkpoint.
type manifest struct {
	Session string          `json:"session_id"`
	Step    int64           `json:"step"`
	Start   int64           `json:"start"`
	Serial  int64           `json:"serial"`
	Files   []manifestFile  `json:"files"`
	Meta    json.RawMessage `json:"meta"`
}

type manifestFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// errMeta says that the manifest would not be read back.
var errMeta = errors.New("meta is too long")

func (m *manifest) seal() ([]byte, error) {
	b, err := sealed.Seal(manifestKind, schema, m)
	if err == nil && len(b) > maxManifest {
		err = errMeta
	}
	return b, err
}

// errMoved says that a folder was given the name of another checkpoint.
var errMoved = errors.New("belongs to another checkpoint")

// readManifest returns the manifest of a checkpoint, whole and in its place.
func (s *Store) readManifest(i id) (manifest, error) {
	var m manifest
	b, err := crashfs.ReadFile(s.fs, i.String()+"/"+manifestName, maxManifest)
	if err == nil {
		err = sealed.Open(manifestKind, schema, b, &m)
	}
	var v *sealed.VersionError
	if errors.As(err, &v) {
		return m, &SchemaError{s.path(i.String()), v.Version, v.Known}
	}
	if err == nil && i != (id{m.Step, m.Start, m.Serial}) {
		err = errMoved
	}
	for _, f := range m.Files {
		if err == nil && !plainName(f.Name) {
			err = &NameError{f.Name}
		}
	}
	if err != nil {
		return m, s.damaged(i, manifestName, err)
	}
	return m, nil
}
