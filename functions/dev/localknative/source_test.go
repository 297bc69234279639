package localknative_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"

	"github.com/insights-onprem/cost-sources/functions/dev/localknative"
	"github.com/insights-onprem/cost-sources/tests/kafka"
)

// The table of answers: how often the function is asked, and whether the event
// becomes a dead letter. The offset is committed in any case.
func TestSourceHeedsAnswers(t *testing.T) {
	t.Parallel()

	const once, again = 1, 3 // of a source with two retries
	tests := []struct {
		answer string
		asked  int
		dead   bool
	}{
		{"200", once, false}, {"201", once, false}, {"202", once, false}, {"204", once, false}, {"299", once, false},
		{"404", again, true}, {"408", again, true}, {"409", again, true}, {"429", again, true},
		{"500", again, true}, {"501", again, true}, {"503", again, true}, {"504", again, true}, {"599", again, true},
		{"broken connection", again, true}, {"timeout", again, true},
		{"301", once, true}, {"302", once, true}, {"304", once, true}, {"307", once, true}, {"308", once, true},
		{"400", once, true}, {"401", once, true}, {"403", once, true}, {"405", once, true}, {"410", once, true},
		{"413", once, true}, {"422", once, true}, {"425", once, true},
	}
	brokers := kafka.Brokers(t)
	for _, tt := range tests {
		t.Run(tt.answer, func(t *testing.T) {
			t.Parallel()

			src := source(t, brokers, 1)
			var asked, dead <-chan delivery
			src.SinkURL, asked = function(t, func(w http.ResponseWriter, r *http.Request, _ delivery) { reply(w, r, tt.answer) })
			src.DeadLetterURL, dead = function(t, answering(202))
			if tt.answer == "timeout" {
				src.Timeout = 50 * time.Millisecond
			}
			produce(t, brokers, src.Topic, events("1")...)
			stop := run(t, src.Run)
			for range tt.asked {
				next(t, asked)
			}
			if tt.dead {
				next(t, dead)
			}
			stop() // commits
			if got := committed(t, brokers, src.Group, src.Topic); got != 1 {
				t.Errorf("committed %d, want 1", got)
			}
			if len(asked) > 0 || len(dead) > 0 {
				t.Errorf("the function is asked %d times more, and there are %d more dead letters", len(asked), len(dead))
			}
		})
	}
}

// reply answers with a status, with a redirect to where all is well, or not at all.
func reply(w http.ResponseWriter, r *http.Request, answer string) {
	var status int
	switch _, err := fmt.Sscan(answer, &status); {
	case answer == "timeout":
		<-r.Context().Done()
	case err != nil:
		panic(http.ErrAbortHandler) // closes the connection
	case status/100 == 3:
		w.Header().Set("Location", "/elsewhere")
		fallthrough
	default:
		w.WriteHeader(status)
	}
}

func TestSourceDeliversAsKnative(t *testing.T) {
	t.Parallel()

	brokers := kafka.Brokers(t)
	src := source(t, brokers, 1)
	var got <-chan delivery
	src.SinkURL, got = function(t, answering(204))
	produce(t, brokers, src.Topic, events("1")...)
	produce(t, brokers, src.Topic, sarama.ProducerMessage{Key: sarama.StringEncoder("org1"), Value: sarama.StringEncoder("plain")})
	run(t, src.Run)

	deliveries := map[string]delivery{}
	for range 2 {
		d := next(t, got)
		deliveries[d.header.Get("Ce-Knativekafkaoffset")] = d
	}
	event, plain := deliveries["0"], deliveries["1"]
	for name, want := range map[string]string{
		"Prefer": "reply", "Kn-Namespace": "cost", "Ce-Id": "1", "Ce-Type": "test.happened", "Ce-Source": "/tests",
		"Ce-Specversion": "1.0", "Content-Type": "application/json", "Ce-Knativekafkapartition": "0",
	} {
		if diff := cmp.Diff([]string{want}, event.header[name]); diff != "" {
			t.Errorf("header %s of an event (-want +got):\n%s", name, diff)
		}
	}
	if event.body != `{"n":1}` {
		t.Errorf("body of an event = %q", event.body)
	}
	for name, want := range map[string]string{
		"Prefer": "reply", "Kn-Namespace": "cost", "Ce-Type": "dev.knative.kafka.event", "Ce-Id": "partition:0/offset:1",
		"Ce-Source": "/apis/v1/namespaces/cost/kafkasources/test#" + src.Topic, "Ce-Key": "org1", "Ce-Partitionkey": "org1",
	} {
		if diff := cmp.Diff([]string{want}, plain.header[name]); diff != "" {
			t.Errorf("header %s of a plain record (-want +got):\n%s", name, diff)
		}
	}
	if at, err := time.Parse(time.RFC3339Nano, plain.header.Get("Ce-Time")); err != nil || time.Since(at) > time.Hour {
		t.Errorf("time of a plain record = %v, %v; want when it was written", at, err)
	}
	if plain.body != "plain" {
		t.Errorf("body of a plain record = %q", plain.body)
	}
}

// What a KafkaSink wrote for an event without data, a null, is an event without data again.
func TestSourceDeliversTombstone(t *testing.T) {
	t.Parallel()

	brokers := kafka.Brokers(t)
	src := source(t, brokers, 1)
	var got <-chan delivery
	src.SinkURL, got = function(t, answering(204))
	if got := post(t, "POST", sink(t, brokers, src.Topic), binary("1"), ""); got != 202 {
		t.Fatalf("POST = %d, want 202", got)
	}
	run(t, src.Run)
	if d := next(t, got); d.id() != "1" || d.body != "" {
		t.Errorf("delivered event %q with body %q, want event 1 without", d.id(), d.body)
	}
}

func TestSourceWaitsBetweenTries(t *testing.T) {
	t.Parallel()

	const delay = 10 * time.Millisecond
	for name, waits := range map[string][]time.Duration{
		"exponential": {2 * delay, 4 * delay, 8 * delay},
		"linear":      {delay, 2 * delay, 3 * delay},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			brokers := kafka.Brokers(t)
			src := source(t, brokers, 1)
			src.Retry, src.BackoffDelay, src.Exponential = len(waits), delay, name == "exponential"
			var got <-chan delivery
			src.SinkURL, got = function(t, answering(503))
			produce(t, brokers, src.Topic, events("1")...)
			run(t, src.Run)
			last := next(t, got).at
			for i, wait := range waits {
				d := next(t, got)
				if d.at.Sub(last) < wait {
					t.Errorf("try %d comes after %v, want %v at least", i+2, d.at.Sub(last), wait)
				}
				last = d.at
			}
		})
	}
}

func TestDeadLetterSaysWhatHappened(t *testing.T) {
	t.Parallel()

	brokers := kafka.Brokers(t)
	long := strings.Repeat("why ", 1000)
	tests := []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request, delivery)
		want   map[string]string // beside the attributes of the event and knativeerrordest
	}{
		{
			"answer with a body",
			func(w http.ResponseWriter, _ *http.Request, _ delivery) {
				w.Header().Set("Kne-Reason", "broken")
				w.Header().Set("Kne-Not-A-Name", "x")
				w.WriteHeader(422)
				_, _ = w.Write([]byte(long))
			},
			map[string]string{"Ce-Knativeerrorcode": "422", "Ce-Reason": "broken",
				"Ce-Knativeerrordata": base64.StdEncoding.EncodeToString([]byte(long[:1024]))},
		},
		{"answer without a body", answering(503), map[string]string{"Ce-Knativeerrorcode": "503"}},
		{"no answer", func(w http.ResponseWriter, r *http.Request, _ delivery) { reply(w, r, "broken connection") }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			src := source(t, brokers, 1)
			src.SinkURL, _ = function(t, tt.answer)
			dead := kafka.Topic(t, brokers, "dead", 1)
			src.DeadLetterURL = sink(t, brokers, dead)
			produce(t, brokers, src.Topic, events("1")...)
			run(t, src.Run)

			got := map[string]string{}
			letter := records(t, brokers, dead, 1)[0]
			for _, h := range letter.Headers {
				name := strings.Replace(string(h.Key), "ce_", "ce-", 1)
				got[http.CanonicalHeaderKey(name)] = string(h.Value)
			}
			want := map[string]string{
				"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/tests", "Ce-Type": "test.happened", "Content-Type": "application/json",
				"Ce-Knativekafkapartition": "0", "Ce-Knativekafkaoffset": "0", "Ce-Knativeerrordest": src.SinkURL,
			}
			for name, value := range tt.want {
				want[name] = value
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("attributes (-want +got):\n%s", diff)
			}
			if string(letter.Value) != `{"n":1}` {
				t.Errorf("data = %s, want that of the event", letter.Value)
			}
		})
	}
}

// An event that nobody takes is lost and does not hold up the next, as in Knative.
func TestSourceGoesOnAfterALoss(t *testing.T) {
	t.Parallel()

	tests := []struct {
		name   string
		answer int // of the dead letter sink; 0 for none
		asked  int
	}{
		{"no dead letter sink", 0, 0},
		{"dead letter sink refuses", 400, 1},
		{"dead letter sink is away", 503, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			brokers := kafka.Brokers(t)
			src := source(t, brokers, 1)
			src.SinkURL, _ = function(t, func(w http.ResponseWriter, _ *http.Request, d delivery) {
				w.WriteHeader(map[string]int{"1": 422, "2": 204}[d.id()])
			})
			var dead <-chan delivery
			if tt.answer != 0 {
				src.DeadLetterURL, dead = function(t, answering(tt.answer))
			}
			produce(t, brokers, src.Topic, events("1", "2")...)
			run(t, src.Run)
			awaitCommitted(t, brokers, src.Group, src.Topic, 2)
			if len(dead) != tt.asked {
				t.Errorf("the dead letter sink is asked %d times, want %d", len(dead), tt.asked)
			}
		})
	}
}

// Whatever is done after the first unfinished record is delivered again, and
// nothing before it.
func TestSourceResumesAtFirstUnfinished(t *testing.T) {
	t.Parallel()

	stuck := map[string]func(w http.ResponseWriter, r *http.Request){
		"waits for its retry": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
		"hangs":               func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	}
	for name, answer := range stuck {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			brokers := kafka.Brokers(t)
			src := source(t, brokers, 1)
			src.BackoffDelay = time.Hour
			var first <-chan delivery
			src.SinkURL, first = function(t, func(w http.ResponseWriter, r *http.Request, d delivery) {
				if d.id() == "2" {
					answer(w, r)
					return
				}
				w.WriteHeader(204)
			})
			produce(t, brokers, src.Topic, events("1", "2", "3", "4", "5")...)
			stop := run(t, src.Run)
			if got := ids(t, first, 5); !slices.Equal(got, []string{"1", "2", "3", "4", "5"}) {
				t.Errorf("first delivered %v, want all", got)
			}
			stop()
			if got := committed(t, brokers, src.Group, src.Topic); got != 1 {
				t.Errorf("committed %d, want 1: the second record is unfinished", got)
			}

			var second <-chan delivery
			src.SinkURL, second = function(t, answering(204))
			run(t, src.Run)
			if got := ids(t, second, 4); !slices.Equal(got, []string{"2", "3", "4", "5"}) {
				t.Errorf("then delivered %v, want from the second on", got)
			}
			awaitCommitted(t, brokers, src.Group, src.Topic, 5)
		})
	}
}

// ids returns the sorted ids of the next n deliveries.
func ids(t *testing.T, got <-chan delivery, n int) []string {
	t.Helper()
	var ids []string
	for range n {
		ids = append(ids, next(t, got).id())
	}
	slices.Sort(ids)
	return ids
}

// A request that ends after ctx of Run, but soon, counts.
func TestSourceLetsRequestsFinish(t *testing.T) {
	t.Parallel()

	brokers := kafka.Brokers(t)
	src := source(t, brokers, 1)
	finish := make(chan struct{})
	var got <-chan delivery
	src.SinkURL, got = function(t, func(w http.ResponseWriter, _ *http.Request, _ delivery) {
		<-finish
		w.WriteHeader(204)
	})
	produce(t, brokers, src.Topic, events("1")...)
	stop := run(t, src.Run)
	next(t, got)
	time.AfterFunc(100*time.Millisecond, func() { close(finish) })
	stop()
	if got := committed(t, brokers, src.Group, src.Topic); got != 1 {
		t.Errorf("committed %d, want 1: the request had time to finish", got)
	}
}

func TestSourceHasFiftyUnderWay(t *testing.T) {
	t.Parallel()

	const limit, more = 50, 20
	brokers := kafka.Brokers(t)
	src := source(t, brokers, 2)
	free := make(chan struct{})
	var underWay, most atomic.Int32
	var got <-chan delivery
	src.SinkURL, got = function(t, func(w http.ResponseWriter, _ *http.Request, _ delivery) {
		now := underWay.Add(1)
		for was := most.Load(); now > was && !most.CompareAndSwap(was, now); was = most.Load() {
		}
		<-free
		underWay.Add(-1)
		w.WriteHeader(204)
	})
	for i, record := range events(slices.Repeat([]string{"1"}, limit+more)...) {
		record.Partition = int32(i % 2)
		produce(t, brokers, src.Topic, record)
	}
	run(t, src.Run)
	await(t, "fifty requests", func() bool { return underWay.Load() == limit })
	close(free)
	for range limit + more {
		next(t, got)
	}
	if most.Load() != limit {
		t.Errorf("%d requests were under way at once, want %d", most.Load(), limit)
	}
}

// When a partition goes to another member of the group, what its old owner has
// not finished is delivered again.
func TestSourceLeavesUnfinishedToNextMember(t *testing.T) {
	t.Parallel()

	const partitions = 4
	brokers := kafka.Brokers(t)
	src := source(t, brokers, partitions)
	var tries atomic.Int32
	var got <-chan delivery
	src.SinkURL, got = function(t, func(w http.ResponseWriter, r *http.Request, _ delivery) {
		if tries.Add(1) <= partitions {
			<-r.Context().Done()
			return
		}
		w.WriteHeader(204)
	})
	var want []string
	for partition := range int32(partitions) {
		record := events(fmt.Sprint(partition))[0]
		record.Partition = partition
		produce(t, brokers, src.Topic, record)
		want = append(want, fmt.Sprint(partition))
	}
	run(t, src.Run)
	if got := ids(t, got, partitions); !slices.Equal(got, want) {
		t.Errorf("first delivered %v, want %v", got, want)
	}
	run(t, src.Run) // a second member
	if got := ids(t, got, partitions); !slices.Equal(got, want) {
		t.Errorf("then delivered %v, want all of %v again", got, want)
	}
	awaitCommitted(t, brokers, src.Group, src.Topic, 1)
}

func TestSourceOutlivesKafka(t *testing.T) {
	t.Parallel()

	broker := kafka.Alone(t)
	src := source(t, broker.Addrs(), 1)
	var got <-chan delivery
	src.SinkURL, got = function(t, answering(204))
	produce(t, broker.Addrs(), src.Topic, events("1")...)
	broker.Kill()
	run(t, src.Run) // with Kafka away from the beginning
	broker.Start()
	if d := next(t, got); d.id() != "1" {
		t.Errorf("delivered %s first, want 1", d.id())
	}
	awaitCommitted(t, broker.Addrs(), src.Group, src.Topic, 1)

	broker.Kill()
	broker.Start()
	produce(t, broker.Addrs(), src.Topic, events("2")...)
	for next(t, got).id() != "2" { // 1 may come again
	}
	awaitCommitted(t, broker.Addrs(), src.Group, src.Topic, 2)
}

// Run ends though there is nobody to take leave of.
func TestSourceEndsWithKafkaAway(t *testing.T) {
	t.Parallel()

	broker := kafka.Alone(t)
	src := source(t, broker.Addrs(), 1)
	var got <-chan delivery
	src.SinkURL, got = function(t, answering(204))
	produce(t, broker.Addrs(), src.Topic, events("1")...)
	stop := run(t, src.Run)
	next(t, got)
	broker.Kill()
	stop()
}

func TestSourceRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()

	valid := localknative.Source{
		Brokers: []string{"localhost:9092"}, Topic: "events", Group: "group", Namespace: "cost", Name: "test", SinkURL: "http://localhost/",
	}
	for name, edit := range map[string]func(*localknative.Source){
		"no brokers":                  func(s *localknative.Source) { s.Brokers = nil },
		"no topic":                    func(s *localknative.Source) { s.Topic = "" },
		"no group":                    func(s *localknative.Source) { s.Group = "" },
		"no namespace":                func(s *localknative.Source) { s.Namespace = "" },
		"no name":                     func(s *localknative.Source) { s.Name = "" },
		"name that no URI holds":      func(s *localknative.Source) { s.Name = "%zz" },
		"no sink":                     func(s *localknative.Source) { s.SinkURL = "" },
		"relative sink":               func(s *localknative.Source) { s.SinkURL = "/function" },
		"dead letter sink is no URL":  func(s *localknative.Source) { s.DeadLetterURL = "http://a b" },
		"dead letter sink without //": func(s *localknative.Source) { s.DeadLetterURL = "sink" },
	} {
		src := valid
		edit(&src)
		if err := src.Run(t.Context()); err == nil {
			t.Errorf("%s: Run = nil, want an error", name)
		}
	}
}
