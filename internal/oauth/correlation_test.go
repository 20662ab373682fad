package oauth

import (
	"net/http"
	"strings"
	"testing"

	"credence/internal/secret"
)

// The id by which a vendor finds a request reaches the operator, from body or header; what is no id, or quotes what was sent, does not.
func TestErrorCorrelationID(t *testing.T) {
	sent := []secret.String{secret.New("the-refresh-token-0123456789")}
	for name, test := range map[string]struct {
		body, header, value, want string
	}{
		"Microsoft":    {`{"error":"invalid_grant","correlation_id":"6ba7b810-9dad-11d1-80b4-00c04fd430c8"}`, "", "", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
		"header":       {`{"error":"invalid_grant"}`, "X-Request-Id", "0AF7:651916CD", "0AF7:651916CD"},
		"a secret":     {`{"error":"invalid_grant"}`, "X-Request-Id", "the-refresh-token-0123456789", ""},
		"with secret":  {`{"error":"invalid_grant"}`, "X-Request-Id", "id.the-refresh-token-0123456789", ""},
		"part of it":   {`{"error":"invalid_grant"}`, "X-Request-Id", "refresh-token-0123", ""},
		"two lines":    {`{"error":"invalid_grant","correlation_id":"a\nb c"}`, "", "", ""},
		"without end":  {`{"error":"invalid_grant"}`, "X-Request-Id", strings.Repeat("x", 65), ""},
		"not any":      {`{"error":"invalid_grant"}`, "", "", ""},
		"not a string": {`{"error":"invalid_grant","correlation_id":7}`, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{"Content-Type": {"application/json"}}
			if test.header != "" {
				h.Set(test.header, test.value)
			}
			_, err := readResponse(response{status: 400, header: h, body: []byte(test.body), sent: sent})
			e := err.(*Error)
			if e.CorrelationID != test.want || strings.Contains(e.Error(), "correlation id "+test.want) != (test.want != "") {
				t.Errorf("%q: %v", e.CorrelationID, e)
			}
		})
	}
}
