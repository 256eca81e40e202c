package main

import (
	"context"
	"fmt"

	"github.com/borea-go/borea/eval/harness"
	"github.com/borea-go/borea/qlora"
)

// choice asks the bundled questions. The set is small: its standard error is
// beside its figure.
func (p *pipeline) choice(ctx context.Context, m *qlora.Model) (harness.ChoiceResult, error) {
	items, err := harness.Knowledge()
	if err != nil {
		return harness.ChoiceResult{}, err
	}
	if n := p.cfg.Benchmark.Questions; n > 0 && n < len(items) {
		items = items[:n]
	}
	return harness.MultipleChoice(ctx, m, items, harness.KnowledgeOptions())
}

// percent shows an estimate with its standard error.
func percent(e harness.Estimate) string {
	if e.StdErr == nil {
		return fmt.Sprintf("%.1f %%", 100*e.Value)
	}
	return fmt.Sprintf("%.1f ± %.1f %%", 100*e.Value, 100**e.StdErr)
}
