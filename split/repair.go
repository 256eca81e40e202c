package split

// repair moves units so that every part has MinPerClass records of every class.
// A unit moves only out of a part that stays at the minimum without it. Smaller
// units come later in dealing order, so the search runs from the end.
func (d *deal) repair(o Options) error {
	var found []int32
	for c := range d.names {
		for p := range o.Parts {
			for d.have[p][c] < o.MinPerClass {
				u := d.movable(c, p, o.MinPerClass, &found)
				if u < 0 {
					return &ScarceError{d.names[c], o.Parts[p].Name, d.have[p][c], o.MinPerClass, "records (its units cannot be divided)"}
				}
				d.give(u, int(d.part[u]), found, -1)
				d.give(u, p, found, 1)
				d.clear(found)
			}
		}
	}
	return nil
}

// movable returns a unit with class c that another part can spare, tallied, or -1.
func (d *deal) movable(c, p, least int, found *[]int32) int {
	for u := len(d.part) - 1; u >= 0; u-- {
		from := int(d.part[u])
		if from == p || d.have[from][c] <= least {
			continue
		}
		*found = d.tally(u, *found)
		if d.count[c] > 0 && d.spares(from, least, *found) {
			return u
		}
		d.clear(*found)
	}
	return -1
}

func (d *deal) spares(from, least int, found []int32) bool {
	for _, c := range found {
		if d.have[from][c]-d.count[c] < least {
			return false
		}
	}
	return true
}
