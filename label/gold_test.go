package label

import (
	"testing"
)

func gold(t testing.TB) []GoldItem {
	t.Helper()
	items, err := Gold()
	if err != nil {
		t.Fatal(err)
	}
	return items
}

func TestGoldIsComplete(t *testing.T) {
	items := gold(t)
	if len(items) < 400 {
		t.Errorf("%d items", len(items))
	}
	cells, classes, kinds, ids := map[string]int{}, map[Class]int{}, map[string]map[Class]bool{}, map[string]bool{}
	for _, it := range items {
		if ids[it.ID] || ids[it.Text] || it.Why == "" || it.Source != "author" || !it.Label.Valid() {
			t.Errorf("%+v", it)
		}
		if (it.Kind == "pair") != (it.Pair != "") {
			t.Errorf("%s is of kind %s and has pair %q", it.ID, it.Kind, it.Pair)
		}
		ids[it.ID], ids[it.Text] = true, true
		cells[it.Domain+" "+it.Label.String()]++
		classes[it.Label]++
		if kinds[it.Kind] == nil {
			kinds[it.Kind] = map[Class]bool{}
		}
		kinds[it.Kind][it.Label] = true
	}
	for _, domain := range []string{"defence", "aerospace", "transport", "general"} {
		for _, c := range Classes() {
			if n := cells[domain+" "+c.String()]; n < 20 {
				t.Errorf("%s %s: %d items", domain, c, n)
			}
		}
	}
	for c, n := range classes {
		if share := float64(n) / float64(len(items)); share < .22 || share > .3 {
			t.Errorf("%s has a share of %.2f", c, share)
		}
	}
	for kind, want := range map[string]int{"plain": 4, "pair": 4, "bare": 4, "danger": 1, "indirect": 3} {
		if len(kinds[kind]) != want {
			t.Errorf("kind %s has classes %v, want %d", kind, kinds[kind], want)
		}
	}
}

func TestGoldPairsDifferInClass(t *testing.T) {
	pairs := map[string]map[Class]bool{}
	for _, it := range gold(t) {
		if it.Pair == "" {
			continue
		}
		if pairs[it.Pair] == nil {
			pairs[it.Pair] = map[Class]bool{}
		}
		if pairs[it.Pair][it.Label] {
			t.Errorf("pair %s has %s twice", it.Pair, it.Label)
		}
		pairs[it.Pair][it.Label] = true
	}
	if len(pairs) < 40 {
		t.Errorf("%d pairs", len(pairs))
	}
	for p, classes := range pairs {
		if len(classes) < 2 {
			t.Errorf("pair %s does not differ in class", p)
		}
	}
}

// shingles are the character trigrams of a text.
func shingles(text string) map[string]bool {
	out, r := map[string]bool{}, []rune(text)
	for i := 0; i+3 <= len(r); i++ {
		out[string(r[i:i+3])] = true
	}
	return out
}

// Items of different groups may come to lie in different folds, so none may be a near
// copy of another.
func TestGoldGroupsAreNoNearDuplicates(t *testing.T) {
	items := gold(t)
	sets := make([]map[string]bool, len(items))
	for i, it := range items {
		sets[i] = shingles(it.Text)
	}
	for i, a := range sets {
		for j := range i {
			both := 0
			for s := range a {
				if sets[j][s] {
					both++
				}
			}
			jaccard := float64(both) / float64(len(a)+len(sets[j])-both)
			if items[i].Group() != items[j].Group() && jaccard > .5 {
				t.Errorf("%s and %s agree in %.2f of their trigrams", items[i].Text, items[j].Text, jaccard)
			}
		}
	}
}

// Bare requests give the rules nothing to go by.
func TestNoRuleFiresOnBareGold(t *testing.T) {
	rules := preset(t, "default")
	for _, it := range gold(t) {
		if d := FourClass(it.Text, rules); it.Kind == "bare" && !d.None {
			t.Errorf("%s: %+v", it.Text, d.Evidence)
		}
	}
}

func TestRulesOnGold(t *testing.T) {
	var seen, unseen []GoldItem
	for _, it := range gold(t) {
		if it.HeldOut {
			unseen = append(unseen, it)
		} else {
			seen = append(seen, it)
		}
	}
	for _, name := range Presets() {
		for part, items := range map[string][]GoldItem{"seen": seen, "held out": unseen} {
			a := Assess(items, preset(t, name))
			t.Logf("%s, %s: %d of %d, macro F1 %.3f, unsafe allowed %d, %v", name, part, a.Correct, a.Items, a.MacroF1, a.UnsafeAllowed, a.ByKind)
			sum := 0
			for _, row := range a.Confusion {
				for _, n := range row {
					sum += n
				}
			}
			if sum != len(items) {
				t.Errorf("confusion holds %d of %d", sum, len(items))
			}
			switch {
			case name != "default":
			case part == "seen" && (a.MacroF1 < .85 || a.UnsafeAllowed != 0):
				t.Errorf("on the items the rules were tried on: macro F1 %.3f, %d allowed", a.MacroF1, a.UnsafeAllowed)
			case part == "held out" && a.UnsafeAllowed > 6:
				t.Errorf("%d unsafe requests allowed", a.UnsafeAllowed)
			}
		}
	}
}
