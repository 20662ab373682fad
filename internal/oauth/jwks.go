package oauth

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// maxKeys is more than any server publishes; a set is cut there.
const maxKeys = 100

// KeySets fetches the public keys of authorization servers (RFC 7517) and keeps them. A key id that is not in the kept set has it fetched again,
// at most every 30 seconds, so that forged tokens cannot be made into traffic.
type KeySets struct {
	documents *documents[jose.JSONWebKeySet]
}

// NewKeySets makes a KeySets.
func NewKeySets(http Doer) *KeySets {
	return &KeySets{newDocuments("JWK Set", http, func(body []byte, url string) (jose.JSONWebKeySet, error) {
		// Keys of kinds that we do not know must not spoil the others.
		var set struct {
			Keys []json.RawMessage `json:"keys"`
		}
		var keys jose.JSONWebKeySet
		if err := json.Unmarshal(body, &set); err != nil {
			return keys, fmt.Errorf("%q is no JSON Web Key Set", url)
		}
		for _, raw := range set.Keys[:min(len(set.Keys), maxKeys)] {
			var k jose.JSONWebKey
			if err := k.UnmarshalJSON(raw); err == nil && k.IsPublic() && k.Valid() && (k.Use == "" || k.Use == "sig") {
				keys.Keys = append(keys.Keys, k)
			}
		}
		return keys, nil
	})}
}

// Keys are the keys at url that may have signed a token whose header names kid ("" when it names none: all of them).
func (s *KeySets) Keys(ctx context.Context, url, kid string) ([]jose.JSONWebKey, error) {
	set, err := s.documents.get(ctx, url, time.Time{})
	if err != nil {
		return nil, err
	}
	if kid == "" {
		return set.Keys, nil
	}
	if found := set.Key(kid); len(found) > 0 {
		return found, nil
	}
	if set, err = s.documents.get(ctx, url, time.Now()); err != nil {
		return nil, err
	}
	return set.Key(kid), nil
}
