package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestResourceRefuses(t *testing.T) {
	v := newVendor(t)
	answer := v.token(tokenRequest("client_credentials", "scope", "calendar.read"))
	for _, test := range []struct{ name, authorization, challenge string }{
		{"no token", "", "Bearer"},
		{"another scheme", "Basic " + answer.AccessToken, "Bearer"},
		{"an empty token", "Bearer ", "Bearer"},
		{"an unknown token", "Bearer guessed", `Bearer error="invalid_token"`},
		{"the access token with something after it", "Bearer " + answer.AccessToken + " x", `Bearer error="invalid_token"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := http.NewRequest("GET", v.api+"/events", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", test.authorization)
			resp, body := v.do(r)
			if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("WWW-Authenticate") != test.challenge {
				t.Errorf("%s, %q: %s", resp.Status, resp.Header.Get("WWW-Authenticate"), body)
			}
			if strings.Contains(body, answer.AccessToken) {
				t.Error("the error shows the token")
			}
		})
	}
	t.Run("a refresh token", func(t *testing.T) {
		tokens := v.token(codeRequest(v.decide("alice", "allow").Get("code")))
		if status, _ := v.events(tokens.RefreshToken); status != http.StatusUnauthorized {
			t.Errorf("got %d", status)
		}
	})
}

func TestEventsOf(t *testing.T) {
	now := time.Date(2026, time.March, 29, 23, 30, 0, 0, time.UTC)
	alice, bob := eventsOf("alice", now), eventsOf("bob", now)
	if slices.Equal(alice, bob) {
		t.Error("alice and bob have the same day")
	}
	if !slices.Equal(alice, eventsOf("alice", now.Add(-20*time.Hour))) {
		t.Error("alice's day changes during the day")
	}
	for _, e := range alice {
		if e.Start.YearDay() != now.YearDay() {
			t.Errorf("%q is not today: %v", e.Title, e.Start)
		}
	}
}
