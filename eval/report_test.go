package eval

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/borea-go/borea/label"
)

func judged(n int, source string) []Record {
	r := rand.New(rand.NewPCG(4, 4))
	var out []Record
	for i := range n {
		truth, _ := label.FromIndex(r.IntN(4))
		p, sum := make([]float64, 4), 0.0
		for k := range p {
			p[k] = r.Float64()
			if k == truth.Index() {
				p[k] += .3
			}
			sum += p[k]
		}
		top := 0
		for k := range p {
			p[k] /= sum
			if p[k] > p[top] {
				top = k
			}
		}
		pred, _ := label.FromIndex(top)
		out = append(out, Record{Truth: truth, Pred: pred, P: p, LabelSource: source,
			Cluster: string(rune('a' + i%20)), Domain: []string{"defence", "transport"}[i%2]})
	}
	return out
}

func TestEvaluateIsDeterministicAndRoundTrips(t *testing.T) {
	records := judged(300, Human)
	base := []Baseline{Majority([]label.Class{label.Deny, label.Deny, label.Allow}, 300), {"perfect", nil}}
	for _, r := range records {
		base[1].Pred = append(base[1].Pred, r.Truth)
	}
	var first bytes.Buffer
	for range 2 {
		rep, err := Evaluate(records, DefaultOptions(), base...)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := rep.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		var back Report
		if err := json.Unmarshal(b.Bytes(), &back); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(rep, back) {
			t.Error("the report changes on its way through JSON")
		}
		if first.Len() > 0 && !bytes.Equal(first.Bytes(), b.Bytes()) {
			t.Error("two runs differ")
		}
		first = b
		if c := rep.Baselines[0]; c.Name != "majority" || c.JudgeOnly <= c.BaselineOnly || c.P > .01 || c.PHolm < c.P {
			t.Errorf("majority: %+v", c)
		}
		if c := rep.Baselines[1]; c.JudgeOnly != 0 || value(t, c.Accuracy) != 1 {
			t.Errorf("perfect: %+v", c)
		}
		acc, low, high := value(t, rep.Headline.Accuracy), value(t, rep.Intervals.Accuracy.BCa[0]), value(t, rep.Intervals.Accuracy.BCa[1])
		if !(low < acc && acc < high) || rep.Intervals.Accuracy.Clusters != 20 {
			t.Errorf("accuracy %g in [%g, %g] of %d clusters", acc, low, high, rep.Intervals.Accuracy.Clusters)
		}
		if len(rep.Domains) != 2 || rep.Domains[0].N != 150 {
			t.Errorf("domains: %+v", rep.Domains)
		}
		value(t, rep.Headline.FalseAllow)
	}
}

func TestFalseAllowIsNotHeadlinedWithoutPeople(t *testing.T) {
	mixed := judged(50, Human)
	mixed[7].LabelSource = "rules"
	for name, records := range map[string][]Record{"rules": judged(50, "rules"), "author": judged(50, "author"), "unknown": judged(50, ""), "mixed": mixed} {
		rep, err := Evaluate(records, DefaultOptions())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range []Measure{rep.Headline.FalseAllow, rep.Headline.FalseAllowUpper} {
			if _, ok := m.Value(); ok || !strings.Contains(m.Reason(), "label_source") {
				t.Errorf("%s: headline %v", name, m)
			}
		}
		value(t, rep.Safety.FalseAllow.Rate) // still in the body
	}
}

func TestFailuresEscalateAndAreCounted(t *testing.T) {
	records := []Record{
		{Truth: label.Deny, Pred: label.Escalation, Failure: "input", P: []float64{9, 9}},
		{Truth: label.Refuse},
		{Truth: label.Allow, Pred: label.Allow, P: []float64{.7, .1, .1, .1}},
	}
	rep, err := Evaluate(records, DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	if rep.Failures["input"] != 1 || rep.Failures[noDecision] != 1 || rep.Calibration.N != 1 {
		t.Errorf("%v, %d with probabilities", rep.Failures, rep.Calibration.N)
	}
	if rep.Safety.FalseAllow.K != 0 || rep.Decision.Confusion[3][1] != 1 {
		t.Errorf("confusion %v", rep.Decision.Confusion)
	}
}

func TestEvaluateBadInput(t *testing.T) {
	var ve *ValueError
	for name, r := range map[string]Record{
		"no truth": {Pred: label.Allow}, "three probabilities": {Truth: label.Allow, P: []float64{1, 0, 0}},
		"negative": {Truth: label.Allow, P: []float64{-1, 1, 1, 0}},
	} {
		_, err := Evaluate([]Record{{Truth: label.Deny}, r}, DefaultOptions())
		if !errors.As(err, &ve) || ve.Index != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Evaluate(nil, DefaultOptions()); !errors.Is(err, ErrNoRecords) {
		t.Error(err)
	}
	if _, err := Evaluate(judged(3, ""), DefaultOptions(), Baseline{Name: "short"}); !errors.Is(err, ErrShape) {
		t.Error(err)
	}
	var oe *OptionError
	for name, change := range map[string]func(*Options){
		"confidence": func(o *Options) { o.Confidence = 1 }, "bins": func(o *Options) { o.Bins = 0 },
		"replicates": func(o *Options) { o.Bootstrap.Replicates = 5 }, "cost": func(o *Options) { o.Cost = [][]float64{{1}} },
	} {
		o := DefaultOptions()
		change(&o)
		if _, err := Evaluate(judged(3, ""), o); !errors.As(err, &oe) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := RecordsOf(make([]label.Class, 2), make([]label.Class, 1), nil, ""); !errors.Is(err, ErrShape) {
		t.Error(err)
	}
}

func TestRecordsRoundTrip(t *testing.T) {
	records := judged(20, "author")
	records[3].Failure = "too long <1 MiB>"
	var b bytes.Buffer
	if err := WriteRecords(&b, records); err != nil {
		t.Fatal(err)
	}
	var back []Record
	for r, err := range ReadRecords(&b) {
		if err != nil {
			t.Fatal(err)
		}
		back = append(back, r)
	}
	if !reflect.DeepEqual(records, back) {
		t.Error("records differ")
	}
	for _, err := range ReadRecords(strings.NewReader("{\"truth\":\"ALLOW\"}\n{\"truth\":\"MAYBE\"}")) {
		if err != nil && !strings.Contains(err.Error(), "record 1") {
			t.Error(err)
		}
	}
}

func TestMajorityIsCautious(t *testing.T) {
	for _, c := range []struct {
		train []label.Class
		want  label.Class
	}{
		{[]label.Class{label.Allow, label.Allow, label.Deny}, label.Allow},
		{[]label.Class{label.Allow, label.Deny}, label.Deny},
		{nil, label.Escalation},
	} {
		if got := Majority(c.train, 1).Pred[0]; got != c.want {
			t.Errorf("%v: %v", c.train, got)
		}
	}
}

func TestKindsAreSlices(t *testing.T) {
	records := judged(60, "author")
	if rep, err := Evaluate(records, DefaultOptions()); err != nil || rep.Kinds != nil {
		t.Errorf("no kinds: %v, %v", rep.Kinds, err)
	}
	for i := range records {
		records[i].Kind = []string{"pair", "danger", "pair"}[i%3]
	}
	rep, err := Evaluate(records, DefaultOptions())
	if err != nil || len(rep.Kinds) != 2 || rep.Kinds[0].Domain != "danger" || rep.Kinds[0].N != 20 || rep.Kinds[1].N != 40 {
		t.Errorf("%+v, %v", rep.Kinds, err)
	}
}
