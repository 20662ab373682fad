package main

import (
	"encoding/json"
	"hash/fnv"
	"net/http"
	"slices"
	"strings"
	"time"

	"credence/internal/secret"
)

// calendar is the answer of GET /events.
type calendar struct {
	Owner  string  `json:"owner"`
	Events []event `json:"events"`
}

type event struct {
	Start time.Time `json:"start"`
	Title string    `json:"title"`
}

// newResource is the API of Acme Calendar. GET /events answers with today's calendar of the access token's subject, 401 without a token that works
// and 403 for a token without the scope calendar.read (RFC 6750 section 3.1).
func newResource(a *authServer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		scheme, bearer, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") || bearer == "" {
			refuse(w, http.StatusUnauthorized, `Bearer`, "send an access token: Authorization: Bearer ...")
			return
		}
		token, ok := a.verify(secret.New(bearer))
		if !ok {
			refuse(w, http.StatusUnauthorized, `Bearer error="invalid_token"`, "the access token is unknown, expired or revoked")
			return
		}
		if !slices.Contains(token.scopes, scopeCalendarRead) {
			challenge := `Bearer error="insufficient_scope", scope="` + scopeCalendarRead + `"`
			refuse(w, http.StatusForbidden, challenge, "the access token lacks the scope "+scopeCalendarRead)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(calendar{token.grant.subject, eventsOf(token.grant.subject, time.Now())})
	})
	return mux
}

func refuse(w http.ResponseWriter, status int, challenge, message string) {
	w.Header().Set("WWW-Authenticate", challenge)
	http.Error(w, message, status)
}

// eventsOf makes up a subject's day: everybody has their own, and always the same one.
func eventsOf(subject string, now time.Time) []event {
	titles := [...]string{"Stand-up", "Design review", "Lunch with Sam", "Dentist", "Budget meeting", "Piano lesson", "Interview", "Release planning"}
	starts := [...]time.Duration{9*time.Hour + 30*time.Minute, 12 * time.Hour, 16*time.Hour + 15*time.Minute}

	hash := fnv.New32a()
	hash.Write([]byte(subject))
	first := int(hash.Sum32() % uint32(len(titles)))
	year, month, day := now.Date()
	var events []event
	for i, start := range starts {
		events = append(events, event{time.Date(year, month, day, 0, int(start.Minutes()), 0, 0, now.Location()), titles[(first+3*i)%len(titles)]})
	}
	return events
}
