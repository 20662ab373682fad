package store

import (
	"fmt"
	"testing"

	"credence/internal/fault"
)

func TestTags(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s, ctx := open(t), t.Context()
		w, p := withParents(t, s)
		must(t, s.InsertAPIKeyProvider(APIKeyProvider{Account: alpha, Name: "keys", APIKey: []byte{1}, CreatedAt: noon, UpdatedAt: noon}, "default", Tags{}))
		must(t, s.InsertPaymentProvider(PaymentProvider{Account: alpha, Name: "wallet", Config: "{}", Secret: []byte{1}, CreatedAt: noon, UpdatedAt: noon}, "default", Tags{}))
		for _, r := range []struct {
			kind Kind
			name string
		}{{KindDirectory, "default"}, {KindWorkload, w.Name}, {KindTokenVault, "default"}, {KindOAuth2Provider, p.Name}, {KindAPIKeyProvider, "keys"}, {KindPaymentProvider, "wallet"}} {
			path := "r/" + r.kind.table
			must(t, s.Exists(ctx, alpha, r.kind, r.name))
			must(t, s.PutTags(alpha, r.kind, r.name, Tags{path, map[string]string{"a": "1", "b": "2"}}, 3))
			must(t, s.PutTags(alpha, r.kind, r.name, Tags{path, map[string]string{"b": "3", "c": ""}}, 3))
			want(t, s.PutTags(alpha, r.kind, r.name, Tags{path, map[string]string{"a": "not this", "d": "4"}}, 3), fault.Quota)
			tags, err := s.Tags(ctx, alpha, path)
			must(t, err)
			same(t, tags, map[string]string{"a": "1", "b": "3", "c": ""})
			must(t, s.RemoveTags(alpha, r.kind, r.name, path, []string{"a", "none"}))
			tags, err = s.Tags(ctx, alpha, path)
			must(t, err)
			same(t, tags, map[string]string{"b": "3", "c": ""})

			for _, other := range []struct{ account, name string }{{alpha, "none"}, {"333333333333", r.name}, {alpha, ""}} {
				want(t, s.Exists(ctx, other.account, r.kind, other.name), fault.NotFound)
				want(t, s.PutTags(other.account, r.kind, other.name, Tags{"r/none", map[string]string{"a": "1"}}, 3), fault.NotFound)
				want(t, s.RemoveTags(other.account, r.kind, other.name, path, []string{"b"}), fault.NotFound)
				tags, err := s.Tags(ctx, other.account, "r/none")
				must(t, err)
				same(t, tags, map[string]string{})
			}
		}
	})
}

// Tags that are put while their resource is deleted go with it.
func TestTagsNeverOutliveTheirResource(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open opener) {
		s := open(t)
		for i := range 50 {
			name := fmt.Sprint("agent-", i)
			must(t, s.InsertWorkload(workload(alpha, name), Tags{}))
			put := make(chan error)
			go func() {
				put <- s.PutTags(alpha, KindWorkload, name, Tags{"r/" + name, map[string]string{"a": "1"}}, 50)
			}()
			must(t, s.DeleteWorkload(alpha, name, "r/"+name))
			if err := <-put; err != nil {
				want(t, err, fault.NotFound)
			}
			tags, err := s.Tags(t.Context(), alpha, "r/"+name)
			must(t, err)
			same(t, tags, map[string]string{})
		}
	})
}
