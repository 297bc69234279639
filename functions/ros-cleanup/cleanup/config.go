package cleanup

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/insights-onprem/cost-sources/shared/store"
)

// Config says where the registry, ROS and Kruize are.
type Config struct {
	Database store.Config // of the registry

	ROSDatabaseURL string        `envconfig:"ROS_DATABASE_URL" required:"true"`
	KruizeURL      string        `envconfig:"KRUIZE_URL"` // empty if there is no Kruize
	KruizeTimeout  time.Duration `envconfig:"KRUIZE_TIMEOUT" default:"10s"`
	// PlainRecords says whether deletions are also taken from producers other than ours.
	PlainRecords bool `envconfig:"PLAIN_RECORDS" default:"false"`
}

// Validate reports the first variable that cannot be.
func (c Config) Validate() error {
	if err := c.Database.Validate(); err != nil {
		return err
	}
	if c.ROSDatabaseURL == "" {
		return errors.New("ROS_DATABASE_URL: required")
	}
	if _, err := pgxpool.ParseConfig(c.ROSDatabaseURL); err != nil {
		return fmt.Errorf("ROS_DATABASE_URL: %w", err) // pgx hides the password
	}
	if c.KruizeTimeout <= 0 {
		return errors.New("KRUIZE_TIMEOUT: more than 0s")
	}
	return checkKruizeURL(c.KruizeURL)
}

// checkKruizeURL does not repeat what is wrong: the URL may hold a password.
func checkKruizeURL(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("KRUIZE_URL: an http or https URL, or empty where there is no Kruize")
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return errors.New("KRUIZE_URL: a URL without query and fragment")
	}
	return nil
}

// OpenROS makes the pool for the database of ROS. It connects when it is first used.
func (c Config) OpenROS() (*pgxpool.Pool, error) {
	return store.OpenPool(store.Config{DatabaseURL: c.ROSDatabaseURL, MaxConns: c.Database.MaxConns, Pool: "ros"})
}
