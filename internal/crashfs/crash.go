package crashfs

import (
	"io/fs"
	"slices"
)

// Crash returns the file system as it may be after a power cut now, with
// everything on it durable and no locks. Each pending thing is one question to
// pick. With torn, unsynced bytes may also come back in blocks, as zeros or as
// garbage; without it there are four outcomes a file: none of them, all, half,
// or a length without bytes.
func (s *Sim) Crash(pick Pick, torn bool) *Sim {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &crash{pick: pick, torn: torn}
	return &Sim{root: c.dir(s.root), locks: map[string]bool{}}
}

type crash struct {
	pick Pick
	torn bool
	// fates of renames between folders, which both must see alike.
	fates []fate
}

type fate struct {
	c *change
	f int
}

// Fates of a change.
const (
	lost = iota
	kept
	both // of a rename: the new name is there, the old one too
)

func (k *crash) fate(c *change) int {
	switch {
	case c.cutIn == nil || c.putIn == nil:
		return k.pick(2)
	case c.putIn == c.cutIn:
		return k.pick(3)
	}
	for _, f := range k.fates {
		if f.c == c {
			return f.f
		}
	}
	f := k.pick(3)
	k.fates = append(k.fates, fate{c, f})
	return f
}

func (k *crash) dir(d *node) *node {
	entries := d.durable
	if len(d.pending) > 0 {
		entries = slices.Clone(entries)
		for _, c := range d.pending {
			entries = k.replay(d, c, entries)
		}
	}
	out := &node{dir: true, durable: make([]link, len(entries))}
	for i, e := range entries {
		out.durable[i] = link{e.name, k.node(e.n)}
	}
	out.entries = slices.Clone(out.durable)
	return out
}

// replay applies what survives of a pending change to the entries of d.
func (k *crash) replay(d *node, c *change, entries []link) []link {
	f := k.fate(c)
	if c.cutIn == d && !c.cutDone && f == kept {
		entries = without(entries, c.cut, c.n)
	}
	if c.putIn == d && (c.putDone || f != lost) {
		entries = with(entries, c.put, c.n)
	}
	return entries
}

func (k *crash) node(n *node) *node {
	if n.dir {
		return k.dir(n)
	}
	data := n.data[:n.synced:n.synced]
	if n.synced < len(n.data) {
		data = k.tail(n.data, n.synced)
	}
	return &node{data: data, synced: len(data)}
}

// tail returns data as it may come back when only the first bytes are durable.
func (k *crash) tail(data []byte, durable int) []byte {
	end, outcomes := len(data), 4
	if k.torn {
		outcomes = 7
	}
	switch k.pick(outcomes) {
	case 0:
		return data[:durable:durable]
	case 1:
		return data[:end:end]
	case 2:
		end = (durable + end) / 2
		return data[:end:end]
	case 3:
		out := slices.Clone(data)
		clear(out[durable:])
		return out
	case 4:
		end = durable + k.pick(end-durable)
		return data[:end:end]
	case 5:
		return k.blocks(data, durable, 0)
	}
	return k.blocks(data, durable, garbage)
}

// garbage turns the bytes of a lost block into others.
const garbage = 0xa5

// blocks loses some of the blocks after the durable bytes; a lost one reads as
// zeros, or as its bytes turned by mask.
func (k *crash) blocks(data []byte, durable int, mask byte) []byte {
	size := [...]int{1, 512, 4096}[k.pick(3)]
	if len(data)-durable > 64*size {
		size = (len(data) - durable) / 64 // bounds the number of questions
	}
	out := slices.Clone(data)
	for at := durable; at < len(out); {
		next := min((at/size+1)*size, len(out))
		if k.pick(2) == 0 {
			for i := at; i < next; i++ {
				if out[i] ^= mask; mask == 0 {
					out[i] = 0
				}
			}
		}
		at = next
	}
	return out
}

// Flip returns a copy of the file system, all durable, with one bit of a file
// turned.
func (s *Sim) Flip(name string, bit int) (*Sim, error) {
	out := s.Crash(All, false)
	n, err := out.find(name)
	if err != nil {
		return nil, err
	}
	if n.dir || bit < 0 || bit >= 8*len(n.data) {
		return nil, fs.ErrInvalid
	}
	n.data = slices.Clone(n.data)
	n.data[bit/8] ^= 1 << (bit % 8)
	return out, nil
}
