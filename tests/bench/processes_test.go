package bench_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// functions are what is deployed, by the name of the command.
var functions = []string{"sources", "applications", "provisioner", "ros-cleanup", "relay"}

// processes measures what it costs to have a function: its size, its start, and its memory with nothing to do.
func (w *world) processes() {
	w.Helper()
	emptyStart, emptySize := w.startOf("empty"), w.size("empty")
	emptyMemory := w.idle("empty")
	for _, name := range functions {
		w.add(name+": start to the first answer", w.startOf(name), "ms", "an empty server", emptyStart, "< 30 ms")
		w.add(name+": memory, idle", w.idle(name), "MB", "an empty server", emptyMemory, "< 25 MB")
		w.add(name+": binary", w.size(name), "MB", "an empty server", emptySize, "< 20 MB")
	}
}

// startOf is how many milliseconds it takes from the start of a process to its first answer.
func (w *world) startOf(name string) float64 {
	w.Helper()
	var each []float64
	for range w.starts {
		begun := time.Now()
		r := w.launch(name, w.server.URL(main))
		w.answer(r)
		each = append(each, milliseconds(time.Since(begun)))
		w.stop(name, r)
	}
	return median(each)
}

// answer waits for the first answer, which is asked for as soon as the port is bound.
func (w *world) answer(r running) {
	w.Helper()
	l := load{world: w, at: strings.TrimPrefix(r.url, "http://"), status: http.StatusOK}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if c, err := l.dial(); err == nil {
			defer c.conn.Close()
			if _, err := c.call(request(http.MethodGet, "/healthz", "", "")); err != nil {
				w.Fatal(err)
			}
			return
		}
		time.Sleep(200 * time.Microsecond) // nothing tells that a port has been bound
	}
	w.Fatalf("no answer: %s", r.Said())
}

// stop ends a process; the empty server knows no other end than a kill.
func (w *world) stop(name string, r running) {
	w.Helper()
	if name == "empty" {
		r.Kill()
		return
	}
	w.end(r)
}

// idle is what a process that has answered once has of the machine's memory.
func (w *world) idle(name string) float64 {
	w.Helper()
	r := w.launch(name, w.server.URL(main))
	defer w.stop(name, r)
	w.answer(r)
	return w.memory(r)
}

// memory is VmRSS of a process, in MB.
func (w *world) memory(r running) float64 {
	w.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.ID()))
	if err != nil {
		w.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	kb, err := strconv.ParseFloat(strings.Fields(after + " ?")[0], 64)
	if err != nil {
		w.Fatalf("VmRSS: %v", err)
	}
	return kb * 1024 / 1e6
}

func (w *world) size(name string) float64 {
	w.Helper()
	info, err := os.Stat(filepath.Join(w.bin, name))
	if err != nil {
		w.Fatal(err)
	}
	return float64(info.Size()) / 1e6
}
