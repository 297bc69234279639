// Package migrations holds the tables of this project as SQL files and brings databases to their newest version.
//
// There are two sets of files. Those in public make the tables that are there once: Koku's in the schema public,
// where Koku has not made them, and our own in the schema sources. Those in tenant make the schema of one
// organization and are recorded in that schema, each tenant by itself. A schema without such a record is not ours:
// Koku cloned it, and Koku migrates it.
//
// Files are numbered from 001 and only ever added. They go forward only, and each is committed together with the
// record of its version, so a run that was broken off is finished by the next one.
//
// Goose runs them. Tern would have done as well but for its lock, of which it has one for the whole database: tenants
// could only be migrated one after the other, in one process. Here each schema has a lock of its own.
package migrations

import (
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"
)

//go:embed public/*.sql tenant/*.sql
var embedded embed.FS

// Where goose records which files it has run. The table of a tenant stands among Koku's tables, and it is what tells
// a schema of ours from one of Koku's, so its name must be one that Koku has no use for.
const (
	publicVersions = "sources.schema_version"
	tenantVersions = "cost_sources_version"
)

func publicFiles() fs.FS { return folder("public") }

func tenantFiles() fs.FS { return folder("tenant") }

func folder(name string) fs.FS {
	sub, err := fs.Sub(embedded, name)
	if err != nil {
		panic(err) // the names are constants
	}
	return sub
}

// A file is one migration.
type file struct {
	version int64
	name    string
	sql     string
}

// load reads the migrations of a folder, lowest version first.
func load(fsys fs.FS) ([]file, error) {
	names, err := fs.Glob(fsys, "*.sql")
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	files := make([]file, 0, len(names))
	for _, name := range names {
		f, err := loadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.version, b.version) })
	return files, nil
}

func loadFile(fsys fs.FS, name string) (file, error) {
	version, err := goose.NumericComponent(name)
	if err != nil {
		return file{}, fmt.Errorf("migration %s: %w", name, err)
	}
	sql, err := fs.ReadFile(fsys, name)
	if err != nil {
		return file{}, fmt.Errorf("read migration: %w", err)
	}
	return file{version: version, name: name, sql: string(sql)}, nil
}

// newest is the version that a database has when nothing is left to do.
func newest(fsys fs.FS) (int64, error) {
	files, err := load(fsys)
	if err != nil || len(files) == 0 {
		return 0, err
	}
	return files[len(files)-1].version, nil
}

// directives are the words to goose that change what a file does. A new tenant's files are run without goose, as they
// stand, so there they would be ignored without a word.
var directives = []string{"+goose Down", "+goose NO TRANSACTION", "+goose ENVSUB"}

// runsAsItStands returns an error for a file that goose would treat differently.
func (f file) runsAsItStands() error {
	for _, directive := range directives {
		if strings.Contains(strings.ToUpper(f.sql), strings.ToUpper(directive)) {
			return fmt.Errorf("migration %s: %q is not possible in a tenant's file", f.name, directive)
		}
	}
	return nil
}
