package server

import (
	"net/http"
	"testing"

	"credence/internal/testca"
)

// certificate makes a certificate for 127.0.0.1, and gives its files and a client that trusts its CA.
func certificate(t *testing.T) (cert, key string, client *http.Client) {
	t.Helper()
	ca := testca.New(t)
	cert, key = ca.Server(t)
	return cert, key, ca.Client(t, nil)
}
