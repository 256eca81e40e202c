package arch

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/borea-go/borea"

type goPackage struct {
	ImportPath string
	Dir        string
	Standard   bool
	Deps       []string
	Imports    []string
	GoFiles    []string
}

// list runs go list with dependencies and returns every package of the module
// and all that they need.
func list(t *testing.T) map[string]goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Dir,Standard,Deps,Imports,GoFiles", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	pkgs := map[string]goPackage{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs[p.ImportPath] = p
	}
}

// light lists the packages that may need the standard library and each other
// only, and what else some of them may.
var light = map[string][]string{
	"gguf":                   nil,
	"checkpoint":             {"golang.org/x/sys"},
	"checkpoint/safetensors": nil,
	"checkpoint/stage":       {"golang.org/x/sys"},
	"split":                  nil,
	"label":                  nil,
	"classifier":             {"golang.org/x/sys"},
	"dataset/tokenizer":      nil,
	"eval":                   {"gonum.org/v1/gonum", "golang.org/x/exp"},
	"so8t":                   {"gonum.org/v1/gonum", "golang.org/x/exp"},
}

func TestLightPackagesStayLight(t *testing.T) {
	pkgs := list(t)
	for name, extra := range light {
		p, ok := pkgs[module+"/"+name]
		if !ok {
			t.Errorf("package %s does not exist", name)
			continue
		}
		for _, dep := range p.Deps {
			if !pkgs[dep].Standard && !allowed(dep, extra) {
				t.Errorf("%s needs %s", name, dep)
			}
		}
	}
}

func allowed(dep string, extra []string) bool {
	for _, prefix := range append([]string{module}, extra...) {
		if dep == prefix || strings.HasPrefix(dep, prefix+"/") {
			return true
		}
	}
	return strings.HasPrefix(dep, "vendor/")
}

// only says that a dependency belongs to one place.
var only = map[string][]string{
	"github.com/pemistahl/lingua-go": {"dataset/langid"},
	"gorgonia.org/tensor":            {"qlora/gorgonia"},
	"gorgonia.org/cu":                {"qlora/internal/compute/cuda"},
	"gonum.org/v1/plot":              {"eval/plot"},
	"github.com/PuerkitoBio/goquery": {"crawl"},
	"github.com/temoto/robotstxt":    {},
}

func TestDependenciesHaveOneHome(t *testing.T) {
	for _, p := range list(t) {
		name, ours := strings.CutPrefix(p.ImportPath, module+"/")
		if !ours {
			continue
		}
		for _, imp := range p.Imports {
			for dep, homes := range only {
				if (imp == dep || strings.HasPrefix(imp, dep+"/")) && !inside(name, homes) {
					t.Errorf("%s imports %s, which belongs to %v", name, imp, homes)
				}
			}
		}
	}
}

func inside(name string, homes []string) bool {
	for _, h := range homes {
		if name == h || strings.HasPrefix(name, h+"/") {
			return true
		}
	}
	return false
}

// oneWay lists imports that would turn an arrow round.
var oneWay = map[string][]string{
	"label":        {"dataset", "crawl", "qlora", "eval", "gguf", "classifier"},
	"dataset":      {"crawl", "qlora", "eval", "gguf", "classifier"},
	"so8t":         {"qlora"},
	"classifier":   {"qlora", "dataset"},
	"eval/harness": {"qlora"},
	"gguf":         {"qlora", "so8t"},
}

func TestImportsPointOneWay(t *testing.T) {
	pkgs := list(t)
	for name, never := range oneWay {
		for _, dep := range pkgs[module+"/"+name].Deps {
			for _, n := range never {
				if dep == module+"/"+n {
					t.Errorf("%s needs %s", name, n)
				}
			}
		}
	}
	for _, p := range pkgs {
		for _, imp := range p.Imports {
			from := strings.TrimPrefix(p.ImportPath, module+"/")
			if strings.HasPrefix(imp, module+"/examples") && !strings.HasPrefix(from, "examples/") {
				t.Errorf("%s imports an example", from)
			}
		}
	}
}
