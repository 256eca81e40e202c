package dataset

import (
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/borea-go/borea/label"
)

//go:embed content/*.json
var contentFS embed.FS

// SynthDomains lists the domains of the synthetic generator.
func SynthDomains() []string { return []string{"defence", "aerospace", "transport", "general"} }

// topic is one subject with sentences about each of its aspects.
type topic struct {
	Name    string   `json:"name"`
	What    []string `json:"what"`
	Why     []string `json:"why"`
	How     []string `json:"how"`
	Steps   []string `json:"steps"` // three, without まず・次に・最後に
	Care    []string `json:"care"`
	Issue   []string `json:"issue"`
	Improve []string `json:"improve"`
	Past    []string `json:"past"`
	Owner   string   `json:"owner"`  // who decides
	Public  string   `json:"public"` // where open material is found
	Objects []object `json:"objects"`
}

// object is a thing that requests ask about: a record (document, data) or a
// system (equipment, software).
type object struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	Gloss string `json:"gloss"`
}

// aspects in the order in which an answer may add them.
var aspects = []string{"what", "why", "how", "steps", "care", "issue", "improve", "past"}

func (t *topic) aspect(name string) string {
	switch name {
	case "what":
		return strings.Join(t.What, "")
	case "why":
		return strings.Join(t.Why, "")
	case "how":
		return strings.Join(t.How, "")
	case "steps":
		return fmt.Sprintf("まず、%s。次に、%s。最後に、%s。", t.Steps[0], t.Steps[1], t.Steps[2])
	case "care":
		return strings.Join(t.Care, "")
	case "issue":
		return strings.Join(t.Issue, "")
	case "improve":
		return strings.Join(t.Improve, "")
	}
	return strings.Join(t.Past, "")
}

// frame is a phrasing. {t} {u} are topics, {o} an object, {owner} {public} the
// topic's.
type frame struct {
	ID     string `json:"id"`
	Aspect string `json:"aspect"` // of a question
	Q      string `json:"q"`      // request
	R      string `json:"r"`      // reason of the judgement
	A      string `json:"a"`      // what the reply says about this request

	class label.Class
	kind  string // "qa", "compare", "record" or "system"
}

type grammar struct {
	Contexts   []string                      `json:"contexts"`
	QA         []frame                       `json:"qa"`
	Compare    []frame                       `json:"compare"`
	Openings   []string                      `json:"openings"`
	Closings   []string                      `json:"closings"`
	Bridges    map[string][]string           `json:"bridges"`
	Intros     map[string][]string           `json:"intros"`
	Handover   []string                      `json:"handover"`
	Substitute []string                      `json:"substitute"`
	Redirect   []string                      `json:"redirect"`
	Triple     map[string]map[string][]frame `json:"triple"`

	topics map[string][]topic // by domain
	frames []frame            // all, with full ids, sorted
}

// loadGrammar parses the embedded tables once.
var loadGrammar = sync.OnceValues(func() (*grammar, error) {
	g := &grammar{topics: map[string][]topic{}}
	if err := loadJSON("templates", g); err != nil {
		return nil, err
	}
	for _, d := range SynthDomains() {
		var file struct {
			Topics []topic `json:"topics"`
		}
		if err := loadJSON(d, &file); err != nil {
			return nil, err
		}
		g.topics[d] = file.Topics
	}
	return g, g.index()
})

func loadJSON(name string, v any) error {
	b, err := contentFS.ReadFile("content/" + name + ".json")
	if err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("dataset: content/%s.json: %w", name, err)
	}
	return nil
}

// index flattens the frames and gives them their full ids.
func (g *grammar) index() error {
	add := func(prefix, kind string, c label.Class, list []frame) {
		for _, f := range list {
			f.ID, f.kind, f.class = prefix+f.ID, kind, c
			g.frames = append(g.frames, f)
		}
	}
	add("qa/", "qa", label.Allow, g.QA)
	add("qa/", "compare", label.Allow, g.Compare)
	for kind, byClass := range g.Triple {
		for name, list := range byClass {
			c, err := label.ParseClass(name)
			if err != nil {
				return err
			}
			add(fmt.Sprintf("triple/%s/%s.", strings.ToLower(name), kind), kind, c, list)
		}
	}
	slices.SortFunc(g.frames, func(a, b frame) int { return strings.Compare(a.ID, b.ID) })
	return nil
}

// Template names one phrasing of the generator.
type Template struct {
	ID    string      `json:"id"` // "qa/what.meaning", "triple/deny/record.values"
	Class label.Class `json:"class"`
}

// Templates lists the generator's templates, sorted by id.
func Templates() ([]Template, error) {
	g, err := loadGrammar()
	if err != nil {
		return nil, err
	}
	out := make([]Template, len(g.frames))
	for i, f := range g.frames {
		out[i] = Template{f.ID, f.class}
	}
	return out, nil
}
