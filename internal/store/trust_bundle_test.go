package store

import (
	"fmt"
	"testing"
	"time"

	"credence/internal/fault"
)

func TestTrustBundles(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s, ctx := open(t), t.Context()
		some, err := s.HasTrustBundles(ctx)
		must(t, err)
		same(t, some, false)
		b := TrustBundle{alpha, "acme.example", []byte{1, 0, 255}, noon, noon}
		put, err := s.PutTrustBundle(b)
		must(t, err)
		same(t, put, b)
		some, err = s.HasTrustBundles(ctx)
		must(t, err)
		same(t, some, true)
		b.Certificates, b.UpdatedAt = []byte{2}, noon.Add(time.Hour)
		again := b
		again.CreatedAt = noon.Add(time.Hour) // the first time counts
		s.epochMoves(t, "PutTrustBundle", func() error { put, err = s.PutTrustBundle(again); return err })
		same(t, put, b)
		got, err := s.TrustBundle(ctx, alpha, "acme.example")
		must(t, err)
		same(t, got, b)
		_, err = s.TrustBundle(ctx, beta, "acme.example")
		want(t, err, fault.NotFound)
		want(t, s.DeleteTrustBundle(beta, "acme.example"), fault.NotFound)
		s.epochMoves(t, "DeleteTrustBundle", func() error { return s.DeleteTrustBundle(alpha, "acme.example") })
		want(t, s.DeleteTrustBundle(alpha, "acme.example"), fault.NotFound)
		for i := range trustBundlesPerAccount {
			_, err = s.PutTrustBundle(TrustBundle{alpha, fmt.Sprintf("d%02d", i), []byte{1}, noon, noon})
			must(t, err)
		}
		_, err = s.PutTrustBundle(TrustBundle{alpha, "more", []byte{1}, noon, noon})
		want(t, err, fault.Quota)
		_, err = s.PutTrustBundle(TrustBundle{alpha, "d00", []byte{3}, noon, noon})
		must(t, err)
		all, err := s.TrustBundles(ctx, alpha)
		must(t, err)
		same(t, len(all), trustBundlesPerAccount)
	})
}
