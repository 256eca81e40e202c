package phi3

// Batch is documents packed end to end. Each slice has one entry a token.
type Batch struct {
	IDs    []int32
	Start  []int32   // index of the first token of the document
	Target []int32   // next token of the document
	Weight []float32 // weight of predicting Target, 0 for none
	length []int32   // documents' lengths in order
}

// Add appends a document. weight[i], when given, is the weight of predicting
// ids[i] from the tokens before it; weight nil means 1. The first token is
// never predicted.
func (b *Batch) Add(ids []int32, weight []float32) {
	start := int32(len(b.IDs))
	b.length = append(b.length, int32(len(ids)))
	for i, id := range ids {
		b.IDs = append(b.IDs, id)
		b.Start = append(b.Start, start)
		target, w := int32(0), float32(0)
		if i+1 < len(ids) {
			target, w = ids[i+1], 1
			if weight != nil {
				w = weight[i+1]
			}
		}
		b.Target = append(b.Target, target)
		b.Weight = append(b.Weight, w)
	}
}

// Len returns the number of tokens.
func (b *Batch) Len() int { return len(b.IDs) }

// Documents returns the lengths of the documents in order.
func (b *Batch) Documents() []int32 { return b.length }

// Offsets returns where each document starts, and the end of the last.
func (b *Batch) Offsets() []int32 {
	off := make([]int32, 1, len(b.length)+1)
	for _, n := range b.length {
		off = append(off, off[len(off)-1]+n)
	}
	return off
}

// Longest returns the length of the longest document.
func (b *Batch) Longest() int {
	var n int32
	for _, l := range b.length {
		n = max(n, l)
	}
	return int(n)
}

// Triples returns how many triples of consecutive tokens lie inside a document:
// the count that the PET term divides by.
func (b *Batch) Triples() int {
	n := 0
	for _, l := range b.length {
		n += max(0, int(l)-2)
	}
	return n
}

// ScaleWeights multiplies every loss weight by f.
func (b *Batch) ScaleWeights(f float32) {
	for i := range b.Weight {
		b.Weight[i] *= f
	}
}

// WeightSum returns the sum of the loss weights.
func (b *Batch) WeightSum() float64 {
	s := 0.0
	for _, w := range b.Weight {
		s += float64(w)
	}
	return s
}

// rows returns each token's row of the rotary table.
func (m *Model) rows(b *Batch) []int32 {
	rows := make([]int32, 0, len(b.IDs))
	for _, n := range b.length {
		base := m.rope.base(m.Config, int(n))
		for p := range n {
			rows = append(rows, base+p)
		}
	}
	return rows
}
