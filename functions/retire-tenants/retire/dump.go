package retire

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/insights-onprem/cost-sources/shared/store"
)

// endWithin is what a program that was told to end has for it.
const endWithin = 10 * time.Second

// A dumper writes dumps of schemas to a folder.
type dumper struct {
	client
	dir string
}

// newDumper makes sure that there are the programs, and a folder that can be written to.
func newDumper(cfg store.Config, opts options) (dumper, error) {
	c, err := newClient(cfg, opts.pgDump)
	if err != nil {
		return dumper{}, err
	}
	probe, err := os.CreateTemp(opts.dir, ".retire-tenants-*")
	if err != nil {
		return dumper{}, fmt.Errorf("-dump: the folder has to be there and to be writable: %w", err)
	}
	return dumper{c, opts.dir}, errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// dump writes a schema to a file of its own, and returns its path when all of it is on disk and has been looked at:
// it holds the tables given, and their rows.
func (d dumper) dump(ctx context.Context, schema string, tables []store.Table) (path string, err error) {
	// A schema of Koku's may have any name.
	name := url.PathEscape(schema) + "-" + time.Now().UTC().Format("20060102T150405Z") + ".dump"
	f, err := os.CreateTemp(d.dir, "."+name+"-*")
	if err != nil {
		return "", err
	}
	defer f.Close()
	defer os.Remove(f.Name()) // there is none by then if all went well
	if err := d.write(ctx, f.Name(), schema); err != nil {
		return "", err
	}
	if err := d.check(ctx, f, schema, tables); err != nil {
		return "", err
	}
	if err := f.Sync(); err != nil {
		return "", err
	}
	path = filepath.Join(d.dir, name)
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%s is there already", path)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return "", err
	}
	return path, d.sync()
}

// write has pg_dump fill a file that is there, and nobody's else to read.
func (d dumper) write(ctx context.Context, path, schema string) error {
	args := []string{
		"--format=custom", "--no-password", "--lock-wait-timeout=5000",
		"--schema=" + `"` + strings.ReplaceAll(schema, `"`, `""`) + `"`, "--strict-names", // quoted, it is no pattern
		"--dbname=" + d.address, "--file=" + path,
	}
	if d.role != "" {
		args = append(args, "--role="+d.role)
	}
	_, err := d.run(ctx, d.pgDump, args...)
	return err
}

// check looks into a dump: whether there is one, and whether it has the tables and, of those that hold some
// themselves, the rows.
func (d dumper) check(ctx context.Context, f *os.File, schema string, tables []store.Table) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		return errors.New("pg_dump has written nothing")
	}
	list, err := d.run(ctx, d.pgRestore, "--list", f.Name())
	if err != nil {
		return err
	}
	return contents(string(list)).holds(schema, tables)
}

// sync has the folder know the file by its name also after a crash of the machine.
func (d dumper) sync() error {
	folder, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// discard removes the dump of a tenant that stays, because of the error why.
func (d dumper) discard(path string, why error) error {
	if path == "" {
		return why
	}
	return errors.Join(why, os.Remove(path))
}

// run runs a program until ctx ends, and returns what it has written. Its error is the program's own last
// words, which begin with its name.
func (d dumper) run(ctx context.Context, program string, args ...string) (stdout []byte, err error) {
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = d.env, &out, &said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = endWithin
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s was stopped: %w", filepath.Base(program), context.Cause(ctx))
	case err != nil:
		const enough = 1000
		words := said.Bytes()[max(0, said.Len()-enough):]
		return nil, errors.New(cmp.Or(oneLine(string(words)), filepath.Base(program)+": "+err.Error()))
	}
	return out.Bytes(), nil
}
