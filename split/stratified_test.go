package split

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

type rec struct {
	id, class string
	groups    []string
}

var recKeys = Keys[rec]{
	ID:     func(r rec) string { return r.id },
	Class:  func(r rec) string { return r.class },
	Groups: func(r rec) []string { return r.groups },
}

// TestSklearnCounts: vectors made by testdata/make_vectors.py with scikit-learn 1.6.1.
func TestSklearnCounts(t *testing.T) {
	raw, err := os.ReadFile("testdata/sklearn_counts.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Counts    []int
		Fractions []float64
		Parts     [][]int
		Error     bool
	}
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	keys := recKeys
	keys.Groups = nil
	for _, c := range cases {
		o := Options{Mode: Sklearn, Seed: 1}
		for i, f := range c.Fractions {
			o.Parts = append(o.Parts, Part{fmt.Sprint(i), f})
		}
		res, err := Stratified(records(c.Counts, 0), keys, o)
		if c.Error {
			var scarce *ScarceError
			if !errors.As(err, &scarce) {
				t.Errorf("%v %v: error %v, want *ScarceError", c.Counts, c.Fractions, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v %v: %v", c.Counts, c.Fractions, err)
			continue
		}
		for p, want := range c.Parts {
			for i, n := range want {
				if got := res.Report.Parts[p].Classes[className(i)]; got != n {
					t.Errorf("%v %v: part %d class %d: %d, want %d", c.Counts, c.Fractions, p, i, got, n)
				}
			}
		}
	}
}

func className(i int) string { return string(rune('a' + i)) }

// records makes counts[i] records of class i; every `per` consecutive ones share
// a group (0: no groups).
func records(counts []int, per int) []rec {
	var out []rec
	for c, n := range counts {
		for i := range n {
			r := rec{id: fmt.Sprintf("%d-%d", c, i), class: className(c)}
			if per > 0 {
				r.groups = []string{fmt.Sprintf("g%d-%d", c, i/per)}
			}
			out = append(out, r)
		}
	}
	return out
}

func TestSharesAreTheLargestRemainder(t *testing.T) {
	tests := []struct {
		name   string
		counts []int
		want   [][]int // per part and class
	}{
		{"divides evenly", []int{100, 50}, [][]int{{80, 40}, {10, 5}, {10, 5}}},
		{"float product just below a whole", []int{10, 30}, [][]int{{8, 24}, {1, 3}, {1, 3}}},
		{"ties alternate by what a part lacks", []int{5, 5, 5, 5}, [][]int{{4, 4, 4, 4}, {1, 0, 1, 0}, {0, 1, 0, 1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := DefaultOptions()
			o.MinPerClass = 0
			res, err := Stratified(records(tt.counts, 0), recKeys, o)
			if err != nil {
				t.Fatal(err)
			}
			for p, w := range tt.want {
				for c, n := range w {
					if got := res.Report.Parts[p].Classes[className(c)]; got != n {
						t.Errorf("part %d class %d: %d, want %d", p, c, got, n)
					}
				}
			}
		})
	}
}

func TestOrderOfInputDoesNotMatter(t *testing.T) {
	items := records([]int{300, 97, 31, 12}, 3)
	for i := range items { // a second key that links across classes
		if i%10 == 0 {
			items[i].groups = append(items[i].groups, fmt.Sprintf("host%d", i/40))
		}
	}
	items = append(items, items[5], items[200]) // equal IDs
	first, err := Stratified(items, recKeys, DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	where := map[string]uint8{}
	for i, it := range items {
		where[it.id] = first.Part[i]
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		rng.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
		res, err := Stratified(items, recKeys, DefaultOptions())
		if err != nil {
			t.Fatal(err)
		}
		for i, it := range items {
			if where[it.id] != res.Part[i] {
				t.Fatalf("record %s moved from part %d to %d", it.id, where[it.id], res.Part[i])
			}
		}
		if fmt.Sprint(res.Report) != fmt.Sprint(first.Report) {
			t.Fatalf("report changed:\n%v\n%v", res.Report, first.Report)
		}
	}
	o := DefaultOptions()
	o.Seed++
	other, _ := Stratified(items, recKeys, o)
	if other.Report.Proof.Digests["test"] == first.Report.Proof.Digests["test"] {
		t.Error("another seed gave the same test part")
	}
}

func TestGroupsNeverStraddle(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for trial := range 200 {
		var items []rec
		for i := range 40 + rng.IntN(400) {
			r := rec{id: fmt.Sprint(i), class: className(rng.IntN(4))}
			for range rng.IntN(3) {
				r.groups = append(r.groups, fmt.Sprintf("k%d", rng.IntN(200)))
			}
			items = append(items, r)
		}
		o := DefaultOptions()
		o.MinPerClass, o.AllowEmpty = rng.IntN(2), true
		res, err := Stratified(items, recKeys, o)
		var scarce *ScarceError
		if errors.As(err, &scarce) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]uint8{}
		for i, it := range items {
			for _, g := range append([]string{"id " + it.id}, it.groups...) {
				if p, ok := seen[g]; ok && p != res.Part[i] {
					t.Fatalf("trial %d: %s in parts %d and %d", trial, g, p, res.Part[i])
				}
				seen[g] = res.Part[i]
			}
		}
		if !res.Report.Proof.Disjoint {
			t.Fatalf("trial %d: proof denies what holds: %+v", trial, res.Report.Proof)
		}
		total := 0
		for _, p := range res.Report.Parts {
			total += p.Items
			for c, n := range p.Classes {
				if n < o.MinPerClass {
					t.Fatalf("trial %d: part %s class %s has %d", trial, p.Name, c, n)
				}
			}
		}
		if total != len(items) {
			t.Fatalf("parts hold %d of %d", total, len(items))
		}
	}
}

func TestGroupedSharesStayNear(t *testing.T) {
	items := records([]int{4000, 2000, 1000, 1000}, 25)
	res, err := Stratified(items, recKeys, DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range res.Report.Parts {
		for c, want := range p.Want {
			if math.Abs(float64(p.Classes[c]-want)) > 25 {
				t.Errorf("part %s class %s: %d, want %d within one group of 25", p.Name, c, p.Classes[c], want)
			}
		}
	}
}

// Small units must fill what large ones leave, and a unit of several classes must
// go where it fits all of them.
func TestUnequalUnits(t *testing.T) {
	var items []rec
	add := func(group string, counts ...int) {
		for c, n := range counts {
			for range n {
				items = append(items, rec{id: fmt.Sprint(len(items)), class: className(c), groups: []string{group}})
			}
		}
	}
	add("large", 30, 10)
	for i := range 40 {
		add(fmt.Sprint("two", i), i%3, (i+1)%3)
	}
	for i := range 30 {
		add(fmt.Sprint("one", i), i%2, 1-i%2)
	}
	for seed := range uint64(20) {
		o := DefaultOptions()
		o.Seed = seed
		res, err := Stratified(items, recKeys, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range res.Report.Parts {
			for c, want := range p.Want {
				if p.Classes[c] != want {
					t.Errorf("seed %d part %s class %s: %d, want %d", seed, p.Name, c, p.Classes[c], want)
				}
			}
		}
	}
}

// A part's need of a common class must not draw in more of a rare one.
func TestRareClassInMixedUnits(t *testing.T) {
	items := records([]int{1000, 10}, 0)
	for i := range 10 {
		items[i].groups = []string{fmt.Sprint(i)}
		items[1000+i].groups = items[i].groups
	}
	o := DefaultOptions()
	o.MinPerClass = 0
	res, err := Stratified(items, recKeys, o)
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range []int{8, 1, 1} {
		if got := res.Report.Parts[p].Classes["b"]; got != want {
			t.Errorf("part %d has %d of the rare class, want %d", p, got, want)
		}
	}
}

func TestVerifyFindsLeaks(t *testing.T) {
	items := []rec{{id: "1", groups: []string{"g"}}, {id: "2", groups: []string{"g"}}, {id: "1"}, {id: "3", groups: []string{"h"}}}
	parts := DefaultOptions().Parts
	p := Verify(items, recKeys, []uint8{0, 1, 2, 0}, parts)
	if p.Disjoint || p.SharedIDs != 1 || p.SharedGroups != 1 || p.IDs != 3 || p.Groups != 2 {
		t.Errorf("%+v", p)
	}
	if p := Verify(items, recKeys, []uint8{1, 1, 1, 0}, parts); !p.Disjoint {
		t.Errorf("%+v", p)
	}
}

func TestImpossibleRequests(t *testing.T) {
	valid := DefaultOptions()
	with := func(f func(*Options)) Options { o := valid; o.Parts = slices.Clone(valid.Parts); f(&o); return o }
	many := records([]int{50, 50}, 0)
	scarce, empty, option := &ScarceError{}, &EmptyPartError{}, &OptionError{}
	tests := []struct {
		name  string
		items []rec
		keys  Keys[rec]
		o     Options
		want  func(error) bool
	}{
		{"no records", nil, recKeys, valid, is(ErrNoItems)},
		{"no ID", many, Keys[rec]{}, valid, is(ErrNoID)},
		{"groups in sklearn mode", many, recKeys, with(func(o *Options) { o.Mode = Sklearn }), is(ErrGroups)},
		{"two of a class for three parts", records([]int{50, 2}, 0), recKeys, valid, as(&scarce)},
		{"a class in one group", records([]int{50, 40}, 40), recKeys, valid, as(&scarce)},
		{"two records for three parts", records([]int{2}, 0), recKeys, with(func(o *Options) { o.MinPerClass = 0 }), as(&empty)},
		{"fractions of 0.9", many, recKeys, with(func(o *Options) { o.Parts[0].Fraction = 0.7 }), as(&option)},
		{"fraction NaN", many, recKeys, with(func(o *Options) { o.Parts[0].Fraction = math.NaN() }), as(&option)},
		{"a name twice", many, recKeys, with(func(o *Options) { o.Parts[0].Name = "val" }), as(&option)},
		{"one part", many, recKeys, with(func(o *Options) { o.Parts = o.Parts[:1] }), as(&option)},
		{"unknown mode", many, recKeys, with(func(o *Options) { o.Mode = "?" }), as(&option)},
	}
	for _, tt := range tests {
		if _, err := Stratified(tt.items, tt.keys, tt.o); !tt.want(err) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func is(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }

func as[E error](target *E) func(error) bool {
	return func(err error) bool { return errors.As(err, target) }
}

func BenchmarkStratified(b *testing.B) {
	items := records([]int{700_000, 100_000, 100_000, 100_000}, 5)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Stratified(items, recKeys, DefaultOptions()); err != nil {
			b.Fatal(err)
		}
	}
}
