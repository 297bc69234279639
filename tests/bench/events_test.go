package bench_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/functions/dev/localknative"
	"github.com/insights-onprem/cost-sources/shared/httpapi"
	"github.com/insights-onprem/cost-sources/shared/httpapi/apitest"
	"github.com/insights-onprem/cost-sources/tests/kafka"
)

// A topic is one that a KafkaSink writes to, and that is read from its end.
type topic struct {
	world   *world
	name    string
	brokers []string
	sink    string // where the KafkaSink takes events

	mu      sync.Mutex
	arrived map[string]time.Time // the first record of a key
	records []*sarama.ConsumerMessage
	more    chan struct{}
}

// newTopic makes a topic and reads it until the world ends.
func (w *world) newTopic() *topic {
	w.Helper()
	brokers := kafka.Brokers(w)
	t := &topic{world: w, name: kafka.Topic(w, brokers, "bench", 3), brokers: brokers, arrived: map[string]time.Time{}, more: make(chan struct{}, 1)}
	sink, err := localknative.NewSink(t.brokers, t.name)
	if err != nil {
		w.Fatal(err)
	}
	t.sink = w.serve(sink)
	w.Cleanup(func() { _ = sink.Close() }) // nothing is under way
	consumer, err := sarama.NewConsumer(t.brokers, nil)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = consumer.Close() })
	for p := range int32(3) {
		part, err := consumer.ConsumePartition(t.name, p, sarama.OffsetOldest)
		if err != nil {
			w.Fatal(err)
		}
		w.Cleanup(part.AsyncClose)
		go t.read(part)
	}
	return t
}

func (t *topic) read(part sarama.PartitionConsumer) {
	for record := range part.Messages() {
		now := time.Now()
		t.mu.Lock()
		if key := string(record.Key); t.arrived[key].IsZero() {
			t.arrived[key] = now
		}
		t.records = append(t.records, record)
		t.mu.Unlock()
		select {
		case t.more <- struct{}{}:
		default:
		}
	}
}

// await waits until so many records have arrived.
func (t *topic) await(n int) {
	t.world.Helper()
	late := time.After(5 * time.Minute)
	for t.count() < n {
		select {
		case <-t.more:
		case <-late:
			t.world.Fatalf("%d of %d records have arrived", t.count(), n)
		}
	}
}

func (t *topic) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.records)
}

// events measures the way from the commit to Kafka.
func (w *world) events() {
	t := w.newTopic()
	api := w.serving("sources", main, "K_SINK="+t.sink)
	produce, stop := t.producer()
	defer stop()
	post := w.load(api.url, http.StatusCreated, func(int64) []byte {
		return request(http.MethodPost, httpapi.Prefix+"/sources", apitest.Header("listedother"), newSource(token()))
	})
	post.times(1, 10) // connects all that is to be connected
	t.await(20)
	n := min(w.settings.events, 500)
	before := t.count()
	post.times(1, n)
	t.await(before + 2*n)
	w.add("commit to the record in Kafka, p50", median(w.sinceCommit(t, n)), "ms", "the producer", median(t.alone(produce, n)), "< 10 ms")

	var busy float64
	r := row{Figure: fmt.Sprintf("events, %d registrations at once", atOnce), Unit: "/s", Beside: fmt.Sprintf("the producer, %d at once", atOnce)}
	w.inTurns(r, func() float64 {
		before, begun := t.count(), time.Now()
		post.times(atOnce, w.settings.events)
		t.await(before + 2*w.settings.events)
		busy = float64(2*w.settings.events) / time.Since(begun).Seconds()
		return busy
	}, func() float64 { return t.produceAtOnce(produce, atOnce, 2*w.settings.events) })
	w.add("sources: memory after the load", w.memory(api), "MB", "", 0, "")
	w.quiet(main)
}

// sinceCommit is how many milliseconds the first event of each of the last n sources took from its commit to a consumer.
func (w *world) sinceCommit(t *topic, n int) (each []float64) {
	w.Helper()
	rows, _ := w.sql[main].Query(w.Context(), `
		SELECT id, pg_xact_commit_timestamp(xmin) FROM sources.source WHERE id >= 2000000000 ORDER BY id DESC LIMIT $1`, n) // its error comes out of ForEachRow
	var id int64
	var committed time.Time
	_, err := pgx.ForEachRow(rows, []any{&id, &committed}, func() error {
		t.mu.Lock()
		defer t.mu.Unlock()
		at := t.arrived[strconv.FormatInt(id, 10)]
		if at.IsZero() {
			return fmt.Errorf("no event of source %d has arrived", id)
		}
		each = append(each, milliseconds(at.Sub(committed)))
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
	return each
}

// producer is the plain one, which waits for all replicas: it sends a record like one that has arrived, under a key.
func (t *topic) producer() (produce func(key string) error, stop func()) {
	t.world.Helper()
	config := sarama.NewConfig()
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	config.Producer.Return.Successes = true
	p, err := sarama.NewSyncProducer(t.brokers, config)
	if err != nil {
		t.world.Fatal(err)
	}
	return func(key string) error {
		t.mu.Lock()
		like := t.records[0]
		t.mu.Unlock()
		message := &sarama.ProducerMessage{Topic: t.name, Key: sarama.StringEncoder(key), Value: sarama.ByteEncoder(like.Value)}
		for _, h := range like.Headers {
			message.Headers = append(message.Headers, *h)
		}
		_, _, err := p.SendMessage(message)
		return err
	}, func() { _ = p.Close() } // all has been acknowledged
}

// alone is how many milliseconds n records took from the producer to a consumer, one after the other.
func (t *topic) alone(produce func(string) error, n int) (each []float64) {
	t.world.Helper()
	for range n {
		key := "alone " + strconv.FormatUint(rand.Uint64(), 36)
		before, begun := t.count(), time.Now()
		if err := produce(key); err != nil {
			t.world.Fatal(err)
		}
		t.await(before + 1)
		t.mu.Lock()
		each = append(each, milliseconds(t.arrived[key].Sub(begun)))
		t.mu.Unlock()
	}
	return each
}

// produceAtOnce is how many records a second so many senders produce, until the last has arrived.
func (t *topic) produceAtOnce(produce func(string) error, senders, n int) float64 {
	t.world.Helper()
	before, begun := t.count(), time.Now()
	var group sync.WaitGroup
	for i := range senders {
		group.Go(func() {
			for j := i; j < n; j += senders {
				if err := produce(strconv.Itoa(j)); err != nil {
					t.world.Error(err)
				}
			}
		})
	}
	group.Wait()
	t.await(before + n)
	return float64(n) / time.Since(begun).Seconds()
}

// A way is a KafkaSource to a path of a function, where it is told of each event that is done.
type way struct {
	mu   sync.Mutex
	done map[string]chan struct{} // by subject
}

func (y *way) of(subject string) chan struct{} {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.done[subject] == nil {
		y.done[subject] = make(chan struct{})
	}
	return y.done[subject]
}

func (y *way) tell(subject string) {
	done := y.of(subject)
	y.mu.Lock()
	defer y.mu.Unlock()
	select {
	case <-done:
	default:
		close(done)
	}
}

// deliver has a KafkaSource deliver a topic to a function until the world ends.
func (w *world) deliver(t *topic, function running, path string) *way {
	w.Helper()
	y := &way{done: map[string]chan struct{}{}}
	client := &http.Client{Timeout: 3 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	between := w.serve(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		onward, err := http.NewRequestWithContext(r.Context(), r.Method, function.url+path, r.Body)
		if err == nil {
			onward.Header, onward.ContentLength = r.Header, r.ContentLength
			var response *http.Response
			if response, err = client.Do(onward); err == nil {
				response.Body.Close()
				if response.StatusCode == http.StatusNoContent {
					y.tell(r.Header.Get("Ce-Subject"))
				}
				rw.WriteHeader(response.StatusCode)
				return
			}
		}
		rw.WriteHeader(http.StatusServiceUnavailable)
	}))
	source := localknative.Source{Brokers: t.brokers, Topic: t.name, Group: t.name + path, Namespace: "bench", Name: "bench",
		SinkURL: between, Retry: 10, Timeout: 2 * time.Minute}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- source.Run(ctx) }()
	w.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.Error(err)
		}
	})
	return y
}
