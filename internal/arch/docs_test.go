package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

func TestExportedNamesAreDocumented(t *testing.T) {
	for path, p := range list(t) {
		if !strings.HasPrefix(path, module) {
			continue
		}
		for _, name := range p.GoFiles {
			checkFile(t, filepath.Join(p.Dir, name))
		}
	}
}

func checkFile(t *testing.T, path string) {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		for _, id := range undocumented(d) {
			t.Errorf("%s: exported %s has no comment", fset.Position(id.Pos()), id.Name)
		}
	}
}

// undocumented returns the exported names of a declaration without a comment.
func undocumented(d ast.Decl) []*ast.Ident {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		if d.Doc != nil {
			return nil
		}
		var out []*ast.Ident
		for _, s := range d.Specs {
			out = append(out, undocumentedSpec(s)...)
		}
		return out
	}
	return nil
}

func undocumentedSpec(s ast.Spec) (out []*ast.Ident) {
	switch s := s.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() && s.Doc == nil && s.Comment == nil {
			out = append(out, s.Name)
		}
	case *ast.ValueSpec:
		for _, n := range s.Names {
			if n.IsExported() && s.Doc == nil && s.Comment == nil {
				out = append(out, n)
			}
		}
	}
	return out
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.IndexListExpr:
			typ = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}

func TestEveryPackageSaysWhatItDoesNot(t *testing.T) {
	for path, p := range list(t) {
		name, ours := strings.CutPrefix(path, module+"/")
		if !ours || strings.HasPrefix(name, "examples/") {
			continue
		}
		if !packageDocSays(t, p, "does not") {
			t.Errorf("%s: the package comment does not say what the package does not do", name)
		}
	}
}

func packageDocSays(t *testing.T, p goPackage, phrase string) bool {
	t.Helper()
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		if f.Doc != nil && strings.Contains(f.Doc.Text(), phrase) {
			return true
		}
	}
	return false
}

func TestFilesAreNamedForAConcept(t *testing.T) {
	empty := map[string]bool{"utils.go": true, "util.go": true, "helpers.go": true, "common.go": true, "types.go": true, "misc.go": true}
	for path, p := range list(t) {
		for _, name := range p.GoFiles {
			if strings.HasPrefix(path, module) && empty[name] {
				t.Errorf("%s/%s: name the file for what it holds", path, name)
			}
		}
	}
}
