package storetest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// An account is who the server runs as. PostgreSQL refuses root, so root's runs as nobody; everybody else's as they
// themselves, which is the zero account.
type account struct {
	name       string
	credential *syscall.Credential
}

func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return account{}, fmt.Errorf("PostgreSQL does not run as root: %w", err)
	}
	uid, errUID := strconv.ParseUint(nobody.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(nobody.Gid, 10, 32)
	if errUID != nil || errGID != nil {
		return account{}, fmt.Errorf("user nobody has the ids %q and %q", nobody.Uid, nobody.Gid)
	}
	return account{"nobody", &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// command prepares a program to be run by the account. Of our environment it gets next to nothing: PGOPTIONS,
// PGDATA and their like are meant for other servers. The folder is one that everybody may be in.
func (a account) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential}
	return cmd
}

// own gives a folder that we made to the account.
func (a account) own(dir string) error {
	if a.credential == nil {
		return nil
	}
	return os.Chown(dir, int(a.credential.Uid), int(a.credential.Gid))
}

// uid is the account's number.
func (a account) uid() int {
	if a.credential == nil {
		return os.Geteuid()
	}
	return int(a.credential.Uid)
}

// reaches returns an error if the account may not go into the folder dir, which the named variable decides on. It finds
// out by trying, since the mode of a folder is not all that counts.
func (a account) reaches(ctx context.Context, dir, variable string) error {
	if a.credential == nil {
		return nil // what we may not do we are told by the first step that fails
	}
	const firstUnsearchable = `for dir; do test -x "$dir" || { printf %s "$dir"; exit; }; done`
	args := append([]string{"-c", firstUnsearchable, "sh"}, ancestors(dir)...)
	out, err := a.command(ctx, "sh", args...).Output()
	if err != nil {
		return fmt.Errorf("look at %s as user %s: %w", dir, a.name, err)
	}
	if blocked := string(out); blocked != "" {
		return fmt.Errorf("the PostgreSQL server runs as user %s and cannot reach %s: %s is not searchable by others; "+
			"set %s to a folder it can reach", a.name, dir, blocked, variable)
	}
	return nil
}

// ancestors lists an absolute path's folders from the root down to the path itself.
func ancestors(path string) []string {
	dirs := []string{"/"}
	for i, r := range path {
		if r == filepath.Separator && i > 0 {
			dirs = append(dirs, path[:i])
		}
	}
	return append(dirs, strings.TrimSuffix(path, "/"))
}
