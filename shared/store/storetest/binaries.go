package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

const version = embeddedpostgres.V16

// binaries returns the folder of PostgreSQL's programs, which the first caller on a machine fetches.
func binaries(ctx context.Context) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	unpacked := filepath.Join(cache, "postgres-"+string(version))
	bin := filepath.Join(unpacked, "bin")
	err = fetchOnce(ctx, cache, bin, func() error { return unpack(filepath.Join(cache, "unpacking"), unpacked) })
	if err != nil {
		return "", fmt.Errorf("fetch PostgreSQL %s: %w", version, err)
	}
	return bin, nil
}

// fetchOnce has fetch make path, which is in the cache, unless it is there. One caller on a machine does so at a time.
func fetchOnce(ctx context.Context, cache, path string, fetch func() error) error {
	if exists(path) {
		return nil
	}
	unlock, err := lockFile(ctx, filepath.Join(cache, "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if exists(path) { // by whoever had the lock before
		return nil
	}
	return fetch()
}

// unpack fetches and unpacks in a folder for work in progress, so that a kill leaves nothing half done in dest.
//
// The library does more than we want of it: its server cannot be run as another user, which root needs, and goes on
// when we are killed. Fetching and unpacking can only be had by starting it, so it is started with a locale that there
// cannot be. Its initdb comes after all of the unpacking and refuses that, at the latest (it refuses root before).
func unpack(work, dest string) error {
	if err := os.RemoveAll(work); err != nil {
		return err
	}
	defer os.RemoveAll(work)
	programs := filepath.Join(work, "postgres")
	library := embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().
		Version(version).
		CachePath(filepath.Join(work, "archive")).
		RuntimePath(filepath.Join(work, "run")).
		BinariesPath(programs).
		DataPath(filepath.Join(work, "data")).
		Locale("there is no such locale").
		Port(0). // any; it looks whether its port is free
		Logger(io.Discard))
	err := library.Start()
	if err == nil {
		return errors.Join(errors.New("initdb took a locale that does not exist"), library.Stop())
	}
	if _, refused := errors.AsType[*exec.ExitError](err); !refused || !exists(filepath.Join(programs, "bin", "postgres")) {
		return err
	}
	if err := makeReadable(programs); err != nil {
		return err
	}
	return os.Rename(programs, dest)
}

// makeReadable undoes a strict umask, because the server's user may be another than ours.
func makeReadable(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		forAll := info.Mode().Perm() | 0o444
		if forAll&0o100 != 0 {
			forAll |= 0o111
		}
		return os.Chmod(path, forAll)
	})
}

// cacheDir returns a folder that stays between runs. Root's is not in root's home, where the server's user cannot
// look; the temporary one is for whoever has no home to write to.
func cacheDir() (string, error) {
	var candidates []string
	if os.Geteuid() == 0 {
		candidates = append(candidates, "/var/cache/cost-sources")
	} else if dir, err := os.UserCacheDir(); err == nil {
		candidates = append(candidates, filepath.Join(dir, "cost-sources"))
	}
	candidates = append(candidates, filepath.Join(os.TempDir(), "cost-sources-"+strconv.Itoa(os.Geteuid())))

	var errs []error
	for _, dir := range candidates {
		err := ownDir(dir)
		if err == nil {
			return dir, nil
		}
		errs = append(errs, err)
	}
	return "", fmt.Errorf("no folder to keep PostgreSQL in: %w", errors.Join(errs...))
}

// ownDir makes sure that dir is there and ours: what it holds will be run, and in a temporary folder anybody could
// have put it there.
func ownDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	uid, err := owner(dir)
	if err != nil {
		return err
	}
	if uid != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d", dir, uid)
	}
	return os.Chmod(dir, 0o755)
}

func owner(path string) (uid int, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return 0, err
	}
	return int(info.Sys().(*syscall.Stat_t).Uid), nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// lockFile keeps other processes out until unlock is called or this one ends.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("wait for the lock %s: %w", path, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}
