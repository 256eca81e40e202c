package phi3

import (
	"fmt"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// Decoder runs sequences with a key/value cache each. What they have in common, a
// step of all of them reads once: the weights.
type Decoder struct {
	pass   *Pass
	seqs   []*cached
	step   []*cached // of the pass under way, one a token; nil while one sequence is fed
	at     *cached   // the sequence that is fed
	last   compute.Activation
	index  compute.Buffer
	logits compute.Buffer
	host   []float32
}

// cached is one sequence.
type cached struct {
	layers []compute.Cache
	past   int
}

// NewDecoder allocates a cache of type kv for each capacity, in tokens, and room
// to feed block tokens at once.
func (m *Model) NewDecoder(capacities []int, block int, kv compute.Type, tune *Tuning) *Decoder {
	d, h, n := m.Dev, m.Heads(), len(capacities)
	dec := &Decoder{
		pass:   m.NewPass(max(block, n), Infer, tune),
		last:   compute.Activation{X: d.Alloc(d.Real(), n*m.Config.HiddenSize)},
		index:  d.Alloc(compute.I32, n),
		logits: d.Alloc(d.Real(), n*m.Config.VocabSize),
		host:   make([]float32, n*m.Config.VocabSize),
	}
	for _, capacity := range capacities {
		s := &cached{}
		for range m.layers {
			s.layers = append(s.layers, newCache(d, kv, h, capacity))
		}
		dec.seqs = append(dec.seqs, s)
	}
	tune.prepare(d)
	return dec
}

func newCache(d compute.Device, t compute.Type, h compute.Heads, capacity int) compute.Cache {
	rows := capacity * h.K
	c := compute.Cache{K: d.Alloc(t, rows*h.D), V: d.Alloc(t, rows*h.D), Cap: capacity}
	if t == compute.I8 {
		c.KScale, c.VScale = d.Alloc(compute.F32, rows), d.Alloc(compute.F32, rows)
	}
	return c
}

// Len returns the tokens in the cache of sequence i.
func (d *Decoder) Len(i int) int { return d.seqs[i].past }

// Feed appends ids to sequence i, a block after another, and returns the logits
// [V] that follow the last of them. The slice is valid until the next call. The
// rotary regime follows the length reached, as in the reference: keys already
// cached keep theirs.
func (d *Decoder) Feed(i int, ids []int32) ([]float32, error) {
	s := d.seqs[i]
	if err := s.fits(len(ids)); err != nil {
		return nil, err
	}
	d.step, d.at = nil, s
	base := d.pass.m.rope.base(d.pass.m.Config, s.past+len(ids))
	for len(ids) > 0 {
		n := min(len(ids), d.pass.cap)
		rows := make([]int32, n)
		for j := range rows {
			rows[j] = base + int32(s.past+j)
		}
		d.run(ids[:n], rows)
		s.past += n
		ids = ids[n:]
	}
	return d.readLogits([]int32{int32(d.pass.n - 1)})
}

func (s *cached) fits(n int) error {
	if n == 0 {
		return fmt.Errorf("phi3: no tokens to feed")
	}
	if c := s.layers[0].Cap; s.past+n > c {
		return fmt.Errorf("phi3: %d tokens exceed the cache of %d", s.past+n, c)
	}
	return nil
}

// Step appends one token to each of the sequences which, all of them different,
// and returns their logits, [len(which), V], valid until the next call.
func (d *Decoder) Step(which []int, ids []int32) ([]float32, error) {
	m := d.pass.m
	d.step = d.step[:0]
	rows, last := make([]int32, len(which)), make([]int32, len(which))
	for j, i := range which {
		s := d.seqs[i]
		if err := s.fits(1); err != nil {
			return nil, err
		}
		d.step = append(d.step, s)
		rows[j], last[j] = m.rope.base(m.Config, s.past+1)+int32(s.past), int32(j)
	}
	d.run(ids, rows)
	for _, s := range d.step {
		s.past++
	}
	return d.readLogits(last)
}

// run takes tokens through all blocks.
func (d *Decoder) run(ids, rows []int32) {
	p, m := d.pass, d.pass.m
	dev, n := m.Dev, len(ids)
	p.n = n
	dev.Upload(p.ids.Slice(0, n), ids)
	dev.Upload(p.seq.Row.Slice(0, n), rows)
	dev.Embed(p.stream(0), m.Embed, p.ids, n, 0, p.seq, compute.Random{})
	for i := range m.layers {
		p.forward(i, p.stream(0), p.stream(0), p.state[i], d.attention)
	}
}

func (d *Decoder) attention(s *layerState, layer int) {
	p, m := d.pass, d.pass.m
	h := m.Heads()
	if len(d.step) == 0 {
		m.Dev.AttentionCached(s.attn, s.qkv, h, m.rope.Rope, p.seq.Row, d.at.layers[layer], d.at.past, p.n)
		return
	}
	for j, seq := range d.step {
		qkv := s.qkv.Slice(j*h.QKV(), h.QKV())
		m.Dev.AttentionCached(row(s.attn, j, h.H*h.D), qkv, h, m.rope.Rope, p.seq.Row.Slice(j, 1), seq.layers[layer], seq.past, 1)
	}
}

// row is row j of an activation.
func row(a compute.Activation, j, cols int) compute.Activation {
	r := compute.Activation{X: a.X.Slice(j*cols, cols)}
	if a.Q != nil {
		r.Q, r.S = a.Q.Slice(j*cols, cols), a.S.Slice(j, 1)
	}
	return r
}

// readLogits returns the logits of the given rows of the pass.
func (d *Decoder) readLogits(rows []int32) ([]float32, error) {
	p, m, n := d.pass, d.pass.m, len(rows)
	p.finish()
	m.Dev.Upload(d.index.Slice(0, n), rows)
	m.Dev.Gather(d.last.X, p.final.X, d.index, n, m.Config.HiddenSize)
	m.Dev.Linear(d.logits, nil, d.last, m.Head, nil, nil, n, compute.Random{})
	host := d.host[:n*m.Config.VocabSize]
	return host, m.Dev.Download(host, d.logits.Slice(0, len(host)))
}
