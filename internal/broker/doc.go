// Package broker hands a workload a usable credential: workload access tokens, API keys, and OAuth2 tokens for itself or for a user.
//
// It protects two promises. A token never reaches a workload or user that it does not belong to: everything that tells two tokens apart is in
// the grant key, which is made in one function. And a grant is never lost: a rotated refresh token is durable before anybody sees the access
// token that came with it, and what a crash leaves open is reported as maybe spent, never guessed.
//
// An authorization session is one consent in flight:
//
//	               GetResourceOauth2Token finds no grant that serves
//	                                   │
//	BeginAuthorization (any number     ▼
//	of attempts; changes nothing) ┌─ pending ──────────────────────┐
//	                              │    │                           │ callback with the vendor's error
//	                              │    │ FinishAuthorization:      │
//	                              │    │ callback with a code, and │
//	                              │    │ its attempt's cookie      ▼
//	                  10 minutes  │    ▼                         failed ◄── the vendor refuses the code,
//	                  are over    │ authorized ─── another user ───►▲       or it may be spent
//	                  (computed)  │    │  ▲                         │
//	                              │    │  │ not sent                │
//	                              ▼    ▼  │                         │
//	                           expired exchanging ──────────────────┘
//	                                   │ CompleteResourceTokenAuth, by the session id
//	                                   ▼ that the return URL was given
//	                               completed (grant and session in one transaction)
//
// Every arrow is a compare-and-swap on the session's version: of two that race, one wins and the other changes nothing. The code is exchanged once:
// exchanging is written before it is sent, under a lease, and a session found in it without one was cut off by a crash.
//
// A refresh (refresh.go, and nowhere else) goes: single flight in this process → lease → reload, re-check → intent written → vendor, with no
// transaction open → compare-and-swap → release. One that came to nothing is not tried again before its time (backoff.go); one that nobody asked for goes the
// same way (renewal.go).
package broker
