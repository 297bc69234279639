//go:build e2e

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/insights-onprem/cost-sources/functions/ros-cleanup/cleanup/rostest"
	"github.com/insights-onprem/cost-sources/migrations"
	"github.com/insights-onprem/cost-sources/shared/store/storetest"
	"github.com/insights-onprem/cost-sources/tests/kafka"
)

// engines are what the functions stand on, at addresses that pods reach.
type engines struct {
	databaseURL, rosURL string
	logins              map[string]string // each function's own address of the database; none in one of somebody else's
	brokers             []string
	issuer              *issuer
	kruize              rostest.Kruize
	kruizeURL           string
	stops               []func() error // in the order of the starts
}

// startEngines starts what the environment does not name at host, an address of this machine that pods reach.
func startEngines(ctx context.Context, host string) (*engines, error) {
	e := &engines{databaseURL: os.Getenv("DATABASE_URL"), rosURL: os.Getenv("ROS_DATABASE_URL")}
	if brokers := os.Getenv("KAFKA_BROKERS"); brokers != "" {
		e.brokers = strings.Split(brokers, ",")
	}
	for _, start := range []func(context.Context, string) error{e.startDatabases, e.startKafka, e.startServers} {
		if err := start(ctx, host); err != nil {
			return nil, errors.Join(err, e.stop())
		}
	}
	return e, nil
}

func (e *engines) startDatabases(ctx context.Context, host string) error {
	if e.databaseURL == "" || e.rosURL == "" {
		server, err := storetest.Start(ctx, storetest.ServerConfig{Host: host, Parameters: map[string]string{
			"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_connections": "200",
		}})
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
		if err := e.makeLogins(ctx); err != nil {
			return err
		}
	}
	return rostest.Load(ctx, e.rosURL)
}

// makeLogins makes what an operator makes before the first deployment: a role for each function that can log in.
func (e *engines) makeLogins(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, e.databaseURL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	e.logins = map[string]string{}
	for _, function := range append([]string{"interop"}, functions...) {
		if _, err := conn.Exec(ctx, "CREATE ROLE "+migrations.Role(function)+" LOGIN"); err != nil {
			return err
		}
		u, err := url.Parse(e.databaseURL)
		if err != nil {
			return err
		}
		u.User = url.User(migrations.Role(function))
		e.logins[function] = u.String()
	}
	return nil
}

func (e *engines) startKafka(ctx context.Context, host string) error {
	if len(e.brokers) > 0 {
		return nil
	}
	cluster, err := kafka.NewClusterAt(ctx, host, 1)
	if err != nil {
		return err
	}
	e.stops = append(e.stops, func() error {
		cluster.Close()
		return nil
	})
	e.brokers = cluster.Addrs()
	return nil
}

// startServers serves Kruize and the issuer of tokens from this process.
func (e *engines) startServers(_ context.Context, host string) (err error) {
	if e.issuer, err = newIssuer(); err != nil {
		return err
	}
	if e.issuer.url, err = e.serve(host, e.issuer); err != nil {
		return err
	}
	e.kruizeURL, err = e.serve(host, &e.kruize)
	return err
}

func (e *engines) serve(host string, h http.Handler) (url string, err error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", fmt.Errorf("E2E_HOST has to be an address of this machine that pods reach: %w", err)
	}
	server := &http.Server{Handler: h}
	e.stops = append(e.stops, server.Close)
	go func() { _ = server.Serve(listener) }() // until it is closed
	return "http://" + listener.Addr().String(), nil
}

func (e *engines) stop() (err error) {
	for i := len(e.stops) - 1; i >= 0; i-- {
		err = errors.Join(err, e.stops[i]())
	}
	return err
}
