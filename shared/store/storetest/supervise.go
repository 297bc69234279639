package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// A fast shutdown writes out what is in memory. If it takes longer than this, something is wrong.
const stopPatience = 30 * time.Second

// supervise runs a server for as long as its owner lives: standard input is a pipe that nobody writes to, and that
// ends with the owner, however the owner ends. Then the server is told to shut down fast, more than once, because one
// that has only just been started does not listen yet. A command in the background has no standard input of its own,
// hence descriptor 3.
//
// Its arguments are the folder of the programs, a folder for temporary data that is filled first and removed when the
// server has ended, or an empty one, and the server's command line.
const supervise = `
exec 3<&0 </dev/null
bin=$1
temporary=$2
shift 2
if [ -n "$temporary" ]; then
	trap 'rm -rf "$temporary"' EXIT
	"$bin/initdb" ` + initdbOptions + ` --no-sync --pgdata "$temporary/data" || exit
fi
"$@" 3<&- &
server=$!
{
	read -r line <&3
	while kill -INT "$server"; do sleep 1; done
} 2>/dev/null &
watch=$!
wait "$server"
status=$?
kill "$watch" 2>/dev/null
exit "$status"
`

// A supervised is a server and the shell that watches over it.
type supervised struct {
	process  *exec.Cmd     // the shell
	lifeline *os.File      // the server ends when this is closed, by us or by our end
	log      *os.File      // open, because a temporary folder's goes with the server
	exited   chan struct{} // closed when both have ended
}

// launch starts both, in a process group of their own, so that Ctrl-C on a terminal reaches us only.
func launch(acct account, bin string, dir dataDir, commandLine []string) (*supervised, error) {
	log, err := os.OpenFile(dir.log(), os.O_CREATE|os.O_TRUNC|os.O_APPEND|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	end, lifeline, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	defer end.Close()

	args := append([]string{"-c", supervise, "sh", bin, dir.toRemove()}, commandLine...)
	process := acct.command(context.Background(), "sh", args...) // a context would kill the shell and leave the server
	process.Stdin, process.Stdout, process.Stderr = end, log, log
	process.SysProcAttr.Setpgid = true
	if err := process.Start(); err != nil {
		return nil, errors.Join(err, log.Close(), lifeline.Close())
	}
	s := &supervised{process, lifeline, log, make(chan struct{})}
	go func() {
		_ = process.Wait() // what was wrong is in the log
		close(s.exited)
	}()
	return s, nil
}

// said returns what the log has.
func (s *supervised) said() ([]byte, error) {
	return io.ReadAll(io.NewSectionReader(s.log, 0, math.MaxInt64))
}

// stop ends both and waits for that.
func (s *supervised) stop() error {
	s.lifeline.Close()
	defer s.log.Close()
	select {
	case <-s.exited:
		return nil
	case <-time.After(stopPatience):
	}
	// The group is the shell and the server; the processes that the server made end when they miss it.
	err := syscall.Kill(-s.process.Process.Pid, syscall.SIGKILL)
	return errors.Join(fmt.Errorf("stop PostgreSQL: still there after %s, so it was killed", stopPatience), err)
}

func commandLine(bin string, dir dataDir, port int, parameters map[string]string) []string {
	line := []string{filepath.Join(bin, "postgres"), "-D", dir.data()}
	for name, value := range parameters {
		line = append(line, "-c", name+"="+value)
	}
	return append(line, // of a setting that is given twice the last counts
		"-c", "port="+strconv.Itoa(port),
		"-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=")
}
