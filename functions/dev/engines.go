package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/insights-onprem/cost-sources/functions/dev/localknative"
	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup/rostest"
	"github.com/insights-onprem/cost-sources/migrations"
	"github.com/insights-onprem/cost-sources/shared/store"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
)

// engines are what the functions stand on.
type engines struct {
	databaseURL, rosURL string
	roles               bool // the functions have roles of their own
	brokers             []string
	stops               []func() error // in the order of the starts
}

// deadTopic is where dead letters go.
func (cfg config) deadTopic() string { return cfg.Topic + ".dead" }

// startEngines starts what the configuration does not name, or finds that it is there, and makes the
// tables and topics.
func startEngines(ctx context.Context, cfg config) (_ *engines, err error) {
	e := &engines{}
	defer func() {
		if err != nil {
			e.stop()
		}
	}()
	if err := e.lock(cfg); err != nil {
		return nil, err
	}
	if err := e.startDatabases(ctx, cfg); err != nil {
		return nil, err
	}
	if err := e.startKafka(cfg); err != nil {
		return nil, err
	}
	if err := e.migrate(ctx); err != nil {
		return nil, err
	}
	if err := rostest.Load(ctx, e.rosURL); err != nil {
		return nil, fmt.Errorf("ROS_DATABASE_URL: %w", err)
	}
	if err := localknative.Topics(ctx, e.brokers, map[string]int32{cfg.Topic: 3, cfg.deadTopic(): 1}); err != nil {
		return nil, fmt.Errorf("KAFKA_BROKERS: %w", err)
	}
	return e, nil
}

// migrate makes the tables, and the roles that the functions have when they are deployed. On a server of somebody
// else's that may not be allowed; then all act as whoever DATABASE_URL names.
func (e *engines) migrate(ctx context.Context) error {
	if err := migrations.Public(ctx, e.databaseURL); err != nil {
		return err
	}
	err := migrations.Roles(ctx, e.databaseURL)
	if errors.Is(err, migrations.ErrNoRoles) {
		slog.WarnContext(ctx, "all functions have the same rights", "err", err)
		return nil
	}
	e.roles = err == nil
	return err
}

// database is where a function finds its tables, and as whom.
func (e *engines) database(function string) store.Config {
	cfg := store.Config{DatabaseURL: e.databaseURL, MaxConns: maxConns, Pool: function}
	if e.roles {
		cfg.Role = migrations.Role(function)
	}
	return cfg
}

// stop ends what was started, the last first.
func (e *engines) stop() {
	for len(e.stops) > 0 {
		last := len(e.stops) - 1
		if err := e.stops[last](); err != nil {
			slog.Error("engine did not stop in order", "err", err)
		}
		e.stops = e.stops[:last]
	}
}

// lock keeps a second process out of the data folder, however the first one ends.
func (e *engines) lock(cfg config) error {
	if err := os.MkdirAll(cfg.DataDir, 0o755); err != nil {
		return fmt.Errorf("DATA_DIR: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(cfg.DataDir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("DATA_DIR: %w", err)
	}
	e.stops = append(e.stops, file.Close)
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("DATA_DIR: another process uses %s", cfg.DataDir)
	}
	return nil
}

func (e *engines) startDatabases(ctx context.Context, cfg config) error {
	if cfg.DatabaseURL != "" {
		return e.useDatabases(ctx, cfg)
	}
	server, err := storetest.Start(ctx, storetest.ServerConfig{DataDir: filepath.Join(cfg.DataDir, "postgres")})
	if err != nil {
		return err
	}
	e.stops = append(e.stops, server.Stop)
	for _, name := range []string{"cost", "ros"} {
		if err := server.CreateDatabase(ctx, name); err != nil {
			return err
		}
	}
	e.databaseURL, e.rosURL = server.URL("cost"), server.URL("ros")
	if cfg.ROSDatabaseURL != "" {
		e.rosURL = cfg.ROSDatabaseURL
	}
	return nil
}

// useDatabases takes a server that exists. Where ROS has no database of its own there, it gets one beside
// the other, with _ros after the name.
func (e *engines) useDatabases(ctx context.Context, cfg config) error {
	e.databaseURL, e.rosURL = cfg.DatabaseURL, cfg.ROSDatabaseURL
	conn, err := pgx.Connect(ctx, cfg.DatabaseURL)
	if err != nil {
		return fmt.Errorf("DATABASE_URL: %w", err)
	}
	defer conn.Close(ctx)
	if e.rosURL != "" {
		return nil
	}
	u, err := url.Parse(cfg.DatabaseURL)
	if err != nil || u.Scheme == "" {
		return errors.New("ROS_DATABASE_URL: needed where DATABASE_URL is not a URL")
	}
	u.Path += "_ros"
	e.rosURL = u.String()
	_, err = conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{u.Path[1:]}.Sanitize())
	if pg, ok := errors.AsType[*pgconn.PgError](err); err != nil && !(ok && pg.Code == "42P04") { // it is there
		return fmt.Errorf("ROS_DATABASE_URL: needed, as none can be made: %w", err)
	}
	return nil
}

func (e *engines) startKafka(cfg config) error {
	if len(cfg.Brokers) > 0 {
		e.brokers = cfg.Brokers
		return nil
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(filepath.Join(cfg.DataDir, "kafka")))
	if err != nil {
		return fmt.Errorf("start the Kafka broker: %w", err)
	}
	e.stops = append(e.stops, func() error { cluster.Close(); return nil })
	e.brokers = cluster.ListenAddrs()
	return nil
}
