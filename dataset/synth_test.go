package dataset

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/label"
)

func synthAll(t testing.TB, o SynthOptions) []Sample {
	t.Helper()
	var out []Sample
	for s, err := range Synthesize(o) {
		require.NoError(t, err)
		out = append(out, s)
	}
	return out
}

func TestSynthesizePassesClean(t *testing.T) {
	o := DefaultSynthOptions()
	o.Total = 6000
	made := synthAll(t, o)
	ids, texts := map[string]bool{}, map[string]bool{}
	counts := map[label.Class]int{}
	for _, s := range made {
		ids[s.ID], texts[s.Text] = true, true
		require.Equal(t, "template", s.LabelSource)
		require.NotContains(t, s.Text, "{")
		require.NotContains(t, s.Text, "。。")
		if s.Label == label.Allow && strings.HasPrefix(s.TemplateID, "qa/") {
			n := utf8.RuneCountInString(s.Messages[1].Content)
			require.GreaterOrEqual(t, n, 60, s.Text)
			require.LessOrEqual(t, n, maxAnswer)
			continue
		}
		counts[s.Label]++
		require.Contains(t, s.Messages[1].Content, "判断: "+s.Label.String()+"\n理由: ")
		_, reply, ok := strings.Cut(s.Messages[1].Content, "\n応答: ")
		require.True(t, ok)
		require.GreaterOrEqual(t, utf8.RuneCountInString(reply), 60, s.Text)
		require.LessOrEqual(t, utf8.RuneCountInString(reply), maxAnswer)
	}
	require.Len(t, ids, 6000)
	require.Len(t, texts, 6000)
	for _, c := range label.Classes() {
		require.Equal(t, 750, counts[c], c)
	}
	_, rep := cleanAll(t, of(made...), DefaultCleanOptions(), Env{})
	require.EqualValues(t, 6000, rep.Kept, rep.Rejects)
	t.Logf("characters %+v, quality %+v", rep.Runes, rep.Quality)
}

func TestSynthesizeIsReproducible(t *testing.T) {
	o := DefaultSynthOptions()
	o.Total = 300
	a := synthAll(t, o)
	require.Equal(t, a, synthAll(t, o))
	o.Total = 100
	require.Equal(t, a[:100], synthAll(t, o), "a larger total continues a smaller one")
	o.Seed++
	require.NotEqual(t, a[:100], synthAll(t, o))
}

func TestHeldBackTemplatesAreDisjoint(t *testing.T) {
	held := []string{"qa/what.detail", "triple/deny/record.values", "triple/refuse/"}
	o := DefaultSynthOptions()
	o.Total, o.Except = 800, held[:2]
	for _, s := range synthAll(t, o) {
		require.NotContains(t, held[:2], s.TemplateID)
	}
	o.Only, o.Except, o.Triple = held[:1], nil, 0
	for _, s := range synthAll(t, SynthOptions{Total: 50, Domains: o.Domains, Only: o.Only}) {
		require.Equal(t, held[0], s.TemplateID)
	}
	var oe *OptionError
	for _, err := range Synthesize(SynthOptions{Total: 1, Triple: 1, Domains: SynthDomains(), Except: held[2:]}) {
		require.ErrorAs(t, err, &oe)
	}
	require.NotNil(t, oe)
}

func TestExhaustionIsAnError(t *testing.T) {
	var last error
	n := 0
	for _, err := range Synthesize(SynthOptions{Total: 1 << 20, Domains: []string{"general"}, Only: []string{"qa/compare.issue"}}) {
		last = err
		n++
	}
	require.ErrorIs(t, last, ErrExhausted)
	require.Greater(t, n, 1000)
}

// TestRequestsShareTheirWords: a judge must not be able to tell classes by the
// object or by the words around it.
func TestRequestsShareTheirWords(t *testing.T) {
	g, err := loadGrammar()
	require.NoError(t, err)
	objects := map[string]map[label.Class]bool{}
	contexts := map[string]map[label.Class]bool{}
	o := DefaultSynthOptions()
	o.Total, o.Triple = 12000, 1
	for _, s := range synthAll(t, o) {
		for _, topics := range g.topics {
			for _, tp := range topics {
				for _, ob := range tp.Objects {
					if strings.Contains(s.Request(), ob.Name) {
						note(objects, ob.Name, s.Label)
					}
				}
			}
		}
		for _, c := range g.Contexts {
			if c != "" && strings.HasPrefix(s.Request(), c) {
				note(contexts, c, s.Label)
			}
		}
	}
	for name, classes := range objects {
		require.Len(t, classes, label.Count, name)
	}
	for name, classes := range contexts {
		require.Len(t, classes, label.Count, name)
	}
	for _, word := range []string{"改ざん", "漏えい", "攻撃", "承認", "公開", "秘密", "悪用"} {
		require.True(t, allowUses(g, word), "no harmless request holds %s", word)
	}
}

func note(m map[string]map[label.Class]bool, k string, c label.Class) {
	if m[k] == nil {
		m[k] = map[label.Class]bool{}
	}
	m[k][c] = true
}

func allowUses(g *grammar, word string) bool {
	for _, f := range g.frames {
		if f.class == label.Allow && strings.Contains(f.Q, word) {
			return true
		}
	}
	return false
}

func TestContentIsWhole(t *testing.T) {
	g, err := loadGrammar()
	require.NoError(t, err)
	for _, d := range SynthDomains() {
		require.Len(t, g.topics[d], 8, d)
		for _, tp := range g.topics[d] {
			require.Len(t, tp.Steps, 3, tp.Name)
			for _, a := range aspects {
				text := tp.aspect(a)
				require.True(t, strings.HasSuffix(text, "。"), "%s %s", tp.Name, a)
				require.NotContains(t, text, "。。", "%s %s", tp.Name, a)
				require.GreaterOrEqual(t, utf8.RuneCountInString(text), 35, "%s %s", tp.Name, a)
			}
			kinds := map[string]int{}
			for _, o := range tp.Objects {
				kinds[o.Kind]++
				require.True(t, strings.HasSuffix(o.Gloss, "。"), o.Name)
			}
			require.Len(t, kinds, 2, "%s needs a record and a system", tp.Name)
		}
	}
	list, err := Templates()
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, x := range list {
		require.False(t, seen[x.ID], x.ID)
		seen[x.ID] = true
	}
}

func BenchmarkSynthesize(b *testing.B) {
	o := DefaultSynthOptions()
	o.Total = 1000
	for b.Loop() {
		for range Synthesize(o) {
		}
	}
}
