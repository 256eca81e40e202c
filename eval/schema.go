package eval

import _ "embed"

//go:embed schema.json
var reportSchema string

// ReportSchema returns the JSON Schema (draft 2020-12) of Report.
func ReportSchema() string { return reportSchema }
