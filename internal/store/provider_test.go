package store

import (
	"testing"
	"time"

	"credence/internal/fault"
)

func TestOAuth2Providers(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s, ctx := open(t), t.Context()
		_, err := s.TokenVault(ctx, alpha, "default")
		want(t, err, fault.NotFound)
		p := oauth2Provider(alpha, "gh")
		must(t, s.InsertOAuth2Provider(p, "default", Tags{"r/gh", map[string]string{"a": "b"}}))
		want(t, s.InsertOAuth2Provider(p, "default", Tags{}), fault.Conflict)
		v, err := s.TokenVault(ctx, alpha, "default")
		must(t, err)
		same(t, v, TokenVault{alpha, "default", "", noon})
		got, err := s.OAuth2ProviderByCallback(ctx, p.CallbackID)
		must(t, err)
		same(t, got, p)

		next := p
		next.Generation, next.Config, next.ClientSecret, next.ClientSecretAt, next.UpdatedAt = "g2", "{}", nil, Reference{"id", "key"}, noon.Add(time.Hour)
		must(t, s.UpdateOAuth2Provider(next))
		want(t, s.UpdateOAuth2Provider(next), fault.ConcurrentModification) // it still has the old version
		got, err = s.OAuth2Provider(ctx, alpha, "gh")
		must(t, err)
		next.Version = 2
		same(t, got, next)

		want(t, s.DeleteOAuth2Provider(beta, "gh", "r/gh"), fault.NotFound)
		must(t, s.DeleteOAuth2Provider(alpha, "gh", "r/gh"))
		_, err = s.OAuth2Provider(ctx, alpha, "gh")
		want(t, err, fault.NotFound)
	})
}

func TestAPIKeyProviders(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s, ctx := open(t), t.Context()
		p := APIKeyProvider{Account: alpha, Name: "k", Incarnation: "i", APIKey: []byte{1}, CreatedAt: noon, UpdatedAt: noon}
		must(t, s.InsertAPIKeyProvider(p, "default", Tags{}))
		want(t, s.InsertAPIKeyProvider(p, "default", Tags{}), fault.Conflict)
		p.APIKey, p.APIKeyAt, p.UpdatedAt = nil, Reference{"id", "key"}, noon.Add(time.Hour)
		must(t, s.UpdateAPIKeyProvider(p))
		got, err := s.APIKeyProvider(ctx, alpha, "k")
		must(t, err)
		same(t, got, p)
		p.Incarnation = "other"
		want(t, s.UpdateAPIKeyProvider(p), fault.NotFound)
		must(t, s.DeleteAPIKeyProvider(alpha, "k", "r/k"))
		want(t, s.DeleteAPIKeyProvider(alpha, "k", "r/k"), fault.NotFound)
	})
}

func TestPaymentProviders(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s, ctx := open(t), t.Context()
		p := PaymentProvider{Account: alpha, Name: "w", Incarnation: "i", Config: "{}", Secret: []byte{1}, SigningKey: []byte{2}, CreatedAt: noon, UpdatedAt: noon, Version: 1}
		must(t, s.InsertPaymentProvider(p, "default", Tags{"r/w", map[string]string{"a": "b"}}))
		want(t, s.InsertPaymentProvider(p, "default", Tags{}), fault.Conflict)
		v, err := s.TokenVault(ctx, alpha, "default")
		must(t, err)
		same(t, v, TokenVault{alpha, "default", "", noon})
		got, err := s.PaymentProvider(ctx, alpha, "w")
		must(t, err)
		same(t, got, p)

		next := p
		next.Config, next.Secret, next.SigningKey, next.UpdatedAt = `{"a":1}`, []byte{3}, nil, noon.Add(time.Hour)
		must(t, s.UpdatePaymentProvider(next))
		want(t, s.UpdatePaymentProvider(next), fault.ConcurrentModification) // it still has the old version
		got, err = s.PaymentProvider(ctx, alpha, "w")
		must(t, err)
		next.Version = 2
		same(t, got, next)
		next.Incarnation = "other"
		want(t, s.UpdatePaymentProvider(next), fault.ConcurrentModification)

		_, err = s.PaymentProvider(ctx, beta, "w")
		want(t, err, fault.NotFound)
		want(t, s.DeletePaymentProvider(beta, "w", "r/w"), fault.NotFound)
		must(t, s.DeletePaymentProvider(alpha, "w", "r/w"))
		_, err = s.PaymentProvider(ctx, alpha, "w")
		want(t, err, fault.NotFound)
		tags, err := s.Tags(ctx, alpha, "r/w")
		must(t, err)
		same(t, tags, map[string]string{})
	})
}
