package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/borea-go/borea/classifier"
	"github.com/borea-go/borea/dataset"
	"github.com/borea-go/borea/eval"
	"github.com/borea-go/borea/label"
	"github.com/borea-go/borea/qlora"
	"github.com/borea-go/borea/split"
)

// tiny is a configuration that trains in seconds; what it learns does not matter.
const tiny = `
masked_copies: true
split: {parts: [{name: train, fraction: 0.5}, {name: val, fraction: 0.15}, {name: calibration, fraction: 0.15}, {name: test, fraction: 0.2}]}
frozen: {epochs: 3, batch_size: 16, accumulation: 1, head_rate: 0.02}
lora: {epochs: 1, batch_size: 8, accumulation: 1, head_rate: 0.01, backbone_rate: 0.001}
backbone: {max_tokens: 160, batch_tokens: 2048, options: {rank: 2, alpha: 4, targets: [o_proj]}}
`

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// gold writes bundled requests of some domains as a user's file.
func gold(t *testing.T, n int) string {
	t.Helper()
	items, err := label.Gold()
	require.NoError(t, err)
	var b strings.Builder
	for _, g := range items[:n] {
		line, err := json.Marshal(dataset.Sample{ID: g.ID, Text: g.Text, Label: g.Label, Domain: g.Domain, TemplateID: g.Pair, LabelSource: g.Source})
		require.NoError(t, err)
		b.Write(append(line, '\n'))
	}
	return write(t, "requests.jsonl", b.String())
}

func needModel(t *testing.T) {
	t.Helper()
	if _, err := qlora.FindBundledModel(); err != nil {
		t.Skip("the bundled model is not here")
	}
}

func fourclass(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out, log bytes.Buffer
	err := run(context.Background(), args, &out, &log)
	return out.String(), err
}

// wantFiles checks what every run leaves behind.
func wantFiles(t *testing.T, dir string, judged int) eval.Report {
	t.Helper()
	html, err := os.ReadFile(filepath.Join(dir, "report.html"))
	require.NoError(t, err)
	require.Contains(t, string(html), "No false-allow rate is given as a headline")
	b, err := os.ReadFile(filepath.Join(dir, "report.json"))
	require.NoError(t, err)
	var rep eval.Report
	require.NoError(t, json.Unmarshal(b, &rep))
	require.Equal(t, judged, rep.N)
	require.NotEmpty(t, rep.Hashes["requests_sha256"])
	f, err := os.Open(filepath.Join(dir, "predictions.jsonl"))
	require.NoError(t, err)
	defer f.Close()
	n := 0
	for r, err := range eval.ReadRecords(f) {
		require.NoError(t, err)
		require.True(t, r.Pred.Valid())
		n++
	}
	require.Equal(t, judged, n)
	for _, name := range []string{"report.schema.json", "comparison.json", "confusion.png", "confusion.svg"} {
		require.FileExists(t, filepath.Join(dir, name))
	}
	return rep
}

func TestTrainSaveAndEvaluate(t *testing.T) {
	needModel(t)
	data, out, again := gold(t, 139), t.TempDir(), t.TempDir()
	text, err := fourclass(t, "-data", data, "-config", write(t, "c.yaml", tiny), "-out", out)
	require.NoError(t, err)
	for _, name := range []string{majority, keywords, ngrams, byRules, tuned, "Keywords hidden"} {
		require.Contains(t, text, name)
	}
	first := wantFiles(t, out, 28)
	require.Len(t, first.Baselines, 4)

	// The saved judge, loaded without the trainer, gives the same answers.
	_, err = fourclass(t, "-data", data, "-judge", filepath.Join(out, "judge"), "-out", again)
	require.NoError(t, err)
	wantFiles(t, again, 139)
	saved := map[string]eval.Record{}
	for _, r := range predictions(t, again) {
		saved[r.ID] = r
	}
	for _, r := range predictions(t, out) {
		require.Equal(t, r.Pred, saved[r.ID].Pred, r.ID)
		for k := range r.P {
			require.InDelta(t, r.P[k], saved[r.ID].P[k], 1e-3, r.ID)
		}
	}
}

// A training stopped half-way goes on to the same answers.
func TestInterruptedTrainingGoesOn(t *testing.T) {
	const features = "../focalloss/features.csv"
	config, whole, halves := write(t, "c.yaml", tiny), t.TempDir(), t.TempDir()
	_, err := fourclass(t, "-features", features, "-config", config, "-out", whole)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	stop := writerFunc(func(b []byte) (int, error) {
		if bytes.Contains(b, []byte("step 2")) {
			cancel()
		}
		return len(b), nil
	})
	err = run(ctx, []string{"-features", features, "-config", config, "-out", halves}, &bytes.Buffer{}, stop)
	require.ErrorIs(t, err, classifier.ErrInterrupted)
	require.DirExists(t, filepath.Join(halves, ".checkpoints"))
	_, err = fourclass(t, "-features", features, "-config", config, "-out", halves)
	require.NoError(t, err)
	require.NoDirExists(t, filepath.Join(halves, ".checkpoints"))
	require.Equal(t, predictions(t, whole), predictions(t, halves))
}

type writerFunc func(b []byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func predictions(t *testing.T, dir string) (out []eval.Record) {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "predictions.jsonl"))
	require.NoError(t, err)
	defer f.Close()
	for r, err := range eval.ReadRecords(f) {
		require.NoError(t, err)
		out = append(out, r)
	}
	return out
}

func TestFoldsJudgeEveryRequestOnce(t *testing.T) {
	needModel(t)
	out := t.TempDir()
	text, err := fourclass(t, "-folds", "3", "-frozen", "-config", write(t, "c.yaml", tiny), "-out", out)
	require.NoError(t, err)
	require.Contains(t, text, "Minimal pairs, keywords hidden (182)")
	wantFiles(t, out, 431)
	seen := map[string]bool{}
	for _, r := range predictions(t, out) {
		require.False(t, seen[r.ID], r.ID)
		seen[r.ID] = true
	}
	require.Len(t, seen, 431)
}

func TestFeaturesNeedNoModel(t *testing.T) {
	const features = "../focalloss/features.csv"
	out, again := t.TempDir(), t.TempDir()
	text, err := fourclass(t, "-features", features, "-model", "no such folder", "-config", write(t, "c.yaml", tiny), "-out", out)
	require.NoError(t, err)
	require.Contains(t, text, frozen)
	require.NotContains(t, text, byRules)
	b, err := os.ReadFile(features)
	require.NoError(t, err)
	lines := 0
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, "#") {
			lines++
		}
	}
	_, err = fourclass(t, "-features", features, "-judge", filepath.Join(out, "judge"), "-out", again)
	require.NoError(t, err)
	wantFiles(t, again, lines)
	_, err = fourclass(t, "-features", features, "-folds", "3", "-config", write(t, "c.yaml", tiny), "-out", out)
	require.NoError(t, err)
	wantFiles(t, out, lines)
	_, err = fourclass(t, "-data", gold(t, 20), "-judge", filepath.Join(again, "../"+filepath.Base(out), "judge"), "-out", again)
	require.ErrorContains(t, err, "-features")
}

// A certificate can only take ALLOWs away; without enough samples it takes all.
func TestCertifiedJudge(t *testing.T) {
	const features = "../focalloss/features.csv"
	config, free := write(t, "c.yaml", tiny), t.TempDir()
	_, err := fourclass(t, "-features", features, "-config", config, "-out", free)
	require.NoError(t, err)
	for alpha, allows := range map[string]bool{"0.5": true, "0.001": false} {
		strict := t.TempDir()
		_, err = fourclass(t, "-features", features, "-config", config, "-out", strict, "-certify", alpha)
		require.NoError(t, err)
		allowed := 0
		for i, r := range predictions(t, strict) {
			was := predictions(t, free)[i]
			require.Equal(t, was.P, r.P)
			require.True(t, r.Pred == was.Pred || was.Pred == label.Allow && r.Pred == label.Escalation, "%v became %v", was.Pred, r.Pred)
			if r.Pred == label.Allow {
				allowed++
			}
		}
		require.Equal(t, allows, allowed > 0, alpha)
		html, err := os.ReadFile(filepath.Join(strict, "report.html"))
		require.NoError(t, err)
		require.Equal(t, !allows, strings.Contains(string(html), "The judge allows nothing"))
		// The saved judge keeps it.
		again := t.TempDir()
		_, err = fourclass(t, "-features", features, "-judge", filepath.Join(strict, "judge"), "-out", again)
		require.NoError(t, err)
		saved := map[string]label.Class{}
		for _, r := range predictions(t, again) {
			saved[r.ID] = r.Pred
		}
		for _, r := range predictions(t, strict) {
			require.Equal(t, r.Pred, saved[r.ID])
		}
	}
}

// lines builds a file of n requests a class.
func lines(n int, classes ...string) string {
	var b strings.Builder
	for i := range n {
		for k, c := range classes {
			fmt.Fprintf(&b, "{\"text\":\"%c番目の%c%c\",\"label\":%q}\n", '一'+i, '港'+k*7+i*31, '東'+i*17, c)
		}
	}
	return b.String()
}

func TestBadInputIsRefusedByType(t *testing.T) {
	all := lines(8, "ALLOW", "ESCALATION", "DENY", "REFUSE")
	as := func(target any) func(error) bool { return func(err error) bool { return errors.As(err, target) } }
	is := func(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }
	for name, c := range map[string]struct {
		flag, content string
		want          func(error) bool
	}{
		"unknown label":      {"-data", all + `{"text":"x","label":"MAYBE"}`, as(new(*label.ClassError))},
		"no label":           {"-data", all + `{"text":"x"}`, is(classifier.ErrNoClass)},
		"empty file":         {"-data", "", is(errNoRequests)},
		"blank lines only":   {"-data", "\n\n", is(errNoRequests)},
		"not JSON":           {"-data", all + "label: ALLOW", as(new(*dataset.LineError))},
		"zero-length text":   {"-data", all + `{"text":"","label":"ALLOW"}`, as(new(*dataset.LineError))},
		"one class only":     {"-data", lines(30, "ALLOW"), is(classifier.ErrOneClass)},
		"too few of a class": {"-data", all + lines(1, "ALLOW") + `{"text":"unique text here","label":"ALLOW"}`, nil},
		"one of a class":     {"-data", lines(9, "ALLOW", "DENY", "REFUSE") + `{"text":"一つだけの別の文","label":"ESCALATION"}`, as(new(*split.ScarceError))},
		"NaN feature":        {"-features", strings.Repeat("ALLOW,1,2\nDENY,2,1\n", 9) + "ALLOW,NaN,1\n", is(classifier.ErrVector)},
		"infinite feature":   {"-features", "ALLOW,1,2\nDENY,+Inf,1\n", is(classifier.ErrVector)},
		"wrong feature size": {"-features", "ALLOW,1,2\nDENY,2\n", as(new(*csv.ParseError))},
		"no feature":         {"-features", "ALLOW\nDENY\n", is(classifier.ErrVector)},
		"features, empty":    {"-features", "", is(classifier.ErrVector)},
		"features, class":    {"-features", "MAYBE,1,2\n", as(new(*label.ClassError))},
		"features, number":   {"-features", "ALLOW,1,two\n", func(err error) bool { return strings.Contains(err.Error(), "line 1") }},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{c.flag, write(t, "in", c.content), "-config", write(t, "c.yaml", tiny), "-out", t.TempDir(), "-frozen"}
			if c.flag == "-data" {
				needModel(t)
			}
			_, err := fourclass(t, args...)
			if c.want == nil {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			require.True(t, c.want(err), "%T: %v", err, err)
		})
	}
}

// What a judge cannot read becomes ESCALATION and is counted; what it cannot learn from is
// an error that names the text.
func TestUnreadableTexts(t *testing.T) {
	needModel(t)
	out := t.TempDir()
	config := write(t, "c.yaml", tiny)
	_, err := fourclass(t, "-data", gold(t, 139), "-config", config, "-out", out, "-frozen")
	require.NoError(t, err)

	huge, err := json.Marshal(strings.Repeat("港湾の運営を", 1<<20/18+1))
	require.NoError(t, err)
	bad := write(t, "bad.jsonl", fmt.Sprintf(`{"text":%s,"label":"DENY"}
{"text":"装備の名前は何ですか。","label":"ALLOW"}
`, huge))
	again := t.TempDir()
	_, err = fourclass(t, "-data", bad, "-judge", filepath.Join(out, "judge"), "-out", again)
	require.NoError(t, err)
	b, err := os.ReadFile(filepath.Join(again, "report.json"))
	require.NoError(t, err)
	var rep eval.Report
	require.NoError(t, json.Unmarshal(b, &rep))
	require.Len(t, rep.Failures, 1, "of one kind")
	for _, n := range rep.Failures {
		require.Equal(t, 1, n)
	}
	require.Equal(t, 0, rep.Safety.FalseAllow.K)
	require.Equal(t, label.Escalation, predictions(t, again)[0].Pred)

	var long strings.Builder
	for i := range 12 { // one of them falls into the training part
		fmt.Fprintf(&long, "{\"text\":%q,\"label\":\"DENY\"}\n", strings.Repeat(string('一'+rune(50*i))+"港", 200))
	}
	_, err = fourclass(t, "-data", write(t, "train.jsonl", lines(8, "ALLOW", "ESCALATION", "DENY", "REFUSE")+long.String()), "-config", config, "-out", again)
	var in *classifier.InputError
	require.ErrorAs(t, err, &in)
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"-folds 1": "-folds 1", "-certify 2": "-certify", "-certify 0.1 -folds 3": "-certify", "-folds 3 -judge x": "exclude", "-data a -features b": "exclude", "stray": "stray",
		"-judge nowhere -features ../focalloss/features.csv": "calibration.json", "-config nowhere": "nowhere", "-data nowhere": "nowhere",
	} {
		_, err := fourclass(t, strings.Fields(args)...)
		require.ErrorContains(t, err, want, args)
	}
	_, err := fourclass(t, "-h")
	require.ErrorIs(t, err, flag.ErrHelp)
	_, err = fourclass(t, "-config", write(t, "c.yaml", "unknown: 1"))
	require.ErrorContains(t, err, "unknown")
	_, err = fourclass(t, "-config", write(t, "c.yaml", "lora: {epochs: 0}"))
	var oe *classifier.OptionError
	require.ErrorAs(t, err, &oe)
}
