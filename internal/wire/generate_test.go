package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"credence/internal/fault"
	"credence/internal/wire/wiretest"
)

// Every single breach of a constraint, at every place of every input, is refused with the path of that place, and no message holds the
// value of a sensitive member.
func TestEveryBreachIsNamed(t *testing.T) {
	for _, op := range allOperations() {
		t.Run(op.name, func(t *testing.T) {
			shape := wiretest.ShapeOf(op.in)
			if err := decodeInstance(t, shape, shape.Smallest(), nil, newOf(op.in)); err != nil {
				t.Fatalf("the smallest valid input is refused: %v", err)
			}
			for _, s := range shape.Sites(nil) {
				if err := decodeInstance(t, shape, s.Fill(s.Valid), nil, newOf(op.in)); err != nil {
					t.Errorf("%s: a valid value is refused: %v", s.Path, err)
				}
				for _, b := range s.Breaches {
					instance := s.Fill(b.Value)
					says := b.Says
					if name, ok := strings.CutPrefix(b.Constraint, "pattern "); ok {
						says += patterns[name].source + "; "
					}
					f := wantFault(t, decodeInstance(t, shape, instance, nil, newOf(op.in)), fault.FieldValidationFailed)
					if len(f.Fields) != 1 || f.Fields[0].Name != s.Path || !strings.Contains(f.Fields[0].Message, says) {
						t.Errorf("%s, %s: want only %q with %q, got %q\nrequest: %.500s", op.name, b.Constraint, s.Path, says, f.Fields, marshal(t, instance))
					}
				}
			}
		})
	}
}

// The value of a sensitive member is in no message, whatever is wrong with it or next to it.
func TestSensitiveValuesAreInNoMessage(t *testing.T) {
	sensitive := map[string]int{}
	for _, op := range allOperations() {
		shape := wiretest.ShapeOf(op.in)
		for _, s := range shape.Sites(nil) {
			if !s.Sensitive {
				continue
			}
			sensitive[op.name]++
			for _, b := range append(s.Breaches, wiretest.Breach{Constraint: "a key", Value: map[string]any{wiretest.Canary: 1}}) {
				instance := s.Fill(b.Value)
				for _, name := range []string{"name", "workloadName", "scopes", "sessionUri"} {
					instance[name] = 5 // something else is wrong, too
				}
				err := decodeInstance(t, shape, instance, http.Header{"X-Credence-Confirm": {"?"}}, newOf(op.in))
				f := wantFault(t, err, fault.FieldValidationFailed)
				if said := fmt.Sprint(f.Msg, f.Fields, f.Err, err); strings.Contains(said, "hunter2") || strings.Contains(said, "canary") {
					t.Errorf("%s: %s: the value is in the message: %s", op.name, s.Path, said)
				}
			}
		}
	}
	want := map[string]int{
		"CreateDpopProof":                2,                                        // the workload access token, the token that the proof is for
		"CreateOauth2CredentialProvider": 11, "UpdateOauth2CredentialProvider": 11, // nine client secrets, two maps of claims
		"CreateApiKeyCredentialProvider": 1, "UpdateApiKeyCredentialProvider": 1,
		"GetWorkloadAccessTokenForJWT": 1, "CompleteResourceTokenAuth": 1, "GetResourceApiKey": 1,
		"CreatePaymentCredentialProvider": 4, "UpdatePaymentCredentialProvider": 4, // two secrets for each vendor
		"ImportGrants":            2, // refresh tokens, custom parameters
		"PutSignInProvider":       1, // the client secret
		"GetResourcePaymentToken": 2, // the workload access token, the body of a request to Privy
		"GetResourceOauth2Token":  3, // the workload access token, the custom state, custom parameters
	}
	if diff := cmp.Diff(want, sensitive); diff != "" {
		t.Errorf("sensitive members (-want +got):\n%s", diff)
	}
}

// decodeInstance sends the members of instance where they come: in the body, the path or the query.
func decodeInstance(t *testing.T, shape *wiretest.Shape, instance map[string]any, h http.Header, in any) error {
	t.Helper()
	body, labels, query := shape.Split(instance)
	for _, m := range shape.Members {
		if !m.InBody() {
			body[m.Name] = 5 // is ignored
		}
	}
	return Decode(marshal(t, body), &Outside{h, labels, query}, in)
}

func wantFault(t *testing.T, err error, reason fault.Reason) *fault.Fault {
	t.Helper()
	f, ok := errors.AsType[*fault.Fault](err)
	if !ok || f.Kind != fault.Validation || f.Reason != reason {
		t.Fatalf("want a validation fault with reason %s, got %v", reason, err)
	}
	return f
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
