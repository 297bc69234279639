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

// supervise runs a server for as long as its owner lives: standard input is a pipe that ends with the owner, however
// the owner ends. Then the server is told to shut down fast, more than once, because one that has only just been
// started does not listen yet. A line on the pipe kills it at once, as a crash would. A command in the background has
// no standard input of its own, hence descriptor 4.
//
// Descriptor 3 is for the server, whose processes all inherit it: whoever has the other end sees when the last is gone.
//
// Its arguments are the folder of the programs, a folder for temporary data that is filled first and removed when the
// server has ended, or an empty one, and the server's command line.
const supervise = `
exec 4<&0 </dev/null
bin=$1
temporary=$2
shift 2
if [ -n "$temporary" ]; then
	trap 'rm -rf "$temporary"' EXIT
	"$bin/initdb" ` + initdbOptions + ` --no-sync --pgdata "$temporary/data" || exit
fi
"$@" 4<&- &
server=$!
{
	if read -r line <&4; then
		kill -KILL "$server"
		exit
	fi
	while kill -INT "$server"; do sleep 1; done
} 3>&- 2>/dev/null &
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
	exited   chan struct{} // closed when both have ended, and all processes that the server made
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
	alive, held, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, log.Close(), lifeline.Close())
	}
	defer held.Close()

	args := append([]string{"-c", supervise, "sh", bin, dir.toRemove()}, commandLine...)
	process := acct.command(context.Background(), "sh", args...) // a context would kill the shell and leave the server
	process.Stdin, process.Stdout, process.Stderr = end, log, log
	process.ExtraFiles = []*os.File{held}
	process.SysProcAttr.Setpgid = true
	if err := process.Start(); err != nil {
		return nil, errors.Join(err, log.Close(), lifeline.Close(), alive.Close())
	}
	s := &supervised{process, lifeline, log, make(chan struct{})}
	go s.wait(alive)
	return s, nil
}

// wait notices the end of everything that was started. Processes of a killed server end by themselves when they miss
// it; until then they are in the way of the next server.
func (s *supervised) wait(alive *os.File) {
	_ = s.process.Wait() // what was wrong is in the log
	_, _ = io.Copy(io.Discard, alive)
	alive.Close()
	close(s.exited)
}

// said returns what the log has.
func (s *supervised) said() ([]byte, error) {
	return io.ReadAll(io.NewSectionReader(s.log, 0, math.MaxInt64))
}

// stop shuts the server down.
func (s *supervised) stop() error {
	s.lifeline.Close()
	return s.end()
}

// kill leaves the server no time for anything.
func (s *supervised) kill() error {
	_, _ = s.lifeline.WriteString("kill\n") // fails if the server has ended by itself, which is all we want
	s.lifeline.Close()
	return s.end()
}

// end waits until both have ended, as they were told to.
func (s *supervised) end() error {
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

func commandLine(bin string, dir dataDir, cfg ServerConfig) []string {
	line := []string{filepath.Join(bin, "postgres"), "-D", dir.data()}
	if dir.temporary {
		// What a killed server shared outside its folder only the next server in that folder would remove.
		line = append(line, "-c", "dynamic_shared_memory_type=mmap")
	}
	for name, value := range cfg.Parameters {
		line = append(line, "-c", name+"="+value)
	}
	if cfg.Host != loopback {
		line = append(line, "-c", "hba_file="+dir.hba())
	}
	return append(line, // of a setting that is given twice the last counts
		"-c", "port="+strconv.Itoa(cfg.Port),
		"-c", "listen_addresses="+cfg.Host,
		"-c", "unix_socket_directories=")
}
