package crashfs

import (
	"cmp"
	"slices"
)

// node is a file or a folder of the simulation.
type node struct {
	dir bool

	data   []byte // of a file, as a running program sees it
	synced int    // data[:synced] is durable
	lost   int    // data[synced:synced+lost] fell to a failed sync

	entries []link    // of a folder, by name, as a running program sees them
	durable []link    // as of the last sync; never written in place
	pending []*change // since then, in order
}

// link is a name in a folder.
type link struct {
	name string
	n    *node
}

// change is one operation on names: put makes a name, cut takes one away, a
// rename does both.
type change struct {
	put, cut     string
	putIn, cutIn *node // the folders; nil without put or cut
	n            *node
	putDone      bool // durable already
	cutDone      bool
}

func search(l []link, name string) (int, bool) {
	return slices.BinarySearchFunc(l, name, func(e link, name string) int { return cmp.Compare(e.name, name) })
}

func find(l []link, name string) *node {
	if i, ok := search(l, name); ok {
		return l[i].n
	}
	return nil
}

func with(l []link, name string, n *node) []link {
	i, ok := search(l, name)
	if ok {
		l[i].n = n
		return l
	}
	return slices.Insert(l, i, link{name, n})
}

func without(l []link, name string, n *node) []link {
	if i, ok := search(l, name); ok && l[i].n == n {
		return slices.Delete(l, i, i+1)
	}
	return l
}

// apply carries a change out for running programs and remembers it as pending.
func (c *change) apply() {
	if c.cutIn != nil {
		c.cutIn.entries = without(c.cutIn.entries, c.cut, c.n)
		c.cutIn.pending = append(c.cutIn.pending, c)
	}
	if c.putIn != nil {
		c.putIn.entries = with(c.putIn.entries, c.put, c.n)
		if c.putIn != c.cutIn {
			c.putIn.pending = append(c.putIn.pending, c)
		}
	}
}

// syncEntries makes the entries of a folder durable. Of a rename into another
// folder the new name becomes durable before the old one goes.
func (d *node) syncEntries() {
	for _, c := range d.pending {
		if c.putIn != nil {
			c.putDone = true
		}
		if c.cutIn == d {
			c.cutDone = true
		}
	}
	d.durable, d.pending = slices.Clone(d.entries), nil
}

// syncData makes the bytes of a file durable, but for those a failed sync lost:
// they stay pending for ever, and so do the ones behind them.
func (n *node) syncData() {
	if n.lost == 0 {
		n.synced = len(n.data)
	}
}

// failSync is what a failed sync does to a file.
func (n *node) failSync() { n.lost = len(n.data) - n.synced }
