package phi3

import (
	"fmt"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// Decoder runs one sequence with a key/value cache.
type Decoder struct {
	pass   *Pass
	cache  []compute.Cache
	past   int
	last   compute.Activation
	index  compute.Buffer
	logits compute.Buffer
	host   []float32
}

// NewDecoder allocates a cache for capacity tokens and room to feed block
// tokens at once.
func (m *Model) NewDecoder(capacity, block int, tune *Tuning) *Decoder {
	d, h := m.Dev, m.Heads()
	m.Fit(capacity)
	dec := &Decoder{
		pass:   m.NewPass(block, Infer, tune),
		last:   compute.Activation{X: d.Alloc(d.Real(), m.Config.HiddenSize)},
		index:  d.Alloc(compute.I32, 1),
		logits: d.Alloc(d.Real(), m.Config.VocabSize),
		host:   make([]float32, m.Config.VocabSize),
	}
	for range m.layers {
		dec.cache = append(dec.cache, compute.Cache{
			K: d.Alloc(d.Real(), capacity*h.K*h.D), V: d.Alloc(d.Real(), capacity*h.K*h.D), Cap: capacity,
		})
	}
	tune.prepare(d)
	return dec
}

// Len returns the tokens in the cache.
func (d *Decoder) Len() int { return d.past }

// Feed appends ids and returns the logits [V] that follow the last of them. The
// slice is valid until the next call. The rotary regime follows the length
// reached, as in the reference: keys already cached keep theirs.
func (d *Decoder) Feed(ids []int32) ([]float32, error) {
	if d.past+len(ids) > d.cache[0].Cap {
		return nil, fmt.Errorf("phi3: %d tokens exceed the cache of %d", d.past+len(ids), d.cache[0].Cap)
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("phi3: no tokens to feed")
	}
	base := d.pass.m.rope.base(d.pass.m.Config, d.past+len(ids))
	for len(ids) > 0 {
		n := min(len(ids), d.pass.cap)
		d.block(ids[:n], base)
		ids = ids[n:]
	}
	return d.readLogits()
}

func (d *Decoder) block(ids []int32, base int32) {
	p, m := d.pass, d.pass.m
	dev, n := m.Dev, len(ids)
	p.n = n
	rows := make([]int32, n)
	for i := range rows {
		rows[i] = base + int32(d.past+i)
	}
	dev.Upload(p.ids.Slice(0, n), ids)
	dev.Upload(p.seq.Row.Slice(0, n), rows)
	dev.Embed(p.stream(0), m.Embed, p.ids, n, 0, p.seq, compute.Random{})
	for i := range m.layers {
		p.forward(i, p.stream(0), p.stream(0), p.layerState(0), d.attention)
	}
	d.past += n
}

func (d *Decoder) attention(s *layerState, layer int) {
	p, m := d.pass, d.pass.m
	m.Dev.AttentionCached(s.attn, s.qkv, m.Heads(), m.rope.Rope, p.seq.Row, d.cache[layer], d.past, p.n)
}

func (d *Decoder) readLogits() ([]float32, error) {
	p, m := d.pass, d.pass.m
	p.finish()
	m.Dev.Upload(d.index, []int32{int32(p.n - 1)})
	m.Dev.Gather(d.last.X, p.final.X, d.index, 1, m.Config.HiddenSize)
	m.Dev.Linear(d.logits, nil, d.last, m.Head, nil, nil, 1, compute.Random{})
	if err := m.Dev.Download(d.host, d.logits); err != nil {
		return nil, err
	}
	return d.host, nil
}
