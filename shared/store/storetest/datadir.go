package storetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const initdbOptions = "--encoding=UTF8 --locale=C.UTF-8 --username=postgres --auth=trust"

// A dataDir is a folder that holds a server's data and what goes with it. The data is in a subfolder, which can be
// made under another name and renamed when it is whole, even where dataDir is a volume of its own.
type dataDir struct {
	root      string // absolute
	temporary bool   // it goes when the server ends
}

func (d dataDir) data() string { return filepath.Join(d.root, "data") }
func (d dataDir) log() string  { return filepath.Join(d.root, "server.log") }
func (d dataDir) hba() string  { return filepath.Join(d.root, "pg_hba.conf") }

// toRemove is the folder that goes with the server, empty if none does.
func (d dataDir) toRemove() string {
	if d.temporary {
		return d.root
	}
	return ""
}

// discard removes a temporary folder that no server runs in.
func (d dataDir) discard() error {
	if !d.temporary {
		return nil
	}
	return os.RemoveAll(d.root)
}

// openDataDir makes the folder if need be, and makes sure that the account can reach it. An empty path stands for a
// temporary one.
func openDataDir(ctx context.Context, acct account, path string) (dataDir, error) {
	if path == "" {
		return openTemporaryDir(ctx, acct)
	}
	root, err := filepath.Abs(path)
	if err != nil {
		return dataDir{}, err
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return dataDir{}, err
	}
	if err := acct.reaches(ctx, root, "DATA_DIR"); err != nil {
		return dataDir{}, err
	}
	return dataDir{root: root}, nil
}

// openTemporaryDir makes a folder that is the account's own, so that the account can remove it later.
func openTemporaryDir(ctx context.Context, acct account) (dataDir, error) {
	root, err := os.MkdirTemp(temporaryParent(), "cost-sources-postgres-")
	if err != nil {
		return dataDir{}, err
	}
	if err := errors.Join(acct.own(root), acct.reaches(ctx, root, "TMPDIR")); err != nil {
		return dataDir{}, errors.Join(err, os.Remove(root))
	}
	return dataDir{root: root, temporary: true}, nil
}

// temporaryParent is in memory where there is plenty, unless TMPDIR says otherwise. A new database is a few hundred
// new files: on a disk that others are busy with those take ten times as long, although nothing is synced.
func temporaryParent() string {
	const memory, plenty = "/dev/shm", 4 << 30
	var space syscall.Statfs_t
	if os.Getenv("TMPDIR") != "" || syscall.Statfs(memory, &space) != nil ||
		uint64(space.Bavail)*uint64(space.Bsize) < plenty {
		return os.TempDir()
	}
	return memory
}

// letIn has the server trust everybody who comes to host. Those who come to the loopback it trusts by itself.
func (d dataDir) letIn(host string) error {
	if host == loopback {
		return nil
	}
	return os.WriteFile(d.hba(), []byte("host all all all trust\n"), 0o644)
}

// initialize fills the folder, unless it has data already or is temporary: then the supervisor does it.
func (d dataDir) initialize(ctx context.Context, acct account, bin string) error {
	if d.temporary {
		return nil
	}
	unlock, err := lockFile(ctx, filepath.Join(d.root, "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	uid, err := owner(d.data())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return d.initdb(ctx, acct, bin)
	case err != nil:
		return err
	case uid != acct.uid():
		return fmt.Errorf("%s belongs to user %d, but the PostgreSQL server runs as user %d", d.data(), uid, acct.uid())
	}
	return nil
}

// initdb works in a folder beside the right one, so that a kill leaves nothing half done where it would be taken for
// whole.
func (d dataDir) initdb(ctx context.Context, acct account, bin string) error {
	work := d.data() + ".new"
	if err := os.RemoveAll(work); err != nil {
		return err
	}
	if err := os.Mkdir(work, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := acct.own(work); err != nil {
		return err
	}
	args := append(strings.Fields(initdbOptions), "--pgdata", work)
	if out, err := acct.command(ctx, filepath.Join(bin, "initdb"), args...).CombinedOutput(); err != nil {
		return fmt.Errorf("initialize %s: %w: %s", d.data(), err, tail(out))
	}
	return os.Rename(work, d.data())
}
