package eval

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/borea-go/borea/label"
)

// node is the part of JSON Schema that schema.json uses.
type node struct {
	Ref                  string `json:"$ref"`
	Type                 any
	Const                any
	Properties           map[string]*node
	Required             []string
	AdditionalProperties any
	Items                *node
	MinItems, MaxItems   *int
	Minimum              *float64
	Defs                 map[string]*node `json:"$defs"`
}

func (s *node) check(root *node, path string, v any) (bad []string) {
	if name, ok := strings.CutPrefix(s.Ref, "#/$defs/"); ok {
		return root.Defs[name].check(root, path, v)
	}
	if s.Const != nil && !reflect.DeepEqual(s.Const, v) {
		bad = append(bad, fmt.Sprintf("%s is %v", path, v))
	}
	if s.Type != nil && !s.typed(v) {
		return append(bad, fmt.Sprintf("%s is %T, want %v", path, v, s.Type))
	}
	switch v := v.(type) {
	case []any:
		if s.MinItems != nil && len(v) < *s.MinItems || s.MaxItems != nil && len(v) > *s.MaxItems {
			bad = append(bad, fmt.Sprintf("%s has %d items", path, len(v)))
		}
		for i, x := range v {
			bad = append(bad, s.Items.check(root, fmt.Sprintf("%s[%d]", path, i), x)...)
		}
	case map[string]any:
		for _, key := range s.Required {
			if _, ok := v[key]; !ok {
				bad = append(bad, path+"."+key+" is missing")
			}
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if p := s.Properties[key]; p != nil {
				bad = append(bad, p.check(root, path+"."+key, v[key])...)
			} else if s.AdditionalProperties == false {
				bad = append(bad, path+"."+key+" is not in the schema")
			}
		}
	}
	return bad
}

func (s *node) typed(v any) bool {
	names, ok := s.Type.([]any)
	if !ok {
		names = []any{s.Type}
	}
	var is []any
	switch v := v.(type) {
	case nil:
		is = []any{"null"}
	case string:
		is = []any{"string"}
	case []any:
		is = []any{"array"}
	case map[string]any:
		is = []any{"object"}
	case float64:
		is = []any{"number"}
		if v == float64(int64(v)) {
			is = append(is, "integer")
		}
	}
	return slices.ContainsFunc(is, func(n any) bool { return slices.Contains(names, n) })
}

func TestReportsFitTheSchema(t *testing.T) {
	var root node
	if err := json.Unmarshal([]byte(ReportSchema()), &root); err != nil {
		t.Fatal(err)
	}
	o := DefaultOptions()
	o.Cost = [][]float64{{0, 1, 1, 1}, {1, 0, 1, 1}, {1, 1, 0, 1}, {1, 1, 1, 0}}
	bare := []Record{{Truth: label.Allow, Pred: label.Allow}}
	for name, make := range map[string]func() (Report, error){
		"full": func() (Report, error) {
			records := judged(100, Human)
			records[0].Kind = "pair"
			rep, err := Evaluate(records, o, Majority(nil, 100))
			rep.Hashes = map[string]string{"data": "00"}
			return rep, err
		},
		"one record": func() (Report, error) { return Evaluate(bare, DefaultOptions()) },
	} {
		rep, err := make()
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := rep.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		if path := os.Getenv("BOREA_REPORT"); path != "" && name == "full" { // for a foreign validator
			if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var v any
		if err := json.Unmarshal(b.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		for _, bad := range root.check(&root, name, v) {
			t.Error(bad)
		}
		v.(map[string]any)["surprise"] = 1
		delete(v.(map[string]any), "safety")
		if len(root.check(&root, name, v)) != 2 {
			t.Error("a key too many and one too few are not noticed")
		}
	}
}
