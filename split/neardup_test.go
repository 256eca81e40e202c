package split

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// document writes sentences of invented words, so that two documents share little.
func document(r *rand.Rand, sentences int) string {
	chars := []rune("港湾船舶入出荷役計画天候作業順序航空機体整備点検衛星通信打上地上支援装備調達訓練隊員運転手鉄道駅貨物道路橋梁電力水道医療教育会議資料契約監査品質")
	particles := []string{"は", "を", "に", "で", "の", "と", "から", "まで", "について"}
	var b strings.Builder
	for range sentences {
		for range 4 + r.IntN(5) {
			for range 2 + r.IntN(3) {
				b.WriteRune(chars[r.IntN(len(chars))])
			}
			b.WriteString(particles[r.IntN(len(particles))])
		}
		b.WriteString("行う。")
	}
	return b.String()
}

// edited changes a few characters, adds or drops some, or writes letters in other
// widths and cases.
func edited(r *rand.Rand, text string) string {
	runes := []rune(text)
	for range 1 + len(runes)/80 {
		i := r.IntN(len(runes))
		switch r.IntN(4) {
		case 0:
			runes[i] = '新'
		case 1:
			runes = slices.Insert(runes, i, []rune("なお")...)
		case 2:
			runes = slices.Delete(runes, i, i+1)
		case 3:
			runes = slices.Insert(runes, i, ' ', '　', '\n')
		}
	}
	return string(runes)
}

type document20 struct {
	id, text string
	planted  int // the cluster it was planted in
}

// plant makes n documents of which a fifth are edited copies of others, copies of
// copies too, shuffled.
func plant(n int) []document20 {
	r := rand.New(rand.NewPCG(20, 20))
	var out []document20
	for i := range n * 4 / 5 {
		out = append(out, document20{"d" + strconv.Itoa(i), document(r, 2+r.IntN(6)), i})
	}
	for i := len(out); i < n; i++ {
		from := out[r.IntN(len(out))]
		out = append(out, document20{"d" + strconv.Itoa(i), edited(r, from.text), from.planted})
	}
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// With a fifth of the texts planted as near-duplicates, no cluster lies in two parts:
// by the proof, by where each planted copy went, and by comparing all texts with all.
func TestNearDuplicatesNeverStraddle(t *testing.T) {
	docs := plant(1000)
	clusters, err := NearDuplicates(len(docs), func(i int) string { return docs[i].text }, DefaultNearOptions())
	if err != nil {
		t.Fatal(err)
	}
	order := make([]int, len(docs))
	for i := range order {
		order[i] = i
	}
	keys := Keys[int]{ID: func(i int) string { return docs[i].id }, Class: func(i int) string { return []string{"ALLOW", "DENY"}[docs[i].planted%2] }}
	naive, err := Stratified(order, keys, DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	keys.Groups = func(i int) []string { return []string{strconv.Itoa(int(clusters[i]))} }
	res, err := Stratified(order, keys, DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	if p := res.Report.Proof; !p.Disjoint || p.SharedGroups != 0 || p.Groups > 850 {
		t.Errorf("%+v", p)
	}
	if n := straddling(docs, res.Part); n != 0 {
		t.Errorf("%d planted clusters straddle", n)
	}
	if n := straddling(docs, naive.Part); n < 30 {
		t.Errorf("without clusters only %d straddle: the test could not fail", n)
	}
	leaks, pairs := leaks(docs, res.Part)
	t.Logf("%d documents, %d clusters, %d pairs over the threshold, %d of them across parts; planted clusters across parts without grouping: %d",
		len(docs), res.Report.Proof.Groups, pairs, leaks, straddling(docs, naive.Part))
	if leaks != 0 {
		t.Errorf("%d near-duplicate pairs across parts", leaks)
	}
}

// straddling counts planted clusters with members in several parts.
func straddling(docs []document20, part []uint8) (n int) {
	seen := map[int]uint8{}
	bad := map[int]bool{}
	for i, d := range docs {
		p, ok := seen[d.planted]
		if ok && p != part[i] {
			bad[d.planted] = true
		}
		seen[d.planted] = part[i]
	}
	return len(bad)
}

// leaks compares every text with every other.
func leaks(docs []document20, part []uint8) (across, pairs int) {
	o := DefaultNearOptions()
	sets := make([][]uint64, len(docs))
	for i, d := range docs {
		sets[i] = shingles(d.text, o.Shingle)
	}
	for i := range docs {
		for j := range i {
			if Jaccard(sets[i], sets[j]) >= o.Threshold {
				pairs++
				if part[i] != part[j] {
					across++
				}
			}
		}
	}
	return across, pairs
}

func TestNearDuplicatesDoNotDependOnOrder(t *testing.T) {
	docs := plant(300)
	names := func(order []int) string {
		c, err := NearDuplicates(len(order), func(i int) string { return docs[order[i]].text }, DefaultNearOptions())
		if err != nil {
			t.Fatal(err)
		}
		members := map[int32][]string{}
		for i, k := range c {
			members[k] = append(members[k], docs[order[i]].id)
		}
		var all []string
		for _, m := range members {
			slices.Sort(m)
			all = append(all, fmt.Sprint(m))
		}
		slices.Sort(all)
		return fmt.Sprint(all)
	}
	order := rand.New(rand.NewPCG(1, 2)).Perm(len(docs))
	there := names(order)
	slices.Reverse(order)
	if names(order) != there {
		t.Error("another order gives other clusters")
	}
}

func TestNearDuplicateEdges(t *testing.T) {
	texts := []string{"", "あ", "あ", "ＡＢＣｄｅｆ を", "abcdef\nを", "", "別の文である", "\xff", "い", " \n"}
	got, err := NearDuplicates(len(texts), func(i int) string { return texts[i] }, DefaultNearOptions())
	if want := []int32{0, 1, 1, 3, 3, 5, 6, 7, 8, 9}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, want %v; %v", got, want, err)
	}
	if got, err := NearDuplicates(0, nil, DefaultNearOptions()); err != nil || len(got) != 0 {
		t.Errorf("nothing: %v, %v", got, err)
	}
	for _, change := range []func(*NearOptions){
		func(o *NearOptions) { o.Shingle = 0 }, func(o *NearOptions) { o.Shingle = 65 }, func(o *NearOptions) { o.Threshold = 0 },
		func(o *NearOptions) { o.Bands = 0 }, func(o *NearOptions) { o.Rows = 300 },
	} {
		o := DefaultNearOptions()
		change(&o)
		var oe *OptionError
		if _, err := NearDuplicates(1, nil, o); !errors.As(err, &oe) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func BenchmarkNearDuplicates(b *testing.B) {
	docs := plant(2000)
	bytes := 0
	for _, d := range docs {
		bytes += len(d.text)
	}
	b.SetBytes(int64(bytes))
	for b.Loop() {
		if _, err := NearDuplicates(len(docs), func(i int) string { return docs[i].text }, DefaultNearOptions()); err != nil {
			b.Fatal(err)
		}
	}
}
