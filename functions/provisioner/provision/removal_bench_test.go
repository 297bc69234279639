package provision_test

import (
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/insights-onprem/cost-sources/shared/events"
	"github.com/insights-onprem/cost-sources/shared/sources"
)

// BenchmarkRemoval removes a provider to which ROWS rows refer (a million): half of them in a table with an index for
// it, half in one that has to be read from end to end, beside a tenth as many of another provider. It reports how long
// that takes as a multiple of two bare DELETEs of equal rows, and how many events it took.
func BenchmarkRemoval(b *testing.B) {
	rows := 1_000_000
	if text := os.Getenv("ROWS"); text != "" {
		var err error
		if rows, err = strconv.Atoi(text); err != nil {
			b.Fatalf("ROWS: %v", err)
		}
	}
	for b.Loop() {
		f := setup(b)
		stays, goes := f.provided(f.add("org1", "c1")), f.provided(f.add("org1", "c2"))
		f.shape("org1")
		f.fillTwice(stays, rows/20)
		f.fillTwice(goes, rows/2)
		bare := f.timed(func() {
			f.execute(`DELETE FROM bare.indexed WHERE source_uuid = '` + goes.UUID + `'`)
			f.execute(`DELETE FROM bare.unindexed WHERE source_uuid = '` + goes.UUID + `'`)
		})
		goes = f.change(goes, func(s *sources.Source) { s.MarkDeleted(time.Now()) })
		sent := 0
		removal := f.timed(func() {
			for status := 0; status != http.StatusNoContent; sent++ {
				if status = f.send(events.SourceDeleted, goes); status != http.StatusNoContent && status != http.StatusServiceUnavailable {
					b.Fatalf("the event is answered %d", status)
				}
			}
		})
		b.ReportMetric(removal.Seconds()/bare.Seconds(), "times-a-bare-DELETE")
		b.ReportMetric(float64(sent), "events")
	}
}

// fillTwice makes rows of src in two tables of its tenant, and the same in copies that nothing refers to.
func (f fixture) fillTwice(src sources.Source, rows int) {
	f.Helper()
	schema := "org" + src.OrgID
	f.execute(`CREATE SCHEMA IF NOT EXISTS bare;
		CREATE TABLE IF NOT EXISTS bare.indexed (LIKE ` + schema + `.indexed INCLUDING ALL);
		CREATE TABLE IF NOT EXISTS bare.unindexed (LIKE ` + schema + `.reporting_ocpusagelineitem_daily_summary INCLUDING ALL)`)
	for table, columns := range map[string]string{
		schema + ".indexed": "(source_uuid) SELECT", "bare.indexed": "(source_uuid) SELECT",
		schema + ".reporting_ocpusagelineitem_daily_summary": "(usage_start, usage_end, uuid, source_uuid) SELECT '2026-11-05', '2026-11-05', gen_random_uuid(),",
		"bare.unindexed": "(usage_start, usage_end, uuid, source_uuid) SELECT '2026-11-05', '2026-11-05', gen_random_uuid(),",
	} {
		f.execute(`INSERT INTO ` + table + columns + ` '` + src.UUID + `' FROM generate_series(1, ` + strconv.Itoa(rows) + `)`)
	}
}

func (f fixture) execute(sql string) {
	f.Helper()
	if _, err := f.sql.Exec(f.Context(), sql); err != nil {
		f.Fatalf("%s: %v", sql, err)
	}
}

func (f fixture) timed(do func()) time.Duration {
	begun := time.Now()
	do()
	return time.Since(begun)
}
