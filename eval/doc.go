// Package eval measures a four-class judge: agreement, safety rates with exact
// bounds, calibration, ranking, comparison with baselines, and a certified
// threshold for ALLOW. Evaluate puts all of it into one Report.
//
// A figure that does not exist, such as the recall of a class without samples, is
// never 0 or 1 by accident: it is a Measure without value and with a reason, null in
// JSON. A false-allow rate is not headlined unless every label came from a person.
//
// The functions below Evaluate work on plain slices and any number of classes; the
// safety rates are defined for the four classes of package label only.
//
// Files: measure.go values that may not exist, confusion.go, agreement.go precision,
// recall, F1 and MCC, binomial.go exact bounds and McNemar's test, safety.go, calibration.go,
// ranking.go, bootstrap.go, temperature.go, threshold.go, record.go samples in and out,
// options.go, report.go what Evaluate returns, evaluation.go how, schema.go and schema.json the JSON Schema.
//
// What it does not do: it draws nothing (package eval/plot does), runs no model
// (eval/harness does), and certifies nothing under a shift between calibration and use.
package eval
