package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/kelseyhightower/envconfig"
)

type config struct {
	DatabaseURL     string `envconfig:"DATABASE_URL"`
	DatabaseURLFile string `envconfig:"DATABASE_URL_FILE"`
}

// databaseURL takes the address from the environment. Its errors name the variable, and never its value, which may
// have a password in it.
func databaseURL() (string, error) {
	var cfg config
	if err := envconfig.Process("", &cfg); err != nil {
		return "", err
	}
	switch {
	case cfg.DatabaseURL != "" && cfg.DatabaseURLFile != "":
		return "", errors.New("DATABASE_URL and DATABASE_URL_FILE are both set; only one of them may be")
	case cfg.DatabaseURL != "":
		return checked("DATABASE_URL", cfg.DatabaseURL)
	case cfg.DatabaseURLFile != "":
		return fromFile(cfg.DatabaseURLFile)
	}
	return "", errors.New("DATABASE_URL is not set, nor DATABASE_URL_FILE, a file that contains it")
}

func fromFile(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("DATABASE_URL_FILE: %w", err)
	}
	return checked("DATABASE_URL_FILE", string(content))
}

func checked(variable, value string) (string, error) {
	address := strings.TrimSpace(value) // a file ends with a newline
	if _, err := pgx.ParseConfig(address); err != nil || address == "" {
		return "", fmt.Errorf("%s: not the address of a PostgreSQL database", variable)
	}
	return address, nil
}
