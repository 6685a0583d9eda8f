// The oracle of test_imports_go.py: go/parser says what each file imports, go/types which file of its own package
// declares the package-level names that it uses. Reads packages as JSON lines {files}, writes edges as JSON lines.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"strconv"
	"strings"
)

// The standard library is read from its sources; everything else is left out.
type standard struct{ source types.Importer }

func (s standard) Import(path string) (*types.Package, error) {
	if strings.Contains(strings.Split(path, "/")[0], ".") || path == "C" {
		return nil, errors.New("not looked at")
	}
	return s.source.Import(path)
}

var library = standard{importer.ForCompiler(token.NewFileSet(), "source", nil)}

type edge struct {
	From, To, Import string
}

func check(files []string, out *json.Encoder) {
	set := token.NewFileSet()
	parsed := []*ast.File{}
	for _, name := range files {
		file, _ := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if file == nil {
			continue
		}
		parsed = append(parsed, file)
		for _, spec := range file.Imports {
			if path, err := strconv.Unquote(spec.Path.Value); err == nil {
				out.Encode(edge{From: name, Import: path})
			}
		}
	}
	info := types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: library, Error: func(error) {}, FakeImportC: true}
	pkg, _ := config.Check("p", set, parsed, &info)
	for id, object := range info.Uses {
		if object.Pkg() == pkg && object.Parent() == pkg.Scope() {
			out.Encode(edge{From: set.Position(id.Pos()).Filename, To: set.Position(object.Pos()).Filename})
		}
	}
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<26)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var files []string
		if json.Unmarshal(lines.Bytes(), &files) != nil {
			os.Exit(3)
		}
		check(files, out)
	}
}
