package awsapi_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
	"github.com/google/go-cmp/cmp"

	"credence/internal/testenv"
)

// resources are the paths of one ARN of every taggable kind, in the world of newWorld.
func (w world) resources() []string {
	return []string{
		"workload-identity-directory/default", "workload-identity-directory/default/workload-identity/agent",
		"token-vault/default", "token-vault/default/oauth2credentialprovider/vendor", "token-vault/default/apikeycredentialprovider/keys",
		"token-vault/default/paymentcredentialprovider/wallet",
		"consent-portal/" + w.portal,
	}
}

// The SDK's client tags, lists and untags every kind of resource: its encoding of the ARN is routed and verified.
func TestTagsWithTheSDK(t *testing.T) {
	e := testenv.Start(t)
	w := newWorld(t, e, e.Admin)
	client, ctx := w.Control(), t.Context()
	for _, path := range w.resources() {
		t.Run(path, func(t *testing.T) {
			arn := aws.String(w.arn(path))
			list := func(want map[string]string) {
				t.Helper()
				out, err := client.ListTagsForResource(ctx, &bedrockagentcorecontrol.ListTagsForResourceInput{ResourceArn: arn})
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(want, out.Tags); d != "" {
					t.Errorf("(-want +got)\n%s", d)
				}
			}
			tag := func(tags map[string]string) error {
				_, err := client.TagResource(ctx, &bedrockagentcorecontrol.TagResourceInput{ResourceArn: arn, Tags: tags})
				return err
			}
			untag := func(keys ...string) {
				t.Helper()
				if _, err := client.UntagResource(ctx, &bedrockagentcorecontrol.UntagResourceInput{ResourceArn: arn, TagKeys: keys}); err != nil {
					t.Fatal(err)
				}
			}
			list(map[string]string{})
			if err := tag(map[string]string{"team": "a", "cost center/π?": "1"}); err == nil {
				t.Error("a key outside the pattern is accepted")
			}
			odd := " a+b:c/d=e@f._- " // every character that queries encode
			for _, tags := range []map[string]string{{"team": "a", odd: odd}, {"team": "b", "empty": ""}, {}} {
				if err := tag(tags); err != nil {
					t.Fatal(err)
				}
			}
			list(map[string]string{"team": "b", "empty": "", odd: odd})
			untag(odd, "never there", "team", "team")
			list(map[string]string{"empty": ""})

			// As many names as the API allows, as long as they may be, each character percent-encoded.
			var keys []string
			for i := range 200 {
				keys = append(keys, strings.Repeat(":", 125)+fmt.Sprintf("%03d", i))
			}
			untag(append(keys[:199:199], "empty")...)
			list(map[string]string{})

			many := map[string]string{}
			for i := range 50 {
				many[fmt.Sprint(i)] = "x"
			}
			if err := tag(many); err != nil {
				t.Fatal(err)
			}
			err := tag(map[string]string{"0": "changed", "one more": ""})
			if quota, ok := errors.AsType[*types.ServiceQuotaExceededException](err); !ok || !strings.Contains(quota.ErrorMessage(), "more than 50") {
				t.Errorf("%v, want ServiceQuotaExceededException", err)
			}
			list(many)
		})
	}
}

// However an ARN is percent-encoded, it is the same resource.
func TestEncodingsOfAnARN(t *testing.T) {
	e := testenv.Start(t)
	w := newWorld(t, e, e.Admin)
	arn := w.arn("workload-identity-directory/default/workload-identity/agent")
	var everything strings.Builder
	for _, b := range []byte(arn) {
		fmt.Fprintf(&everything, "%%%02x", b)
	}
	for name, label := range map[string]string{
		"all that must be": url.QueryEscape(arn), "colons as they are": url.PathEscape(arn), "lower case": strings.ToLower(url.QueryEscape(arn[:40])) + url.QueryEscape(arn[40:]),
		"every byte": everything.String(),
	} {
		t.Run(name, func(t *testing.T) {
			if a := w.Call("/tags/"+label, `{"tags":{"encoding":"`+name+`"},"resourceArn":"ignored"}`); a.Status != 204 || a.Body != "" {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			if a := w.Call("/tags/"+label+"?=&x", "", testenv.By("GET")); a.Status != 200 || a.Body != `{"tags":{"encoding":"`+name+`"}}` {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	for name, path := range map[string]string{
		"slashes as they are": "/tags/" + strings.ReplaceAll(url.QueryEscape(arn), "%2F", "/"), "nothing": "/tags/", "no label": "/tags",
		"a slash after it": "/tags/" + url.QueryEscape(arn) + "/",
	} {
		if a := w.Call(path, "", testenv.By("GET")); a.Status != 404 || a.Type() != "UnknownOperationException" {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	for name, label := range map[string]string{
		"encoded twice": url.QueryEscape(url.QueryEscape(arn)), "another service": url.QueryEscape("arn:aws:s3:::bucket-bucket-bucket"), "no UTF-8": url.QueryEscape(arn) + "%ff",
		"too long": url.QueryEscape(arn + strings.Repeat("x", 1011)), "a space": "%20",
	} {
		for _, method := range []string{"GET", "DELETE", "POST"} {
			a := w.Call("/tags/"+label+"?tagKeys=a", `{"tags":{}}`, testenv.By(method))
			if a.Status != 400 || a.Type() != "ValidationException" || !strings.Contains(a.Body, `"fieldList":[{"name":"resourceArn"`) {
				t.Errorf("%s %s: %d %s", method, name, a.Status, a.Body)
			}
		}
	}
	for name, query := range map[string]string{"tagKeys": "", "tagKeys[1]": "?tagKeys=a&tagKeys=~"} {
		a := w.Call("/tags/"+url.QueryEscape(arn)+query, "", testenv.By("DELETE"))
		if a.Status != 400 || !strings.Contains(a.Body, `"fieldList":[{"name":"`+name+`"`) {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	// What the signature covers is what is routed.
	req := w.Sign("/tags/"+url.QueryEscape(arn), "", "bedrock-agentcore", time.Now(), testenv.By("GET"))
	req.URL.RawPath = "/tags/" + url.QueryEscape(w.arn("token-vault/default"))
	req.URL.Path, _ = url.PathUnescape(req.URL.RawPath)
	if a := e.Do(req); a.Status != 403 || a.Type() != "InvalidSignatureException" {
		t.Errorf("another label than the one signed: %d %s", a.Status, a.Body)
	}
}

// ARNs that name nothing of this account are answered alike, to the byte, and change nothing; whatever the account really has.
func TestTagsOfOthers(t *testing.T) {
	e := testenv.Start(t)
	mine := newWorld(t, e, e.Admin)
	theirs := newWorld(t, e, e.NewAccount("222222222222"))
	nobody := e.NewUser(testenv.Account, "nobody", "")
	for _, path := range theirs.resources() {
		if a := theirs.Call("/tags/"+url.QueryEscape(theirs.arn(path)), `{"tags":{"theirs":"x"}}`); a.Status != 204 {
			t.Fatal(a.Body)
		}
	}
	var foreign []string
	for _, path := range mine.resources() {
		own := mine.arn(path)
		foreign = append(foreign, theirs.arn(path), strings.Replace(own, testenv.Account, "333333333333", 1), strings.Replace(own, "us-east-1", "us-west-2", 1),
			strings.Replace(own, "arn:aws:", "arn:aws-us-gov:", 1), strings.Replace(own, "arn:aws:", "arn::", 1), own+"-not", own+"/x/y")
	}
	foreign = append(foreign[:len(foreign):len(foreign)], mine.arn("workload-identity-directory/other"), mine.arn("token-vault/other"),
		mine.arn("token-vault/other/apikeycredentialprovider/keys"), mine.arn("token-vault/default/apikeycredentialprovider/vendor"), mine.arn("gateway/gateway-0123456789"))
	for _, arn := range foreign {
		for method, body := range map[string]string{"GET": "", "DELETE": "", "POST": `{"tags":{"mine":"x"}}`} {
			path := "/tags/" + url.QueryEscape(arn) + "?tagKeys=theirs"
			a := mine.Call(path, body, testenv.By(method))
			want := `{"__type":"ResourceNotFoundException","message":"Resource not found: ` + arn + `"}`
			if a.Status != 404 || a.Type() != "ResourceNotFoundException" || a.Body != want {
				t.Errorf("%s %s: %d %s", method, arn, a.Status, a.Body)
			}
			if a := nobody.Call(path, body, testenv.By(method)); a.Status != 403 || a.Type() != "AccessDeniedException" {
				t.Errorf("%s %s, without rights: %d %s", method, arn, a.Status, a.Body)
			}
		}
	}
	for _, path := range theirs.resources() {
		if a := theirs.Call("/tags/"+url.QueryEscape(theirs.arn(path)), "", testenv.By("GET")); a.Body != `{"tags":{"theirs":"x"}}` {
			t.Errorf("%s: %s", path, a.Body)
		}
	}
}
