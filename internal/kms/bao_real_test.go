//go:build full

package kms

import (
	"testing"

	"credence/internal/testvault"
)

func startBao(t *testing.T) (address, token string) { return testvault.Start(t) }
