package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// observe has the use of a pool told whenever metrics are collected, for as long as the process lives.
func observe(pool *pgxpool.Pool, name string) {
	meter := otel.Meter("github.com/insights-onprem/cost-sources/shared/store")
	count, err1 := meter.Int64ObservableUpDownCounter("db.client.connection.count", metric.WithUnit("{connection}"),
		metric.WithDescription("Connections of the pool, by state: idle or used."))
	most, err2 := meter.Int64ObservableUpDownCounter("db.client.connection.max", metric.WithUnit("{connection}"),
		metric.WithDescription("Connections that the pool may have."))
	timeouts, err3 := meter.Int64ObservableCounter("db.client.connection.timeouts", metric.WithUnit("{timeout}"),
		metric.WithDescription("Times that somebody gave up waiting for a connection of the pool."))
	of := semconv.DBClientConnectionPoolName(name)
	_, err4 := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		stat := pool.Stat()
		o.ObserveInt64(count, int64(stat.AcquiredConns()), metric.WithAttributes(of, semconv.DBClientConnectionStateUsed))
		o.ObserveInt64(count, int64(stat.IdleConns()), metric.WithAttributes(of, semconv.DBClientConnectionStateIdle))
		o.ObserveInt64(most, int64(stat.MaxConns()), metric.WithAttributes(of))
		o.ObserveInt64(timeouts, stat.CanceledAcquireCount(), metric.WithAttributes(of))
		return nil
	}, count, most, timeouts)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		otel.Handle(err)
	}
}
