package control_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"credence/internal/audit"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/telemetry"
	"credence/internal/vault"
	"credence/internal/wire"
)

// lister is one list of the plane.
type lister struct {
	most   int // per page, when the request does not say
	create func(name string) error
	list   func(c iam.Caller, next *string, max *int32) (names []string, token *string, err error)
}

func (b *bed) listers(t *testing.T) map[string]lister {
	ctx, c := t.Context(), administrator(t, alpha)
	return map[string]lister{
		"ListWorkloadIdentities": {20, func(name string) error {
			_, err := b.CreateWorkloadIdentity(ctx, c, &wire.CreateWorkloadIdentityInput{Name: name})
			return err
		}, func(c iam.Caller, next *string, max *int32) (names []string, _ *string, err error) {
			out, err := b.ListWorkloadIdentities(ctx, c, &wire.ListWorkloadIdentitiesInput{NextToken: next, MaxResults: max})
			if err != nil {
				return nil, nil, err
			}
			for _, w := range out.WorkloadIdentities {
				if w.WorkloadIdentityArn != b.ARNs.Workload(alpha, w.Name) {
					t.Errorf("%s has the ARN %s", w.Name, w.WorkloadIdentityArn)
				}
				names = append(names, w.Name)
			}
			return names, out.NextToken, nil
		}},
		"ListOauth2CredentialProviders": {20, func(name string) error {
			_, err := b.CreateOauth2CredentialProvider(ctx, c, &wire.CreateOauth2CredentialProviderInput{
				Name: name, CredentialProviderVendor: wire.VendorGithubOauth2, Oauth2ProviderConfigInput: github("client", plantedSecret()),
			})
			return err
		}, func(c iam.Caller, next *string, max *int32) (names []string, _ *string, err error) {
			out, err := b.ListOauth2CredentialProviders(ctx, c, &wire.ListOauth2CredentialProvidersInput{NextToken: next, MaxResults: max})
			if err != nil {
				return nil, nil, err
			}
			for _, p := range out.CredentialProviders {
				must(t, wire.Validate(&p))
				if p.CredentialProviderArn != b.ARNs.OAuth2Provider(alpha, p.Name) || p.CredentialProviderVendor != wire.VendorGithubOauth2 {
					t.Errorf("%+v", p)
				}
				names = append(names, p.Name)
			}
			wantNoSecrets(t, out)
			return names, out.NextToken, nil
		}},
		"ListPaymentCredentialProviders": {20, func(name string) error {
			_, err := b.CreatePaymentCredentialProvider(ctx, c, &wire.CreatePaymentCredentialProviderInput{
				Name: name, CredentialProviderVendor: wire.VendorCoinbaseCDP, ProviderConfigurationInput: coinbase("key", edKey, ""),
			})
			return err
		}, func(c iam.Caller, next *string, max *int32) (names []string, _ *string, err error) {
			out, err := b.ListPaymentCredentialProviders(ctx, c, &wire.ListPaymentCredentialProvidersInput{NextToken: next, MaxResults: max})
			if err != nil {
				return nil, nil, err
			}
			for _, p := range out.CredentialProviders {
				must(t, wire.Validate(&p))
				if p.CredentialProviderArn != b.ARNs.PaymentProvider(alpha, p.Name) || p.CredentialProviderVendor != wire.VendorCoinbaseCDP {
					t.Errorf("%+v", p)
				}
				names = append(names, p.Name)
			}
			return names, out.NextToken, nil
		}},
		"ListConsentPortals": {100, func(name string) error {
			return b.Store.InsertConsentPortal(store.ConsentPortal{Account: alpha, ID: name + "-0123456789", Name: name}, store.Tags{})
		}, func(c iam.Caller, next *string, max *int32) (names []string, _ *string, err error) {
			out, err := b.ListConsentPortals(ctx, c, &wire.ListConsentPortalsInput{NextToken: next, MaxResults: max})
			if err != nil {
				return nil, nil, err
			}
			for _, p := range out.ConsentPortals {
				if *p.ConsentPortalArn != b.ARNs.ConsentPortal(alpha, *p.Name+"-0123456789") {
					t.Errorf("%s has the ARN %s", *p.Name, *p.ConsentPortalArn)
				}
				names = append(names, *p.Name)
			}
			return names, out.NextToken, nil
		}},
		"ListApiKeyCredentialProviders": {100, func(name string) error {
			_, err := b.CreateApiKeyCredentialProvider(ctx, c, &wire.CreateApiKeyCredentialProviderInput{Name: name, ApiKey: plantedSecret()})
			return err
		}, func(c iam.Caller, next *string, max *int32) (names []string, _ *string, err error) {
			out, err := b.ListApiKeyCredentialProviders(ctx, c, &wire.ListApiKeyCredentialProvidersInput{NextToken: next, MaxResults: max})
			if err != nil {
				return nil, nil, err
			}
			for _, p := range out.CredentialProviders {
				must(t, wire.Validate(&p))
				if p.CredentialProviderArn != b.ARNs.APIKeyProvider(alpha, p.Name) {
					t.Errorf("%+v", p)
				}
				names = append(names, p.Name)
			}
			wantNoSecrets(t, out)
			return names, out.NextToken, nil
		}},
	}
}

// all follows a list to its end.
func (l lister) all(t *testing.T, max *int32) (pages [][]string) {
	t.Helper()
	var next *string
	for {
		names, token, err := l.list(administrator(t, alpha), next, max)
		must(t, err)
		pages = append(pages, names)
		if token == nil || len(pages) > 200 {
			return pages
		}
		next = token
	}
}

func TestLists(t *testing.T) {
	b := open(t)
	for operation, l := range b.listers(t) {
		t.Run(operation, func(t *testing.T) {
			if pages := l.all(t, nil); len(pages) != 1 || pages[0] != nil {
				t.Errorf("an empty list has the pages %q", pages)
			}
			want := []string{"A", "Z", "_x", "a", "a-b", "aa"} // bytewise
			for n := range l.most + 5 - len(want) {
				want = append(want, fmt.Sprintf("name-%03d", n))
			}
			for _, name := range slices.Backward(want) {
				must(t, l.create(name))
			}
			for size, lengths := range map[int][]int{0: {l.most, 5}, 1: slices.Repeat([]int{1}, len(want)), 5: slices.Repeat([]int{5}, len(want)/5)} { // 25 or 105 names
				var max *int32
				if size > 0 {
					max = new(int32(size))
				}
				pages := l.all(t, max)
				var got []int
				for _, p := range pages {
					got = append(got, len(p))
				}
				if !slices.Equal(got, lengths) {
					t.Errorf("maxResults %d: pages of %v, want %v", size, got, lengths)
				}
				if d := cmp.Diff(want, slices.Concat(pages...)); d != "" {
					t.Errorf("maxResults %d: (-want +got)\n%s", size, d)
				}
			}
		})
	}
}

// A cursor is good for the list and account that it was made for. All else gets one answer, and the refusal is recorded.
func TestCursors(t *testing.T) {
	b := open(t)
	all := b.listers(t)
	cursors := map[string]string{}
	for _, operation := range slices.Sorted(maps.Keys(all)) {
		for _, name := range []string{"one", "two", "three"} {
			must(t, all[operation].create(name))
		}
		_, token, err := all[operation].list(administrator(t, alpha), nil, new(int32(1)))
		must(t, err)
		cursors[operation] = *token
	}
	handle, err := b.Vault.SealHandle(t.Context(), alpha, "workload access token", []byte("one"))
	must(t, err)

	for operation, l := range all {
		t.Run(operation, func(t *testing.T) {
			good := cursors[operation]
			wrong := map[string]string{
				"empty": "", "garbage": "garbage!", "base64": "Z2FyYmFnZQ", "a name": "one", "cut": good[:len(good)-1], "longer": good + "A", "padded": good + "=",
				"a workload access token": handle, "the same with its prefix": "cwat1." + handle, "twice": good + good, "with a line break": good[:8] + "\n" + good[8:],
			}
			for other, cursor := range cursors {
				if other != operation {
					wrong["that of "+other] = cursor
				}
			}
			refused := func(t *testing.T, c iam.Caller, cursor string) {
				t.Helper()
				recorded := len(b.events(t, c.Account))
				names, token, err := l.list(c, &cursor, nil)
				f, ok := errors.AsType[*fault.Fault](err)
				if !ok || f.Kind != fault.Validation || f.Msg != "nextToken: is not one that "+operation+" returned: leave it out to begin anew" || f.Err != nil {
					t.Errorf("%v, want a validation fault", err)
				}
				if names != nil || token != nil {
					t.Errorf("with the error came %q, %v", names, token)
				}
				events := b.events(t, c.Account)
				if len(events) != recorded+1 || events[recorded].Outcome != audit.Refused || events[recorded].Action != "bedrock-agentcore:"+operation {
					t.Errorf("recorded %+v, want one refusal", events[recorded:])
				}
			}
			for name, cursor := range wrong {
				t.Run(name, func(t *testing.T) { refused(t, administrator(t, alpha), cursor) })
			}
			t.Run("of another account", func(t *testing.T) { refused(t, administrator(t, beta), good) })
			t.Run("without rights", func(t *testing.T) {
				_, _, err := l.list(caller(t, alpha, allowOn("GetTokenVault", "*")), &good, nil)
				if !errors.Is(err, fault.AccessDenied) {
					t.Errorf("%v, want access_denied", err)
				}
			})
			t.Run("the right one", func(t *testing.T) {
				names, token, err := l.list(administrator(t, alpha), &good, nil)
				if err != nil || token != nil || !slices.Equal(names, []string{"three", "two"}) {
					t.Errorf("%q, %v, %v", names, token, err)
				}
			})
		})
	}
}

// A cursor whose keys cannot be reached is not a wrong one.
func TestCursorDuringAnOutage(t *testing.T) {
	b := open(t)
	l := b.listers(t)["ListWorkloadIdentities"]
	must(t, l.create("one"))
	must(t, l.create("two"))
	_, token, err := l.list(administrator(t, alpha), nil, new(int32(1)))
	must(t, err)
	b.Vault, err = vault.New(t.Context(), vault.Config{Store: b.Store, KEK: b.kek, Metrics: telemetry.New()}) // as after a restart
	must(t, err)
	c := administrator(t, alpha)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = b.ListWorkloadIdentities(cancelled, c, &wire.ListWorkloadIdentitiesInput{NextToken: token}); err == nil || errors.Is(err, fault.Validation) {
		t.Errorf("%v, want an error that is not about the cursor", err)
	}
	for _, e := range b.events(t, alpha) {
		if e.Outcome == audit.Refused {
			t.Errorf("the refusal of a good cursor is recorded: %+v", e)
		}
	}
}

// Arbitrary text continues no list, and a cursor only the one that it was made for.
func FuzzCursor(f *testing.F) {
	b := open(f)
	for _, name := range []string{"one", "two"} {
		_, err := b.CreateWorkloadIdentity(context.Background(), administrator(f, alpha), &wire.CreateWorkloadIdentityInput{Name: name})
		must(f, err)
	}
	page, err := b.ListWorkloadIdentities(context.Background(), administrator(f, alpha), &wire.ListWorkloadIdentitiesInput{MaxResults: new(int32(1))})
	must(f, err)
	good := *page.NextToken
	for _, seed := range []string{"", "one", good, good[:len(good)-1], good + "A", good + "=", good + "\n", strings.ToUpper(good)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		c := administrator(t, alpha)
		page, err := b.ListWorkloadIdentities(t.Context(), c, &wire.ListWorkloadIdentitiesInput{NextToken: &cursor})
		if cursor == good {
			if err != nil || len(page.WorkloadIdentities) != 1 || page.WorkloadIdentities[0].Name != "two" {
				t.Errorf("the right one: %+v, %v", page, err)
			}
		} else if !errors.Is(err, fault.Validation) || page != nil {
			t.Errorf("%q: %+v, %v", cursor, page, err)
		}
		if providers, err := b.ListOauth2CredentialProviders(t.Context(), c, &wire.ListOauth2CredentialProvidersInput{NextToken: &cursor}); !errors.Is(err, fault.Validation) {
			t.Errorf("%q continues another list: %+v, %v", cursor, providers, err)
		}
	})
}
