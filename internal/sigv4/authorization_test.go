package sigv4

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"credence/internal/fault"
)

const (
	goodCredential = "Credential=AKIDEXAMPLE_00001/20261122/eu-central-1/bedrock-agentcore/aws4_request"
	goodHeaders    = "SignedHeaders=host;x-amz-date"
	goodSignature  = "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
)

func join(parameters ...string) string { return "AWS4-HMAC-SHA256 " + strings.Join(parameters, ", ") }

func TestParseAuthorization(t *testing.T) {
	want := authorization{
		accessKeyID: "AKIDEXAMPLE_00001", date: "20261122", region: "eu-central-1", service: "bedrock-agentcore",
		signedHeaders: []string{"host", "x-amz-date"}, signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
	}
	for name, header := range map[string]string{
		"as SDKs write it":    join(goodCredential, goodHeaders, goodSignature),
		"without spaces":      "AWS4-HMAC-SHA256 " + goodCredential + "," + goodHeaders + "," + goodSignature,
		"in another order":    join(goodSignature, goodCredential, goodHeaders),
		"with further spaces": "AWS4-HMAC-SHA256   " + goodCredential + " ,  " + goodHeaders + "  , " + goodSignature,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseAuthorization(header)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("parseAuthorization = %+v, %v", got, err)
			}
		})
	}
}

func TestParseAuthorizationRefuses(t *testing.T) {
	const scope = "/20261122/eu-central-1/bedrock-agentcore/aws4_request"
	for _, tt := range []struct{ name, header, text string }{
		{"another algorithm", strings.Replace(join(goodCredential, goodHeaders, goodSignature), "SHA256", "SHA512", 1), "requires the algorithm"},
		{"a longer algorithm", strings.Replace(join(goodCredential, goodHeaders, goodSignature), "SHA256", "SHA256-PAYLOAD", 1), "requires the algorithm"},
		{"nothing but the algorithm", "AWS4-HMAC-SHA256", "requires the algorithm"},
		{"no credential", join(goodHeaders, goodSignature), "requires 'Credential' parameter"},
		{"no signed headers", join(goodCredential, goodSignature), "requires 'SignedHeaders' parameter"},
		{"no signature", join(goodCredential, goodHeaders), "requires 'Signature' parameter"},
		{"empty signature", join(goodCredential, goodHeaders, "Signature="), "requires 'Signature' parameter"},
		{"two credentials", join(goodCredential, goodCredential, goodHeaders, goodSignature), "two 'Credential' parameters"},
		{"two lists of signed headers", join(goodCredential, goodHeaders, goodHeaders, goodSignature), "two 'SignedHeaders' parameters"},
		{"two signatures", join(goodCredential, goodHeaders, goodSignature, goodSignature), "two 'Signature' parameters"},
		{"unknown parameter", join(goodCredential, goodHeaders, goodSignature, "Expires=1"), "only"},
		{"parameter in another case", join("credential=x", goodHeaders, goodSignature), "only"},
		{"trailing comma", join(goodCredential, goodHeaders, goodSignature, ""), "only"},
		{"credential of four parts", join("Credential=AKIDEXAMPLE_00001/20261122/eu-central-1/aws4_request", goodHeaders, goodSignature), "requires the form"},
		{"credential of six parts", join(goodCredential+"/x", goodHeaders, goodSignature), "requires the form"},
		{"key id of 15", join("Credential="+strings.Repeat("A", 15)+scope, goodHeaders, goodSignature), "16 to 128"},
		{"key id of 129", join("Credential="+strings.Repeat("A", 129)+scope, goodHeaders, goodSignature), "16 to 128"},
		{"key id with a dash", join("Credential=AKIDEXAMPLE-00001"+scope, goodHeaders, goodSignature), "16 to 128"},
		{"date of 7 digits", join("Credential=AKIDEXAMPLE_00001/2026112/r/s/aws4_request", goodHeaders, goodSignature), "YYYYMMDD"},
		{"date with letters", join("Credential=AKIDEXAMPLE_00001/2026112a/r/s/aws4_request", goodHeaders, goodSignature), "YYYYMMDD"},
		{"empty region", join("Credential=AKIDEXAMPLE_00001/20261122//s/aws4_request", goodHeaders, goodSignature), "region"},
		{"region in upper case", join("Credential=AKIDEXAMPLE_00001/20261122/EU/s/aws4_request", goodHeaders, goodSignature), "region"},
		{"region of 65", join("Credential=AKIDEXAMPLE_00001/20261122/"+strings.Repeat("r", 65)+"/s/aws4_request", goodHeaders, goodSignature), "region"},
		{"another terminator", join("Credential=AKIDEXAMPLE_00001/20261122/r/s/aws4", goodHeaders, goodSignature), "valid terminator"},
		{"signed headers out of order", join(goodCredential, "SignedHeaders=x-amz-date;host", goodSignature), "sorted"},
		{"signed header twice", join(goodCredential, "SignedHeaders=host;host;x-amz-date", goodSignature), "each once"},
		{"signed header in upper case", join(goodCredential, "SignedHeaders=Host;x-amz-date", goodSignature), "lower case"},
		{"empty signed header", join(goodCredential, "SignedHeaders=;host;x-amz-date", goodSignature), "header names"},
		{"signed header that is none", join(goodCredential, "SignedHeaders=ho st;x-amz-date", goodSignature), "header names"},
		{"signature in upper case", join(goodCredential, goodHeaders, "Signature="+strings.ToUpper(goodSignature[10:])), "64 lower-case"},
		{"signature of 63", join(goodCredential, goodHeaders, goodSignature[:73]), "64 lower-case"},
		{"signature of 65", join(goodCredential, goodHeaders, goodSignature+"0"), "64 lower-case"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseAuthorization(tt.header)
			f, ok := errors.AsType[*fault.Fault](err)
			if !ok || f.Kind != fault.IncompleteSignature || !strings.Contains(f.Msg, tt.text) {
				t.Fatalf("parseAuthorization = %+v, %v; want incomplete_signature with %q", got, err, tt.text)
			}
			if strings.Contains(f.Msg, "AKID") || strings.Contains(f.Msg, "5fa0") {
				t.Errorf("the error repeats the header: %s", f.Msg)
			}
		})
	}
}

// What parses, written down again as SDKs write it, parses to the same.
func FuzzAuthorization(f *testing.F) {
	f.Add(join(goodCredential, goodHeaders, goodSignature))
	f.Add("AWS4-HMAC-SHA256 " + goodSignature + "," + goodHeaders + "," + goodCredential)
	f.Add(join(goodCredential, "SignedHeaders=content-type;host;x-amz-date;x-credence-scope-match", goodSignature))
	f.Add("AWS4-HMAC-SHA256 Credential=////,SignedHeaders=;;,Signature==")
	f.Add("AWS4-HMAC-SHA256 ,,,=")
	f.Add("Bearer x")
	f.Fuzz(func(t *testing.T, header string) {
		a, err := parseAuthorization(header)
		if err != nil {
			if fault.KindOf(err) != fault.IncompleteSignature {
				t.Errorf("error %v is of another kind", err)
			}
			return
		}
		again, err := parseAuthorization(join(
			"Credential="+strings.Join([]string{a.accessKeyID, a.date, a.region, a.service, "aws4_request"}, "/"),
			"SignedHeaders="+strings.Join(a.signedHeaders, ";"), "Signature="+a.signature))
		if err != nil || !reflect.DeepEqual(a, again) {
			t.Errorf("%q\nreads      %+v,\nthen again %+v, %v", header, a, again, err)
		}
	})
}
