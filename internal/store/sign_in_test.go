package store

import (
	"errors"
	"testing"
	"time"

	"credence/internal/fault"
)

// A row of the console is there once, for its time, for its kind and account, and while its provider is the one it was begun at.
func TestConsoleSessions(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s := open(t)
		ctx, now := t.Context(), time.Now()
		p := SignInProvider{Account: "1", Name: "people", Incarnation: "first", Issuer: "https://idp.example", ClientID: "console", Scopes: []string{"openid"}, CreatedAt: now, UpdatedAt: now}
		for _, account := range []string{"1", "2"} {
			must(t, s.InsertAccount(account, now, nil))
		}
		if _, err := s.PutSignInProvider(p); err != nil {
			t.Fatal(err)
		}
		row := ConsoleSession{Account: "1", ID: "id", Kind: ConsoleSignedIn, Provider: "people", ProviderIncarnation: "first", Content: []byte("sealed"), ExpiresAt: now.Add(time.Hour)}
		must(t, s.InsertConsoleSession(row))
		if err := s.InsertConsoleSession(row); !errors.Is(err, fault.Conflict) {
			t.Errorf("twice: %v", err)
		}
		old := row
		old.ID, old.ExpiresAt = "old", now.Add(-time.Second)
		must(t, s.InsertConsoleSession(old))
		key := row
		key.ID, key.Provider, key.ProviderIncarnation = "key", "", ""
		must(t, s.InsertConsoleSession(key))
		there := func(account, id string, kind ConsoleSessionKind) bool {
			t.Helper()
			_, err := s.ConsoleSession(ctx, account, id, kind)
			if err != nil && !errors.Is(err, fault.NotFound) {
				t.Fatal(err)
			}
			return err == nil
		}
		if !there("1", "id", ConsoleSignedIn) || !there("1", "key", ConsoleSignedIn) {
			t.Error("a session is not there")
		}
		if there("1", "id", ConsoleChoice) || there("2", "id", ConsoleSignedIn) || there("1", "old", ConsoleSignedIn) || there("1", "none", ConsoleSignedIn) {
			t.Error("a session is of another kind or account, or outlives its time")
		}
		p.Incarnation = "second"
		if _, err := s.PutSignInProvider(p); err != nil {
			t.Fatal(err)
		}
		if there("1", "id", ConsoleSignedIn) || !there("1", "key", ConsoleSignedIn) {
			t.Error("a session outlives its provider, or ends with one that it did not come by")
		}
		must(t, s.DeleteConsoleSession("1", "key"))
		if err := s.DeleteConsoleSession("1", "key"); !errors.Is(err, fault.NotFound) {
			t.Errorf("ended twice: %v", err)
		}
		must(t, s.DeleteSignInProvider("1", "people"))
		if err := s.InsertConsoleSession(row); err != nil {
			t.Errorf("the provider's rows are still there: %v", err)
		}
		must(t, s.Purge(now.Add(2*time.Hour)))
		must(t, s.InsertConsoleSession(row)) // it was purged
	})
}
