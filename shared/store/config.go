package store

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Config says where PostgreSQL is.
type Config struct {
	DatabaseURL string `envconfig:"DATABASE_URL"`
	// DatabaseURLFile names a file that holds the URL. It is read for each new connection, so that
	// passwords can be rotated.
	DatabaseURLFile string `envconfig:"DATABASE_URL_FILE"`
	MaxConns        int32  `envconfig:"DATABASE_MAX_CONNS" default:"4"`
	// Role is a role to act as, of which the login has to be a member; empty for the login's own.
	Role string `ignored:"true"`
	// Pool is what metrics call the pool of connections, where there is more than one.
	Pool string `ignored:"true"`
}

// Validate reports the first variable that cannot be.
func (c Config) Validate() error {
	if c.MaxConns < 1 {
		return errors.New("DATABASE_MAX_CONNS: at least 1")
	}
	_, err := c.URL()
	return err
}

// URL is where PostgreSQL is by now. Its errors name the variable, and never its value, which may have a
// password in it.
func (c Config) URL() (string, error) {
	switch {
	case c.DatabaseURL != "" && c.DatabaseURLFile != "":
		return "", errors.New("DATABASE_URL and DATABASE_URL_FILE are both set; only one of them may be")
	case c.DatabaseURL != "":
		return checked("DATABASE_URL", c.DatabaseURL)
	case c.DatabaseURLFile != "":
		text, err := os.ReadFile(c.DatabaseURLFile)
		if err != nil {
			return "", fmt.Errorf("DATABASE_URL_FILE: %w", err)
		}
		return checked("DATABASE_URL_FILE", string(text))
	default:
		return "", errors.New("DATABASE_URL is not set, nor DATABASE_URL_FILE, a file that contains it")
	}
}

func checked(variable, value string) (string, error) {
	url := strings.TrimSpace(value) // a file ends with a newline
	if _, err := pgx.ParseConfig(url); err != nil || url == "" {
		return "", fmt.Errorf("%s: not the address of a PostgreSQL database", variable)
	}
	return url, nil
}

// readAgain has a new connection made with what the file says by now.
func (c Config) readAgain(to *pgx.ConnConfig) error {
	url, err := c.URL()
	if err != nil {
		return err
	}
	fresh, err := pgx.ParseConfig(url)
	if err != nil {
		return err
	}
	to.Host, to.Port, to.Database = fresh.Host, fresh.Port, fresh.Database
	to.User, to.Password, to.TLSConfig, to.Fallbacks = fresh.User, fresh.Password, fresh.TLSConfig, fresh.Fallbacks
	return nil
}
