package wire

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"credence/internal/fault"
)

const anARN = "arn:aws:bedrock-agentcore:us-east-1:123456789012:token-vault/default"

func TestOutside(t *testing.T) {
	labels := map[string]string{"resourceArn": anARN}
	t.Run("the body has no say", func(t *testing.T) {
		var in UntagResourceInput
		body := `{"resourceArn":"x","resourceArn":5,"tagKeys":{}}`
		if err := Decode([]byte(body), &Outside{Labels: labels, Query: url.Values{"tagKeys": {"a", "b", "a"}, "": {"c"}, "tagkeys": {"d"}}}, &in); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(UntagResourceInput{anARN, []string{"a", "b", "a"}}, in); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
	for name, c := range map[string]struct {
		o    *Outside
		want []fault.Field
	}{
		"nothing":  {nil, []fault.Field{{Name: "resourceArn", Message: "is required and may not be empty"}, {Name: "tagKeys", Message: "is required"}}},
		"no names": {&Outside{Labels: labels, Query: url.Values{"": {"a"}}}, []fault.Field{{Name: "tagKeys", Message: "is required"}}},
		"no UTF-8": {&Outside{Labels: map[string]string{"resourceArn": anARN + "\xff"}, Query: url.Values{"tagKeys": {"a", "\xc3"}}},
			[]fault.Field{{Name: "resourceArn", Message: "must be percent-encoded UTF-8"}, {Name: "tagKeys[1]", Message: "must be percent-encoded UTF-8"}}},
	} {
		t.Run(name, func(t *testing.T) {
			f := wantFault(t, Decode([]byte(`{"resourceArn":"`+anARN+`","tagKeys":["a"]}`), c.o, new(UntagResourceInput)), fault.FieldValidationFailed)
			if diff := cmp.Diff(c.want, f.Fields); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
