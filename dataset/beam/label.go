package beam

import (
	"context"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/borea-go/borea/label"
)

func init() {
	register.DoFn2x1[context.Context, Record, Record](&labelFn{})
}

// LabelledBy is the Sample.LabelSource of a class given by Label.
const LabelledBy = "rules"

// LabelCounter is the name of the counter of samples that Label gave a class.
func LabelCounter(c label.Class) string { return "labelled/" + c.String() }

// Label gives a class, by label.FourClass of the request, to every record that has none,
// with the rules that decided. The rules travel with the pipeline; a *label.RuleError
// says that they do not compile.
func Label(s beam.Scope, rules label.RuleSet, records beam.PCollection) (beam.PCollection, error) {
	if _, err := label.Compile(rules); err != nil {
		return beam.PCollection{}, err
	}
	return beam.ParDo(s.Scope("beam.Label"), &labelFn{Rules: rules}, records), nil
}

type labelFn struct {
	Rules label.RuleSet

	rules label.Rules
}

// Setup compiles the rules.
func (f *labelFn) Setup() (err error) {
	f.rules, err = label.Compile(f.Rules)
	return err
}

// ProcessElement labels one record.
func (f *labelFn) ProcessElement(ctx context.Context, r Record) Record {
	if r.Sample.Label.Valid() {
		return r
	}
	d := label.FourClass(r.Sample.Request(), f.rules)
	r.Sample.Label, r.Sample.LabelSource, r.Sample.Why = d.Class, LabelledBy, d.RuleIDs()
	count(ctx, LabelCounter(d.Class), 1)
	return r
}
