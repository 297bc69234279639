package bench_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/insights-onprem/cost-sources/migrations"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// A script is what pgbench runs: a transaction of ours as the server has logged it.
type script struct {
	world *world
	db    string // database
	role  string // function whose role it runs in; empty for that of ROS too
	text  string
}

var (
	tpsLine    = regexp.MustCompile(`(?m)^tps = ([0-9.]+)`)
	failedLine = regexp.MustCompile(`(?m)^number of failed transactions: 0 `)
)

// rate runs the script on so many connections for a slot, with variables, and returns how often a second it was done.
func (s script) rate(conns int, variables ...string) float64 {
	w := s.world
	w.Helper()
	file := filepath.Join(w.TempDir(), "script.sql")
	if err := os.WriteFile(file, []byte(s.text), 0o600); err != nil {
		w.Fatal(err)
	}
	args := []string{"-n", "-f", file, "-c", fmt.Sprint(conns), "-j", fmt.Sprint(min(conns, 2)),
		"-T", fmt.Sprint(int(w.slot / time.Second)), "-D", "clients=" + fmt.Sprint(conns), "-D", "turn=0", "-D", "prepared=0"}
	for _, v := range variables {
		args = append(args, "-D", v)
	}
	cmd := exec.CommandContext(w.Context(), storetest.Program(w, "pgbench"), append(args, w.server.URL(s.db))...)
	if s.role != "" {
		cmd.Env = append(os.Environ(), "PGOPTIONS=-c role="+migrations.Role(s.role))
	}
	output, err := cmd.CombinedOutput()
	tps := tpsLine.FindStringSubmatch(string(output))
	if err != nil || tps == nil || !failedLine.Match(output) {
		w.Fatalf("pgbench of\n%s\n%v: %s", s.text, err, output)
	}
	rate, err := strconv.ParseFloat(tps[1], 64)
	if err != nil {
		w.Fatal(err)
	}
	return rate
}

// latency is how many milliseconds the script takes on so many connections.
func (s script) latency(conns int, variables ...string) float64 {
	return 1000 * float64(conns) / s.rate(conns, variables...)
}

// own has a script begin by choosing an id that no other client has, of those from first on.
func own(text string) string {
	return "\\set turn :turn + 1\n\\set id :first + :turn * :clients + :client_id\n" + text
}

// keep writes the script to the folder that OUT names, for whoever wants to know what pgbench has run.
func (s script) keep(name string) {
	s.world.Helper()
	if out := os.Getenv("OUT"); out != "" {
		write(s.world, filepath.Join(out, strings.ReplaceAll(name, " ", "-")+".sql"), []byte(s.text))
	}
}

// script makes a script of what do has a function do. What do returns renames what is another one each time, to
// pgbench's variables.
func (w *world) script(db, function string, env []string, do func(url string) *strings.Replacer) script {
	w.Helper()
	all, names := w.capture(db, function, env, do)
	return script{world: w, db: db, role: function, text: written(all, names)}
}

// written writes transactions for pgbench, under other names. What a statement of a transaction has read in the database
// when it was logged, and a later one was given, is read again; what was prepared is prepared, once for each connection.
func written(all []transaction, names *strings.Replacer) string {
	var preparing, doing strings.Builder
	prepared := map[string]string{} // the names of the statements that are
	last := lastSequence(all)
	for _, t := range all {
		for i, s := range t.statements {
			text := s.text(last)
			// Not what would be another statement each time, and not SET, which PREPARE does not take.
			if s.prepared && names.Replace(s.sql) == s.sql && !strings.HasPrefix(s.sql, "SET ") {
				name, known := prepared[s.sql]
				if !known {
					name = fmt.Sprintf("s%d", len(prepared)+1)
					prepared[s.sql] = name
					fmt.Fprintf(&preparing, "PREPARE %s AS %s;\n", name, s.sql)
				}
				text = s.execution(name, last)
			}
			doing.WriteString(names.Replace(text))
			if t.implicit && i < len(t.statements)-1 {
				doing.WriteString(` \;` + "\n") // all in one message, and so in one transaction
			} else {
				doing.WriteString(s.reading() + "\n")
			}
		}
	}
	return "\\if :prepared = 0\n" + preparing.String() + "\\set prepared 1\n\\endif\n" + doing.String()
}

// ids renames the id of a source; a colon in front of it, as in JSON, would make a cast of it.
func ids(id int64) *strings.Replacer {
	text := fmt.Sprint(id)
	return strings.NewReplacer(":"+text, ": :id", text, ":id")
}
