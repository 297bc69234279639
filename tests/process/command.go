package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// asCommand, where it is set, has a test program be the command that it tests.
const asCommand = "TEST_AS_COMMAND"

// Main is the TestMain of the package whose main it is given: the test program is that command where [NewCommand] runs it.
func Main(m *testing.M, main func()) {
	if os.Getenv(asCommand) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A Command is one call of the command that a test program is of.
type Command struct {
	*exec.Cmd
	Out, Errs strings.Builder // what it has written, to be read when it has ended
}

// NewCommand prepares a call with nothing in its environment but env, which is killed when ctx ends.
func NewCommand(ctx context.Context, env []string, args ...string) *Command {
	c := &Command{Cmd: exec.CommandContext(ctx, os.Args[0], args...)}
	c.Env = append([]string{asCommand + "=1"}, env...)
	c.Stdout, c.Stderr = &c.Out, &c.Errs
	return c
}

// Status runs the command, or waits for it where it has been started, and returns its exit status.
func (c *Command) Status(t testing.TB) int {
	t.Helper()
	end := c.Run
	if c.Process != nil {
		end = c.Wait
	}
	err := end()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode()
}

// Want runs the command, which has to end with status and to say said on standard error: in one line where that is why it
// fails, and without the word secret, which the tests have for what is one.
func (c *Command) Want(t testing.TB, status int, said string) {
	t.Helper()
	got, errs := c.Status(t), c.Errs.String()
	if got != status || !strings.Contains(errs, said) || status != 0 && strings.Count(errs, "\n") != 1 {
		t.Errorf("exit status %d, want %d; standard error is %q, want %q in one line", got, status, errs, said)
	}
	if strings.Contains(errs, "secret") {
		t.Errorf("standard error has the password: %q", errs)
	}
}
