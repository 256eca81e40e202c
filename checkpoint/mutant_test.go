package checkpoint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// equivalent lists conditions that no test can miss, each with the reason.
var equivalent = map[string]string{
	"session.go writeSession: if err != nil":                                                          "strings and numbers always encode",
	"store.go Open: if fsys.Network()":                                                                "warns on file systems that a test has not",
	"store.go sweep: if len(l.leftover) == 0":                                                         "saves a sync",
	"stage/digest.go hashFolder: if err != nil":                                                       "an input that may be seen and not opened; tests may run as root",
	"stage/digest.go hashSingle: if err != nil":                                                       "the same",
	"stage/digest.go hashReader: if n == len(buf) && n < 256<<10":                                     "speed",
	"stage/publish.go recover: if err != nil":                                                         "the rename that follows meets the folder",
	"stage/publish.go publish: if err := crashfs.RemoveAll(r.fs, temp); err != nil":                   "creating the file fails then",
	"stage/publish.go exchange: if err := r.fs.Rename(r.out(), r.old()); err != nil && !missing(err)": "the rename that follows fails then",
}

// TestMutants leaves out every condition in the sources of this package and of
// checkpoint/stage in turn ("if c" becomes "if false && c") and expects the tests
// to fail. It compiles several hundred programs, so it runs only with
// BOREA_MUTANTS=1, or =NAME for the mutants of one file.
func TestMutants(t *testing.T) {
	only := os.Getenv("BOREA_MUTANTS")
	if only == "" {
		t.Skip("set BOREA_MUTANTS=1 to run")
	}
	for _, dir := range []string{".", "stage", "internal/sealed"} {
		names, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if !strings.HasSuffix(name, "_test.go") && (only == "1" || only == name) {
				mutateFile(t, dir, name)
			}
		}
	}
}

func mutateFile(t *testing.T, dir, name string) {
	src, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants(t, name, src) {
		if equivalent[m.what] != "" {
			continue
		}
		t.Log(m.what)
		if out, err := runMutant(t, dir, name, m.src); err == nil {
			t.Errorf("nobody misses %s", m.what)
		} else if bytes.Contains(out, []byte("[build failed]")) {
			t.Errorf("%s: %s", m.what, out)
		}
	}
}

type mutant struct {
	what string // file, function and condition
	src  []byte
}

func mutants(t *testing.T, name string, src []byte) (ms []mutant) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, src, 0)
	if err != nil {
		t.Fatal(err)
	}
	function := ""
	ast.Inspect(f, func(n ast.Node) bool {
		if d, ok := n.(*ast.FuncDecl); ok {
			function = d.Name.Name
		}
		s, ok := n.(*ast.IfStmt)
		if !ok {
			return true
		}
		from, to := fset.Position(s.Cond.Pos()).Offset, fset.Position(s.Cond.End()).Offset
		cond := string(src[from:to])
		line := strings.TrimSpace(string(src[fset.Position(s.Pos()).Offset:to]))
		ms = append(ms, mutant{fmt.Sprintf("%s %s: %s", name, function, line),
			[]byte(string(src[:from]) + "false && (" + cond + ")" + string(src[to:]))})
		return true
	})
	return ms
}

func runMutant(t *testing.T, dir, name string, src []byte) ([]byte, error) {
	tmp := t.TempDir()
	changed, overlay := filepath.Join(tmp, "mutant.go"), filepath.Join(tmp, "overlay.json")
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err == nil {
		err = os.WriteFile(overlay, b, 0o600)
	}
	if err == nil {
		err = os.WriteFile(changed, src, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	// Most mutants fall to the quick tests.
	if out, err := test(dir, overlay, "-skip="+slowTests); err != nil {
		return out, err
	}
	return test(dir, overlay, "-run="+slowTests)
}

const slowTests = "PowerCut|EverySync|FaultsAt|TestKill$"

func test(dir, overlay, which string) ([]byte, error) {
	cmd := exec.Command("go", "test", "-failfast", "-vet=off", "-timeout=60s", "-overlay", overlay, which, "./"+filepath.ToSlash(dir))
	cmd.Env = append(os.Environ(), "BOREA_MUTANTS=", "BOREA_CRASH_STATES=4000", "BOREA_KILLS=4")
	return cmd.CombinedOutput()
}
