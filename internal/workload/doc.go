// Package workload mints and opens workload access tokens (WATs), and verifies the JWTs of users, and the JWTs and certificates of callers without keys.
//
// It protects the binding between an agent and a user: a WAT says which workload identity, in which incarnation, acts for which user, and only
// Credence can make one. A user is known either by a verified JWT (kind jwt: issuer and subject) or by a name that the caller vouches for
// (kind id); the two never meet, even when the strings are equal.
package workload
