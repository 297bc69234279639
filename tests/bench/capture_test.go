package bench_test

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// captured is what a function calls itself, to the server, whose statements are logged.
const captured = "captured"

// A statement is one that the server has logged.
type statement struct {
	sql      string
	params   []string // as literals, the first at 0
	prepared bool     // once for the connection
}

// A transaction is what the server carried out as one: between a BEGIN and a COMMIT, or, if it is implicit, all that came
// in one go.
type transaction struct {
	statements []statement
	implicit   bool
}

// capture has a function of its own do something, and returns what that meant to PostgreSQL. The function does it three
// times, as before it connects and prepares its statements; do is given where it listens, and returns what is to be called otherwise.
func (w *world) capture(db, function string, env []string, do func(url string) (names *strings.Replacer)) ([]transaction, *strings.Replacer) {
	w.Helper()
	address := storetest.As(function, w.server.URL(db)) + "&application_name=" + captured + "&log_statement=all"
	p := w.start(function, address, env...)
	defer w.end(p)
	for range 2 {
		do(p.url)
		w.quiet(db)
	}
	begin := w.mark(db)
	names := do(p.url)
	w.quiet(db)
	return w.logged(db, begin, w.mark(db)), names
}

// quiet waits until no event waits to be sent, nor is being sent.
func (w *world) quiet(db string) {
	w.Helper()
	w.until(func() bool {
		var empty bool
		err := w.sql[db].QueryRow(w.Context(), `
			SELECT NOT EXISTS (SELECT FROM sources.outbox) AND NOT EXISTS (SELECT FROM sources.outbox_lease)`).Scan(&empty)
		if err != nil {
			w.Fatal(err)
		}
		return empty
	})
}

// mark leaves a mark in the server's log, and returns when it is there.
func (w *world) mark(db string) string {
	w.Helper()
	name := "mark " + rand.Text()
	if _, err := w.sql[db].Exec(w.Context(), "DO $$ BEGIN RAISE LOG '"+name+"'; END $$"); err != nil {
		w.Fatal(err)
	}
	w.until(func() bool { return strings.Contains(w.log(db), `"message":"`+name+`"`) })
	return name
}

func (w *world) log(db string) (text string) {
	w.Helper()
	if err := w.sql[db].QueryRow(w.Context(), `SELECT pg_read_file('log/bench.json')`).Scan(&text); err != nil {
		w.Fatal(err)
	}
	return text
}

// An entry is a line of the server's log.
type entry struct {
	Database    string `json:"dbname"`
	Application string `json:"application_name"`
	Session     string `json:"session_id"`
	Transaction string `json:"vxid"`
	Message     string `json:"message"`
	Detail      string `json:"detail"`
}

var (
	loggedParam = regexp.MustCompile(`\$\d+ = ('(?:[^']|'')*'|NULL)`)
	placeholder = regexp.MustCompile(`\$(\d+)`)
)

// logged reads the transactions between two marks, in the order of their beginnings.
func (w *world) logged(db, begin, end string) (all []transaction) {
	w.Helper()
	at := map[string]int{}      // where in all a transaction is
	open := map[string]string{} // by session, the key of the explicit transaction that is open
	within := false
	lines := bufio.NewScanner(strings.NewReader(w.log(db)))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			w.Fatalf("the server's log: %v", err)
		}
		switch e.Message {
		case begin:
			within = true
		case end:
			return all
		}
		if !within || e.Database != db || e.Application != captured {
			continue
		}
		s, ok := parse(e)
		if !ok {
			continue
		}
		word := strings.ToUpper(strings.TrimSuffix(strings.Fields(s.sql + " ;")[0], ";"))
		key, explicit := open[e.Session]
		if word == "BEGIN" {
			key, explicit = fmt.Sprint("explicit ", len(all)), true
			open[e.Session] = key
		} else if !explicit {
			key = e.Session + e.Transaction
		}
		if _, known := at[key]; !known {
			at[key] = len(all)
			all = append(all, transaction{implicit: !explicit})
		}
		t := &all[at[key]]
		t.statements = append(t.statements, s)
		if word == "COMMIT" || word == "ROLLBACK" {
			delete(open, e.Session)
		}
	}
	w.Fatalf("the server's log has no %s", end)
	return nil
}

// parse reads a statement of the log; ok is false for an entry that holds none.
func parse(e entry) (s statement, ok bool) {
	kind, sql, ok := strings.Cut(e.Message, ": ")
	if !ok || kind != "statement" && !strings.HasPrefix(kind, "execute") {
		return s, false
	}
	s.sql, s.prepared = strings.TrimRight(strings.TrimSpace(sql), ";"), strings.HasPrefix(kind, "execute stmtcache_")
	for _, m := range loggedParam.FindAllStringSubmatch(e.Detail, -1) {
		s.params = append(s.params, m[1])
	}
	return s, true
}

// text is the statement with its parameters written into it.
func (s statement) text(last int) string {
	if len(s.params) == 0 {
		return s.sql
	}
	return placeholder.ReplaceAllStringFunc(s.sql, func(found string) string {
		n, _ := strconv.Atoi(found[1:]) // the pattern has digits only
		return s.param(n, last)
	})
}

// execution carries out the statement that was prepared under a name.
func (s statement) execution(name string, last int) string {
	var params []string
	for n := range s.params {
		params = append(params, s.param(n+1, last))
	}
	if len(params) == 0 {
		return "EXECUTE " + name
	}
	return "EXECUTE " + name + " (" + strings.Join(params, ", ") + ")"
}

// param is the nth parameter. An event gets an id of its own, and the sequence that the source has by then: last is the
// one that it had when it was logged.
func (s statement) param(n, last int) string {
	value := s.params[n-1]
	switch {
	case strings.Contains(s.sql, "INSERT INTO sources.outbox ") && n == 3:
		return "gen_random_uuid()"
	case s.ofOutbox() && n == 2:
		return fmt.Sprintf("(:saved_sequence - %d)", last-number(value))
	case strings.Contains(s.sql, "INSERT INTO public.api_provider AS p") && n == 4:
		return ":auth_id"
	}
	return value
}

// ofOutbox reports whether the second parameter is the sequence of an event.
func (s statement) ofOutbox() bool {
	return strings.Contains(s.sql, "sources.outbox ") && strings.Contains(s.sql, "sequence") && len(s.params) > 1 && number(s.params[1]) > 0
}

// number is what a literal holds; 0 if that is no number.
func number(literal string) int {
	n, _ := strconv.Atoi(strings.Trim(literal, "'"))
	return n
}

// lastSequence is the greatest of an event in the transactions.
func lastSequence(all []transaction) (last int) {
	for _, t := range all {
		for _, s := range t.statements {
			if s.ofOutbox() {
				last = max(last, number(s.params[1]))
			}
		}
	}
	return last
}

// reading is what ends a statement: what it returns, and later ones need, is kept in variables.
func (s statement) reading() string {
	switch {
	case strings.Contains(s.sql, "INSERT INTO sources.source AS s"):
		return ` \gset row_`
	case strings.Contains(s.sql, "UPDATE sources.source s SET") && strings.Contains(s.sql, "RETURNING updated_at"):
		return ` \gset saved_`
	case strings.Contains(s.sql, "WITH there AS ("):
		return ` \gset auth_`
	}
	return ";"
}

// until waits for something that the server does by itself.
func (w *world) until(done func() bool) {
	w.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	late := time.After(time.Minute)
	for !done() {
		select {
		case <-ticker.C:
		case <-late:
			w.Fatal("not done in a minute")
		}
	}
}
