package optest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/borea-go/borea/qlora/internal/compute"
)

// TestTableCoversTheDevice fails when compute.Device has a method that no case of
// the table or special check calls, or a backward operation that is not held
// against central differences.
func TestTableCoversTheDevice(t *testing.T) {
	f := functions(t)
	table, gradient := f.reach("Run", "special"), f.reach("gradients")
	device := reflect.TypeFor[compute.Device]()
	for i := range device.NumMethod() {
		name := device.Method(i).Name
		if !table[name] {
			t.Errorf("no case calls %s", name)
		}
		if strings.HasSuffix(name, "Backward") && !gradient[name] {
			t.Errorf("%s is not held against central differences", name)
		}
	}
}

// calls lists what each function or variable of a package mentions.
type calls map[string][]string

// functions reads this package's source. A method of a device and a function of
// the package never share a name. Misuse is no case: its calls fail.
func functions(t *testing.T) calls {
	t.Helper()
	names, err := filepath.Glob("*.go")
	check(t, err)
	f := calls{}
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		check(t, err)
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				f.add(d.Name.Name, d.Body)
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if v, ok := s.(*ast.ValueSpec); ok {
						f.add(v.Names[0].Name, v)
					}
				}
			}
		}
	}
	delete(f, "misuse")
	return f
}

func (f calls) add(name string, body ast.Node) {
	ast.Inspect(body, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			f[name] = append(f[name], id.Name)
		}
		return true
	})
}

// reach returns every name that is mentioned from the given ones on.
func (f calls) reach(from ...string) map[string]bool {
	seen := map[string]bool{}
	for len(from) > 0 {
		name := from[0]
		from = from[1:]
		if !seen[name] {
			seen[name] = true
			from = append(from, f[name]...)
		}
	}
	return seen
}
