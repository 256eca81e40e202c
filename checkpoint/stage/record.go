package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/borea-go/borea/internal/crashfs"
)

const (
	// recordName is the file that makes an output valid.
	recordName = "STAGE.json"
	maxRecord  = 64 << 20 // bytes
)

// made says what an output is made from.
type made struct {
	Name    string   `json:"name"`
	Version string   `json:"version"`
	Options string   `json:"options_sha256"`
	Inputs  []string `json:"inputs_sha256"` // in the order given, without paths
}

// record is STAGE.json.
type record struct {
	made
	Key      string       `json:"key"` // hash of made
	Files    []fileRecord `json:"files"`
	Checksum string       `json:"checksum"` // of this object with an empty checksum
}

// made hashes all that decides the output.
func (s Spec) made(ctx context.Context) (m made, err error) {
	m = made{Name: s.Name, Version: s.Version, Inputs: []string{}}
	if m.Options, err = digest(s.Options); err != nil {
		return m, fmt.Errorf("options: %w", err)
	}
	for _, in := range s.Inputs {
		d, err := hashInput(ctx, in)
		if err != nil {
			return m, err
		}
		m.Inputs = append(m.Inputs, d)
	}
	return m, nil
}

func (m made) key() string {
	d, _ := digest(m) // strings always encode
	return d
}

func (r record) sum() string {
	r.Checksum = ""
	d, _ := digest(r)
	return d
}

func (r record) encode() []byte {
	r.Checksum = r.sum()
	b, _ := json.MarshalIndent(r, "", " ") // strings and numbers always encode
	return append(b, '\n')
}

var errRecord = errors.New("record is torn or altered")

// readRecord returns the record of a folder; an unreadable one is errRecord, no
// folder or none in it is fs.ErrNotExist.
func readRecord(fsys crashfs.FS, dir string) (record, error) {
	b, err := crashfs.ReadFile(fsys, dir+"/"+recordName, maxRecord)
	if err != nil {
		return record{}, err
	}
	var r record
	if json.Unmarshal(b, &r) != nil || r.Checksum != r.sum() || r.Key != r.key() {
		return record{}, errRecord
	}
	return r, nil
}

// whyStale says why the output in a folder does not do; "" if it does.
func (r *runner) whyStale(ctx context.Context, dir string) (string, error) {
	rec, err := readRecord(r.fs, dir)
	switch {
	case missing(err):
		return "no output yet", nil
	case errors.Is(err, errRecord):
		return "the output's record is damaged", nil
	case err != nil:
		return "", err
	}
	if why := r.changed(rec.made); why != "" {
		return why, nil
	}
	have, err := hashTree(ctx, r.fs, dir, notOutput)
	if err != nil {
		return "", err
	}
	return altered(rec.Files, have), nil
}

// changed names what differs from what an output was made from.
func (r *runner) changed(m made) string {
	switch {
	case m.Version != r.made.Version:
		return fmt.Sprintf("version %q, was %q", r.made.Version, m.Version)
	case m.Options != r.made.Options:
		return "options changed"
	case len(m.Inputs) != len(r.made.Inputs):
		return fmt.Sprintf("%d inputs, were %d", len(r.made.Inputs), len(m.Inputs))
	}
	for i := range m.Inputs {
		if m.Inputs[i] != r.made.Inputs[i] {
			return "input " + r.spec.Inputs[i] + " changed"
		}
	}
	if m.Name != r.made.Name {
		return fmt.Sprintf("output of stage %q", m.Name)
	}
	return ""
}

// altered names a file that differs; both lists are in order.
func altered(want, have []fileRecord) string {
	for _, w := range want {
		if !slices.Contains(have, w) {
			return fmt.Sprintf("output file %s is missing or altered", w.Path)
		}
	}
	if len(have) > len(want) {
		return "the output holds files that are not its own"
	}
	return ""
}
