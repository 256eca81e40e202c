package split

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// Report describes a split. It depends on records, keys and options only.
type Report struct {
	Mode  Mode   `json:"mode"`
	Seed  uint64 `json:"seed"`
	Items int    `json:"items"` // = Σ Parts.Items
	Units int    `json:"units"`
	// LargestUnit is the records of the largest unit.
	LargestUnit int          `json:"largest_unit"`
	Parts       []PartReport `json:"parts"`
	Proof       Proof        `json:"proof"`
}

// PartReport describes one part.
type PartReport struct {
	Name     string  `json:"name"`
	Fraction float64 `json:"fraction"`
	Items    int     `json:"items"`
	Units    int     `json:"units"`
	// Classes holds records per class; Want what the shares asked for.
	Classes map[string]int `json:"classes"`
	Want    map[string]int `json:"want"`
}

func (d *deal) report(o Options) Report {
	r := Report{Mode: o.Mode, Seed: o.Seed, Items: len(d.unit), Units: len(d.part)}
	for p, part := range o.Parts {
		pr := PartReport{Name: part.Name, Fraction: part.Fraction, Items: sum(d.have[p]), Classes: map[string]int{}, Want: map[string]int{}}
		for c, name := range d.names {
			pr.Classes[name], pr.Want[name] = d.have[p][c], int(d.want[p][c])
		}
		r.Parts = append(r.Parts, pr)
	}
	for u, p := range d.part {
		r.Parts[p].Units++
		r.LargestUnit = max(r.LargestUnit, int(d.start[u+1]-d.start[u]))
	}
	return r
}

// Proof says whether any key lies in two parts, found by sorting all keys anew
// rather than from the units that the split was made of.
type Proof struct {
	Disjoint     bool `json:"disjoint"`
	SharedIDs    int  `json:"shared_ids"`    // IDs in more than one part
	SharedGroups int  `json:"shared_groups"` // group keys in more than one part
	IDs          int  `json:"ids"`           // distinct
	Groups       int  `json:"groups"`        // distinct
	// Digests holds, per part name, SHA-256 over the sorted key hashes of its
	// distinct IDs, so that two runs can be compared without their files.
	Digests map[string]string `json:"digests"`
}

// keyPart is the first 128 bits of a key's SHA-256, and the part it was seen in.
type keyPart struct {
	key  [16]byte
	part uint8
}

// Verify checks any assignment of items to parts: part[i] is item i's index in
// parts. Keys are compared by 128 bits of SHA-256.
func Verify[T any](items []T, k Keys[T], part []uint8, parts []Part) Proof {
	pr := Proof{Digests: map[string]string{}}
	keys := make([]keyPart, 0, len(items))
	for i, it := range items {
		keys = append(keys, newKeyPart(k.ID(it), part[i]))
	}
	pr.IDs, pr.SharedIDs = shared(keys)
	for p, digest := range digests(keys, len(parts)) {
		pr.Digests[parts[p].Name] = digest
	}
	if k.Groups != nil {
		keys = keys[:0]
		for i, it := range items {
			for _, g := range k.Groups(it) {
				if g != "" {
					keys = append(keys, newKeyPart(g, part[i]))
				}
			}
		}
		pr.Groups, pr.SharedGroups = shared(keys)
	}
	pr.Disjoint = pr.SharedIDs == 0 && pr.SharedGroups == 0
	return pr
}

func newKeyPart(s string, p uint8) keyPart {
	h := sha256.Sum256([]byte(s))
	return keyPart{[16]byte(h[:16]), p}
}

// shared sorts keys and counts the distinct ones and those in several parts.
func shared(keys []keyPart) (distinct, several int) {
	slices.SortFunc(keys, func(a, b keyPart) int {
		if c := bytes.Compare(a.key[:], b.key[:]); c != 0 {
			return c
		}
		return int(a.part) - int(b.part)
	})
	for i := 0; i < len(keys); {
		j := i
		for j < len(keys) && keys[j].key == keys[i].key {
			j++
		}
		distinct++
		if keys[i].part != keys[j-1].part {
			several++
		}
		i = j
	}
	return distinct, several
}

// digests hashes each part's distinct keys, which are sorted.
func digests(keys []keyPart, parts int) []string {
	out := make([]string, parts)
	for p := range out {
		h := sha256.New()
		for i, k := range keys {
			if int(k.part) == p && (i == 0 || keys[i-1] != k) {
				h.Write(k.key[:])
			}
		}
		out[p] = hex.EncodeToString(h.Sum(nil))
	}
	return out
}
