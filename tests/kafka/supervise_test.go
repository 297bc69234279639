package kafka

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// superviseVariable has the test binary run as the process that is going to
// die: it names the folder of the command that must die with it.
const superviseVariable = "TEST_SUPERVISE_FOLDER"

// stubborn is a command that writes its process id and does not mind SIGTERM.
const stubborn = `trap '' TERM; echo $$; while :; do sleep 1; done`

func TestMain(m *testing.M) {
	folder := os.Getenv(superviseVariable)
	if folder == "" {
		os.Exit(m.Run())
	}
	if _, err := supervise(folder, "sh", "-c", "echo $$; exec sleep 600"); err != nil {
		panic(err)
	}
	select {}
}

func TestSupervisedDiesWithThisProcess(t *testing.T) {
	t.Parallel()

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	parent := exec.CommandContext(t.Context(), self)
	parent.Env = append(os.Environ(), superviseVariable+"="+folder)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	child := logged(t, folder)

	if err := parent.Process.Kill(); err != nil { // SIGKILL: nothing of ours runs any more
		t.Fatal(err)
	}
	_ = parent.Wait()
	await(t, "the folder to go", func() bool { return !exists(folder) })
	if alive(child) {
		t.Errorf("process %d outlives the one that started it", child)
	}
}

func TestSupervisedIsKilledAndKeepsItsFolder(t *testing.T) {
	t.Parallel()

	folder := t.TempDir()
	p, err := supervise(folder, "sh", "-c", stubborn)
	if err != nil {
		t.Fatal(err)
	}
	child := logged(t, folder)
	if err := p.kill(); err != nil {
		t.Fatal(err)
	}
	if alive(child) {
		t.Errorf("process %d outlives kill", child)
	}
	if !exists(filepath.Join(folder, "log")) {
		t.Errorf("kill removed the folder")
	}
}

func TestSupervisedThatDoesNotListenIsEnded(t *testing.T) {
	t.Parallel()

	folder := t.TempDir()
	p, err := supervise(folder, "sh", "-c", stubborn)
	if err != nil {
		t.Fatal(err)
	}
	child := logged(t, folder)
	_ = p.orders.Close() // as this process's end would do
	<-p.done
	if alive(child) || exists(folder) {
		t.Errorf("after the pipe's end: alive %v, folder %v, want neither", alive(child), exists(folder))
	}
}

func TestSupervisedThatEndsByItselfIsNoticed(t *testing.T) {
	t.Parallel()

	folder := t.TempDir()
	p, err := supervise(folder, "sh", "-c", "echo the reason; exit 1")
	if err != nil {
		t.Fatal(err)
	}
	<-p.done
	if got := tail(folder); got != "the reason" {
		t.Errorf("tail = %q, want what the command wrote", got)
	}
}

// logged returns the process id that the command wrote into its log.
func logged(t *testing.T, folder string) (pid int) {
	t.Helper()
	await(t, "the command's process id", func() bool {
		log, _ := os.ReadFile(filepath.Join(folder, "log"))
		text, whole := strings.CutSuffix(string(log), "\n")
		pid, _ = strconv.Atoi(text)
		return whole && pid > 0
	})
	return pid
}

func await(t *testing.T, what string, ready func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !ready() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("still waiting for %s", what)
		}
	}
}

func alive(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
