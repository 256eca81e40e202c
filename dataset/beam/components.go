package beam

import "iter"

// Components returns the cluster of each ID that has an edge: the least ID of those it
// is connected to. Run it on the edges that a pipeline wrote; it ends at their first
// error. Memory: the IDs, twice.
func Components(edges iter.Seq2[Edge, error]) (map[string]string, error) {
	f := forest{}
	for e, err := range edges {
		if err != nil {
			return nil, err
		}
		f.join(e.A, e.B)
	}
	for id := range f {
		f[id] = f.root(id)
	}
	return f, nil
}

// forest maps an ID to one nearer the root of its tree, which is the least of the tree;
// an ID that is absent is a tree by itself.
type forest map[string]string

func (f forest) root(id string) string {
	for {
		up, ok := f[id]
		if !ok || up == id {
			return id
		}
		if top, ok := f[up]; ok && top != up {
			f[id] = top // halves the path
		}
		id = up
	}
}

func (f forest) join(a, b string) {
	a, b = f.root(a), f.root(b)
	f[a] = min(a, b)
	f[b] = min(a, b)
}
