package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"credence/internal/store"
	"credence/internal/telemetry"
	"credence/internal/vault"
)

// Finding is one thing that Examine looked at.
type Finding struct {
	What    string
	Found   string // when all is well
	Err     error  // what is wrong and how to mend it
	Warning bool   // Err is no illness
}

// Examine looks at an installation, running or not, and changes nothing.
func Examine(ctx context.Context, cfg Config) []Finding {
	var findings []Finding
	add := func(what string, err error, warning bool, format string, args ...any) bool {
		findings = append(findings, Finding{what, fmt.Sprintf(format, args...), err, warning})
		return err == nil
	}
	database := store.Config{URL: cfg.Database, KeepSchema: true}
	if cfg.Database == "" {
		database.Path = filepath.Join(cfg.DataDir, databaseFile)
		absent, err := missing(database.Path)
		switch {
		case !add("data directory", errors.Join(checkDataDir(cfg.DataDir, kekPath(cfg.kek())), err), false, "%s", cfg.DataDir):
			return findings
		case absent:
			add("data directory", fmt.Errorf("%s has no database yet: credence serve makes it", cfg.DataDir), true, "")
			return findings
		case !add("data directory", finished(cfg.DataDir), false, "it is finished"):
			return findings
		}
	}
	kek, err := vault.OpenKEK(cfg.kek())
	if !add("master key", err, false, "%s", strings.TrimPrefix(cfg.kek(), "file:")) {
		return findings
	}
	st, err := store.Open(ctx, database)
	if !add("database", err, false, "it opens") {
		return findings
	}
	defer func() { _ = st.Close() }()
	add("database", errors.Join(st.Whole(ctx), st.Check(ctx)), false, "it is sound")
	if !add("account", checkAccount(ctx, st, cfg), false, "%s", cfg.AccountID) {
		return findings
	}
	_, err = vault.New(ctx, vault.Config{Store: st, KEK: kek, Metrics: telemetry.New()})
	add("master key", err, false, "it opens the database")
	add("clock", checkClock(ctx, st), false, "%s", time.Now().UTC().Format(time.RFC3339))
	if _, err := os.Stat(filepath.Join(cfg.DataDir, credentialsFile)); err != nil && cfg.Database != "" {
		add("credentials", nil, false, "the administrator's file was made by the replica that started first")
	} else if err != nil {
		add("credentials", fmt.Errorf("the administrator's file is not there; if nobody has it, stop the server and run credence admin reset-key"), true, "")
	} else {
		add("credentials", nil, false, "%s", filepath.Join(cfg.DataDir, credentialsFile))
	}
	url := cfg.PublicURL
	if url == "" {
		scheme := "http://"
		if cfg.TLSCert != "" {
			scheme = "https://"
		}
		url = scheme + cfg.Listen
	}
	add("public URL", checkReachable(ctx, url), true, "%s is served", url)
	return findings
}

// checkClock finds a clock that was set back: signatures and leases rest on it.
func checkClock(ctx context.Context, st *store.Store) error {
	latest, err := st.Latest(ctx)
	if err != nil {
		return err
	}
	if ahead := time.Until(latest); ahead > time.Minute {
		return fmt.Errorf("it is %s behind what the database has seen: synchronise it (timedatectl set-ntp true); callers whose clocks differ by 5 minutes are refused", ahead.Round(time.Second))
	}
	return nil
}

// checkReachable asks the public URL whether it is ready, as a client would.
func checkReachable(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("nothing answers at %s: start credence serve, or give the right --public-url (%w)", url, err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s/readyz answered %s: look at the server's log, and at the proxy if there is one", url, resp.Status)
	}
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if off := time.Since(date).Abs(); err == nil && off > time.Minute {
		return fmt.Errorf("the clock there differs by %s from this one: synchronise both", off.Round(time.Second))
	}
	return nil
}
