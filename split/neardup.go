package split

import (
	"cmp"
	"math"
	"slices"
	"unicode"
)

// NearOptions of NearDuplicates.
type NearOptions struct {
	// Shingle is the length in characters of the pieces that texts are compared by, 1 to
	// 64; default 4.
	Shingle int `json:"shingle" yaml:"shingle"`
	// Threshold is the share of pieces (Jaccard: common over all) from which two texts
	// are near-duplicates, above 0 to 1; default 0.6.
	Threshold float64 `json:"threshold" yaml:"threshold"`
	// Bands and Rows shape the search: two texts of similarity s are compared with
	// probability 1 − (1 − s^Rows)^Bands; defaults 40 and 3, which overlooks one pair in
	// 17,000 at 0.6 and one in 10¹² at 0.8. Each 1 to 256.
	Bands int `json:"bands" yaml:"bands"`
	Rows  int `json:"rows" yaml:"rows"`
	// Seed of the hash functions; default 42.
	Seed uint64 `json:"seed" yaml:"seed"`
}

// DefaultNearOptions returns the documented defaults.
func DefaultNearOptions() NearOptions {
	return NearOptions{Shingle: 4, Threshold: 0.6, Bands: 40, Rows: 3, Seed: 42}
}

// Validate reports the first option out of range as an *OptionError.
func (o NearOptions) Validate() error {
	switch {
	case o.Shingle < 1 || o.Shingle > 64:
		return &OptionError{"shingle", o.Shingle, "1 to 64"}
	case !(o.Threshold > 0 && o.Threshold <= 1):
		return &OptionError{"threshold", o.Threshold, "above 0 to 1"}
	case o.Bands < 1 || o.Bands > 256:
		return &OptionError{"bands", o.Bands, "1 to 256"}
	case o.Rows < 1 || o.Rows > 256:
		return &OptionError{"rows", o.Rows, "1 to 256"}
	}
	return nil
}

// NearDuplicates finds texts that are nearly equal and returns each one's cluster: the
// least index of the texts it is connected to, its own index when there are none. Use it
// as a group key (Keys.Groups). Candidates come from MinHash with banding (Broder 1997, On
// the resemblance and containment of documents; Leskovec, Rajaraman, Ullman, Mining of
// Massive Datasets, 3.4), and each is compared in full before it counts. White space,
// case and the width of Latin letters do not matter; texts without a single character
// are no one's duplicates.
//
// Which texts belong together does not depend on their order. text is called several
// times a text. Memory: 4·Bands·Rows bytes a text. Time grows with the square of the
// texts that share a band without being near-duplicates of one another.
func NearDuplicates(n int, text func(i int) string, o NearOptions) ([]int32, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &nearSearch{o: o, text: text, root: singles(n), signs: make([]uint32, n*o.Bands*o.Rows), empty: make([]bool, n)}
	for i := range n {
		s.sign(i)
	}
	pairs := make([]keyed, 0, n)
	for band := range o.Bands {
		pairs = pairs[:0]
		for i := range n {
			if !s.empty[i] {
				pairs = append(pairs, keyed{s.bandHash(i, band), int32(i)})
			}
		}
		slices.SortFunc(pairs, func(a, b keyed) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.item, b.item)) })
		for i := 0; i < len(pairs); {
			j := i
			for j < len(pairs) && pairs[j].hash == pairs[i].hash {
				j++
			}
			s.bucket(pairs[i:j])
			i = j
		}
	}
	for i := range s.root {
		s.root[i] = find(s.root, int32(i))
	}
	return s.root, nil
}

type nearSearch struct {
	o     NearOptions
	text  func(i int) string
	root  []int32
	signs []uint32 // Bands·Rows minima a text
	empty []bool
}

func (s *nearSearch) sign(i int) {
	width := s.o.Bands * s.o.Rows
	s.empty[i] = !s.o.sign(s.text(i), s.signs[i*width:(i+1)*width])
}

func (s *nearSearch) bandHash(i, band int) uint64 {
	at := (i*s.o.Bands + band) * s.o.Rows
	return bandHash(s.signs[at : at+s.o.Rows])
}

// sign computes a text's minima: for each hash function the least value of its pieces.
// It reports whether the text has any.
func (o NearOptions) sign(text string, sign []uint32) bool {
	for k := range sign {
		sign[k] = math.MaxUint32
	}
	pieces := shingles(text, o.Shingle)
	for _, p := range pieces {
		// Two hashes make all functions (Kirsch and Mitzenmacher 2008); the high half of
		// an odd multiple is mixed well enough to order pieces.
		a, b := mix(p^o.Seed), mix(p+o.Seed)|1
		for k := range sign {
			a += b
			sign[k] = min(sign[k], uint32((a*0x9e3779b97f4a7c15)>>32))
		}
	}
	return len(pieces) > 0
}

func bandHash(rows []uint32) (h uint64) {
	for _, v := range rows {
		h = mix(h ^ uint64(v))
	}
	return h
}

// BandHashes returns one hash a band, nil for a text without a character: NearDuplicates
// compares two texts when they agree in any band, and so can a search that is spread over
// machines. The options must be valid.
func (o NearOptions) BandHashes(text string) []uint64 {
	sign := make([]uint32, o.Bands*o.Rows)
	if !o.sign(text, sign) {
		return nil
	}
	out := make([]uint64, o.Bands)
	for band := range out {
		out[band] = bandHash(sign[band*o.Rows : (band+1)*o.Rows])
	}
	return out
}

// Pieces returns the sorted set of a text's pieces, hashed; see Jaccard.
func (o NearOptions) Pieces(text string) []uint64 { return shingles(text, o.Shingle) }

// bucket compares the texts that share a band, except those known to be connected.
func (s *nearSearch) bucket(same []keyed) {
	if len(same) < 2 {
		return
	}
	pieces := make([][]uint64, len(same))
	of := func(k int) []uint64 {
		if pieces[k] == nil {
			pieces[k] = shingles(s.text(int(same[k].item)), s.o.Shingle)
		}
		return pieces[k]
	}
	for k := 1; k < len(same); k++ {
		for l := range k {
			a, b := find(s.root, same[k].item), find(s.root, same[l].item)
			if a != b && Jaccard(of(k), of(l)) >= s.o.Threshold {
				s.root[max(a, b)] = min(a, b)
			}
		}
	}
}

// shingles are the distinct hashes of all pieces of n characters, sorted; a shorter
// text is one piece.
func shingles(text string, n int) []uint64 {
	var window [64]rune
	var out []uint64
	seen := 0
	for _, r := range text {
		if unicode.IsSpace(r) {
			continue
		}
		window[seen%n] = folded(r)
		seen++
		if seen >= n {
			out = append(out, pieceHash(window[:n], seen%n))
		}
	}
	if seen > 0 && seen < n {
		out = append(out, pieceHash(window[:seen], 0))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func folded(r rune) rune {
	if r >= '！' && r <= '～' {
		r -= '！' - '!'
	}
	return unicode.ToLower(r)
}

// pieceHash hashes a ring of characters from a start on.
func pieceHash(ring []rune, start int) uint64 {
	h := uint64(len(ring))
	for i := range ring {
		h = mix(h ^ uint64(ring[(start+i)%len(ring)]))
	}
	return h
}

// Jaccard is the share of common members of two sorted sets, one of which is not empty.
// Of Pieces it is what NearOptions.Threshold bounds.
func Jaccard(a, b []uint64) float64 {
	both, i, j := 0, 0, 0
	for i < len(a) && j < len(b) {
		switch c := cmp.Compare(a[i], b[j]); {
		case c == 0:
			both, i, j = both+1, i+1, j+1
		case c < 0:
			i++
		default:
			j++
		}
	}
	return float64(both) / float64(len(a)+len(b)-both)
}
