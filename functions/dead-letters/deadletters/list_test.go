package deadletters_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/IBM/sarama"

	"github.com/insights-onprem/cost-sources/functions/dead-letters/deadletters"
)

// TestList: letters of two functions, and one that nobody knows the origin of.
func TestList(t *testing.T) {
	t.Parallel()

	w := setup(t)
	out, _, err := w.run("list", "-v")
	w.want("an empty topic", "no dead letters\n", "", out, err)

	living, failed, healed := w.addSource("c1"), w.addSource("c2"), w.addSource("c3")
	_, err = w.sql.Exec(t.Context(), `UPDATE sources.source SET observed_generation = CASE id WHEN $1 THEN generation ELSE 0 END,
		state = CASE id WHEN $2 THEN 'failed' ELSE state END`, healed.ID, failed.ID)
	if err != nil || living.ID != 1 {
		t.Fatal(living.ID, err)
	}
	w.post(hint("a", "sources/1", `{"source_id":1}`), hint("b", "sources/2", `{"source_id":2}`),
		hint("c", "sources/3", `{"source_id":3}`), hint("d", "sources/9", `{"source_id":9}`), hint("e", "", "no JSON"))
	w.bury(5, "provisioner", answering(422, "not \x1b[31mtoday\nnor tomorrow"))
	w.bury(3, "ros-cleanup", func(rw http.ResponseWriter, r *http.Request) {
		if id := r.Header.Get("Ce-Id"); id > "c" {
			rw.WriteHeader(204)
			return
		}
		rw.WriteHeader(503)
	})
	w.bury(5, "ros-cleanup-2", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	w.write(sarama.ProducerMessage{Value: sarama.StringEncoder("plain")},
		deadRecord("a", "no JSON", "ce_knativeerrordest", "http://provisioner.cost.svc/", "ce_knativeerrorcode", "422"))

	const reasons = `LETTERS  EVENTS  FIRST  LAST   REASON
5        5       TIME   TIME   provisioner 422 "not \x1b[31mtoday\nnor tomorrow"
5        5       TIME   TIME   ros-cleanup-2 no answer
3        3       TIME   TIME   ros-cleanup 503
1        0       TIME   TIME   not a CloudEvent
1        1       TIME   TIME   provisioner.cost.svc 422
`
	out, _, err = w.run("list")
	w.want("all", reasons, "", squeeze(out), err)
	out, _, err = w.run("list", "-v", "-reason", "provisioner 4")
	w.want("with each letter", `P  a  source.update  sources/1  TIME  redriven 0  behind  provisioner 422 "not \x1b[31mtoday\nnor tomorrow"
P  b  source.update  sources/2  TIME  redriven 0  failed  provisioner 422 "not \x1b[31mtoday\nnor tomorrow"
P  c  source.update  sources/3  TIME  redriven 0  healed  provisioner 422 "not \x1b[31mtoday\nnor tomorrow"
P  d  source.update  sources/9  TIME  redriven 0  unknown  provisioner 422 "not \x1b[31mtoday\nnor tomorrow"
P  e  source.update  -  TIME  redriven 0  unknown  provisioner 422 "not \x1b[31mtoday\nnor tomorrow"
LETTERS  EVENTS  FIRST  LAST   REASON
5        5       TIME   TIME   provisioner 422 "not \x1b[31mtoday\nnor tomorrow"
`, "", squeeze(sortLetters(out)), err)
	out, _, err = w.run("list", "-id", "d", "-id", "nobody")
	w.want("by id", `P  d  source.update  sources/9  TIME  redriven 0  unknown  provisioner 422 "not \x1b[31mtoday\nnor tomorrow"
P  d  source.update  sources/9  TIME  redriven 0  unknown  ros-cleanup-2 no answer
LETTERS  EVENTS  FIRST  LAST   REASON
1        1       TIME   TIME   provisioner 422 "not \x1b[31mtoday\nnor tomorrow"
1        1       TIME   TIME   ros-cleanup-2 no answer
`, `no dead letter holds ["nobody"]`, squeeze(sortLetters(out)), err)
	out, _, err = w.run("list", "-v", "-reason", "not a Cloud")
	w.want("no event", "P  not a CloudEvent\nLETTERS  EVENTS  FIRST  LAST   REASON\n1        0       TIME   TIME   not a CloudEvent\n",
		"", squeeze(out), err)
	if n := w.count("sources.redrive"); n != 0 {
		t.Errorf("looking has counted %d redrives", n)
	}
}

// TestReason: what a reason holds is written by anybody, and shown on one line that does nothing.
func TestReason(t *testing.T) {
	t.Parallel()

	long := strings.Repeat("é", deadletters.MaxShown+1)
	encoded := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	for _, tt := range []struct{ name, dest, code, data, want string }{
		{"nothing", "", "", "", "- no answer"},
		{"path", "http://host:80/functions/provisioner/?a=b", "503", "", "provisioner 503"},
		{"host", "http://provisioner.cost.svc", "422", encoded(" \n"), "provisioner.cost.svc 422"},
		{"no URL", "%zz", "422", encoded("why"), `%zz 422 "why"`},
		{"no base64", "http://h/f", "422", "plain text", `f 422 "plain text"`},
		{"long", "http://h/f", "422", encoded(long), `f 422 "` + strings.TrimSuffix(long, "é") + `…"`},
		{"cut within a character", "http://h/f", "422", encoded("\xc3"), `f 422 "\xc3"`},
		{"turned round", "http://h/f", "422", encoded("\u202egnp"), `f 422 "\u202egnp"`},
		{"odd code", "http://h/f", "4 2", "", `f "4 2"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			record := deadRecord("1", "{}")
			for name, value := range map[string]string{"dest": tt.dest, "code": tt.code, "data": tt.data} {
				if value != "" {
					record.Headers = append(record.Headers, sarama.RecordHeader{Key: []byte("ce_knativeerror" + name), Value: []byte(value)})
				}
			}
			if _, got := deadletters.ReadLetter(consumed(record)); got != tt.want {
				t.Errorf("reason = %s, want %s", got, tt.want)
			}
		})
	}
}

// TestManyReasons: who writes a reason of its own into each letter does not fill the screen, nor the memory.
func TestManyReasons(t *testing.T) {
	t.Parallel()

	w := setup(t)
	var records []sarama.ProducerMessage
	for i := range deadletters.MaxReasons + 5 {
		records = append(records, deadRecord("a", "{}", "ce_knativeerrorcode", fmt.Sprint(i)))
	}
	w.write(records...)
	out, _, err := w.run("list")
	if err != nil || strings.Count(out, "\n") != 1+deadletters.MaxReasons+1 || !strings.Contains(out, "\n5        1       ") || !strings.Contains(out, "other reasons\n") {
		t.Errorf("%v, %d lines, beginning with\n%.300s", err, strings.Count(out, "\n"), out)
	}
}
