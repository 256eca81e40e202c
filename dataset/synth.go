package dataset

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/borea-go/borea/label"
)

// SynthOptions say what Synthesize makes.
type SynthOptions struct {
	// Total is the number of distinct samples, ≥ 0; default 5,000.
	Total int `json:"total" yaml:"total"`
	// Seed of the choices; default 42.
	Seed uint64 `json:"seed" yaml:"seed"`
	// Triple is the share of samples with judgement, reason and reply, 0 to 1,
	// spread evenly over the four classes; the rest are questions and answers.
	// Default 0.5.
	Triple float64 `json:"triple" yaml:"triple"`
	// Domains to draw from; default all of SynthDomains.
	Domains []string `json:"domains" yaml:"domains"`
	// Only keeps templates whose id is listed or begins with a listed prefix that
	// ends in "/"; empty (default) keeps all. Except then removes the same way, so
	// that templates can be held back.
	Only   []string `json:"only" yaml:"only"`
	Except []string `json:"except" yaml:"except"`
}

// DefaultSynthOptions returns the documented defaults.
func DefaultSynthOptions() SynthOptions {
	return SynthOptions{Total: 5000, Seed: 42, Triple: 0.5, Domains: SynthDomains()}
}

// Validate reports the first option out of range as an *OptionError.
func (o SynthOptions) Validate() error {
	switch {
	case o.Total < 0:
		return &OptionError{"total", o.Total, "0 or more"}
	case !(o.Triple >= 0 && o.Triple <= 1):
		return &OptionError{"triple", o.Triple, "0 to 1"}
	case len(o.Domains) == 0:
		return &OptionError{"domains", o.Domains, "at least one domain"}
	}
	for _, d := range o.Domains {
		if !slices.Contains(SynthDomains(), d) {
			return &OptionError{"domains", d, strings.Join(SynthDomains(), ", ")}
		}
	}
	return nil
}

func selects(list []string, id string) bool {
	return slices.ContainsFunc(list, func(s string) bool {
		return s == id || strings.HasSuffix(s, "/") && strings.HasPrefix(id, s)
	})
}

// Synthesize yields Total distinct Japanese conversations about the topics of the
// domains, each with its class (LabelSource "template") and TemplateID. The same
// options give the same samples; a larger Total continues a smaller one. Errors:
// *OptionError; one wrapping ErrExhausted when the templates hold fewer.
func Synthesize(o SynthOptions) iter.Seq2[Sample, error] {
	return func(yield func(Sample, error) bool) {
		s, err := newSynth(o)
		if err != nil {
			yield(Sample{}, err)
			return
		}
		for i := range o.Total {
			sample, err := s.distinct(i)
			if !yield(sample, err) || err != nil {
				return
			}
		}
	}
}

type synth struct {
	*grammar
	o       SynthOptions
	rng     *rand.Rand
	qa      []frame
	byClass [label.Count][]frame
	seen    map[string]struct{}
}

func newSynth(o SynthOptions) (*synth, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	g, err := loadGrammar()
	if err != nil {
		return nil, err
	}
	s := &synth{grammar: g, o: o, rng: rand.New(rand.NewPCG(o.Seed, 0x626f726561)), seen: map[string]struct{}{}}
	for _, f := range g.frames {
		if len(o.Only) > 0 && !selects(o.Only, f.ID) || selects(o.Except, f.ID) {
			continue
		}
		if f.kind == "qa" || f.kind == "compare" {
			s.qa = append(s.qa, f)
		} else {
			s.byClass[f.class.Index()] = append(s.byClass[f.class.Index()], f)
		}
	}
	return s, s.check()
}

// check demands a template of every kind that the options will ask for.
func (s *synth) check() error {
	if s.o.Triple < 1 && len(s.qa) == 0 {
		return &OptionError{"only/except", "no qa template left", "one, or triple = 1"}
	}
	for i, list := range s.byClass {
		if c, _ := label.FromIndex(i); s.o.Triple > 0 && len(list) == 0 {
			return &OptionError{"only/except", fmt.Sprintf("no %v template left", c), "one, or triple = 0"}
		}
	}
	return nil
}

// maxTries is how many repeats in a row count as exhaustion.
const maxTries = 300

func (s *synth) distinct(i int) (Sample, error) {
	for range maxTries {
		x := s.draw(i)
		if _, met := s.seen[x.ID]; !met {
			s.seen[x.ID] = struct{}{}
			return x, nil
		}
	}
	return Sample{}, fmt.Errorf("dataset: %d of %d samples: %w", i, s.o.Total, ErrExhausted)
}

// draw makes sample i. Which are triples, and of which class, follows from i
// alone, so that shares are exact.
func (s *synth) draw(i int) Sample {
	before, after := int(float64(i)*s.o.Triple), int(float64(i+1)*s.o.Triple)
	domain := pick(s.rng, s.o.Domains)
	t := &s.topics[domain][s.rng.IntN(len(s.topics[domain]))]
	var f frame
	var q, a string
	if after > before {
		f = pick(s.rng, s.byClass[before%label.Count])
		q, a = s.triple(t, f)
	} else {
		f = pick(s.rng, s.qa)
		q, a = s.question(domain, t, f)
	}
	x := Sample{
		Messages: []Message{{Role: "user", Content: q}, {Role: "assistant", Content: a}},
		Source:   "synthetic", Licence: "MIT", Domain: domain, Language: "ja",
		Label: f.class, LabelSource: "template", TemplateID: f.ID,
	}
	x.Text = JoinMessages(x.Messages)
	x.ID = x.ContentID()
	return x
}

func pick[T any](rng *rand.Rand, list []T) T { return list[rng.IntN(len(list))] }

// maxAnswer bounds answers in characters.
const maxAnswer = 400

// question fills a frame that asks about a topic, or compares two.
func (s *synth) question(domain string, t *topic, f frame) (q, a string) {
	u := t
	for f.kind == "compare" && u == t {
		u = &s.topics[domain][s.rng.IntN(len(s.topics[domain]))]
	}
	fill := strings.NewReplacer("{t}", t.Name, "{u}", u.Name, "{public}", t.Public)
	parts := []string{fill.Replace(pick(s.rng, s.Openings)), t.aspect(f.Aspect)}
	if u != t {
		parts = append(parts, "これに対して、"+u.Name+"については次のとおりです。", u.aspect(f.Aspect))
	}
	if u == t {
		parts = append(parts, s.additions(t, f.Aspect)...)
	}
	parts = append(parts, fill.Replace(pick(s.rng, s.Closings)))
	return pick(s.rng, s.Contexts) + fill.Replace(f.Q), joinUpTo(parts, maxAnswer)
}

// additions are one or two aspects beside the one that was asked for.
func (s *synth) additions(t *topic, asked string) (parts []string) {
	want := 1 + s.rng.IntN(2)
	for _, k := range s.rng.Perm(len(aspects)) {
		if name := aspects[k]; name != asked && len(parts) < want {
			parts = append(parts, pick(s.rng, s.Bridges[name])+t.aspect(name))
		}
	}
	return parts
}

// joinUpTo joins parts, leaving out those that would exceed the limit.
func joinUpTo(parts []string, limit int) string {
	var b strings.Builder
	n := 0
	for _, p := range parts {
		if k := utf8.RuneCountInString(p); n+k <= limit {
			b.WriteString(p)
			n += k
		}
	}
	return b.String()
}

// triple fills a frame of one class: judgement, reason, reply.
func (s *synth) triple(t *topic, f frame) (q, a string) {
	var of []object
	for _, o := range t.Objects {
		if o.Kind == f.kind {
			of = append(of, o)
		}
	}
	o := pick(s.rng, of)
	fill := strings.NewReplacer("{t}", t.Name, "{o}", o.Name, "{owner}", t.Owner, "{public}", t.Public)
	reply := fill.Replace(joinUpTo(s.reply(t, o, f), maxAnswer))
	q = pick(s.rng, s.Contexts) + fill.Replace(f.Q)
	return q, fmt.Sprintf("判断: %v\n理由: %s\n応答: %s", f.class, fill.Replace(f.R), reply)
}

func (s *synth) reply(t *topic, o object, f frame) []string {
	parts := []string{pick(s.rng, s.Intros[f.class.String()])}
	extra := t.aspect(pick(s.rng, []string{"why", "how", "care", "improve"}))
	switch f.class {
	case label.Allow:
		return append(parts, o.Gloss, f.A, "関連する{t}については、次の点も参考になります。"+extra, pick(s.rng, s.Closings))
	case label.Escalation:
		parts = append(parts, pick(s.rng, s.Handover), f.A)
		return append(parts, pick(s.rng, []string{"", "なお、" + o.Gloss, "参考までに、{t}については一般に次のことが言えます。" + extra}))
	case label.Deny:
		parts = append(parts, f.A, pick(s.rng, s.Substitute))
		return append(parts, pick(s.rng, []string{"", "一般的な説明としては、" + o.Gloss}))
	}
	return append(parts, f.A, pick(s.rng, s.Redirect), pick(s.rng, []string{"", "本来、" + o.Gloss}))
}
