// Package conformance asks a running server, over HTTP and signed, all that the API says: every operation, every member, every constraint.
//
// It protects the promise that any client that works with AgentCore Identity works here unchanged: what holds is proven, and what differs is listed, with the
// reason, in docs/compatibility.md, which this test writes.
package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"credence/internal/edge/awsapi"
	"credence/internal/fault"
	"credence/internal/server"
	"credence/internal/testenv"
	"credence/internal/wire/wiretest"
)

// getters are the operations that show what an operation changes.
var getters = map[string]string{
	"UpdateWorkloadIdentity": "GetWorkloadIdentity", "UpdateOauth2CredentialProvider": "GetOauth2CredentialProvider", "UpdateApiKeyCredentialProvider": "GetApiKeyCredentialProvider",
	"UpdatePaymentCredentialProvider": "GetPaymentCredentialProvider", "UpdateConsentPortal": "GetConsentPortal",
	"SetTokenVaultCMK": "GetTokenVault", "ResetTokenVaultKeyMaterial": "GetTokenVault",
	"TagResource": "ListTagsForResource", "UntagResource": "ListTagsForResource",
}

// operations are those of the API, in the order of the table; those that the table lacks stand at the end.
func operations() []string {
	var names []string
	for _, op := range awsapi.Operations(nil, nil) {
		names = append(names, op.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(samples)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Every operation does what it says for requests that keep its constraints, and refuses each that breaks one, by the name of the member.
// Run it with -v to see what was asked.
func TestConformance(t *testing.T) {
	w := newWorld(t)
	served, total, failed := 0, 0, map[string]bool{}
	for _, name := range operations() {
		failed[name] = !t.Run(name, func(t *testing.T) {
			op, ok := table[name]
			if !ok {
				t.Logf("%-32s is not served", name)
				return
			}
			served++
			c := conformance{T: t, w: w, op: op, shape: wiretest.ShapeOf(op.NewInput())}
			c.run()
			total += c.cases
			t.Logf("%-32s %2d samples, %4d breaches of the constraints of %3d places, %3d departures", name, c.samples, c.cases-c.samples-c.departures, c.places, c.departures)
		})
	}
	t.Run("departures", func(t *testing.T) {
		strict := newWorld(t, func(c *server.Config) { c.Dev = false })
		for i, d := range differs {
			t.Run(fmt.Sprintf("%d", i), func(t *testing.T) {
				t.Log(d.how)
				d.prove(t, w, strict)
			})
		}
	})
	if served == len(table) { // not only some of them, by -run
		for _, r := range refusals {
			if len(r.found) == 0 {
				t.Errorf("a departure that no operation has: %s", r.how)
			}
		}
		document(t, failed)
	}
	t.Logf("%d of %d operations, %d cases, %d departures", served, len(samples), total, len(refusals)+len(differs))
	t.Logf("answers by exception: %v", w.exceptions())
}

func (w *world) exceptions() map[string]int {
	sum := map[string]int{}
	for _, seen := range w.seen {
		for name, n := range seen {
			if name == "" {
				name = "success"
			}
			sum[name] += n
		}
	}
	return sum
}

// conformance is the run of one operation.
type conformance struct {
	*testing.T
	w                                  *world
	op                                 awsapi.Operation
	shape                              *wiretest.Shape
	cases, samples, departures, places int
}

func (c *conformance) run() {
	make, ok := samples[c.op.Name]
	if !ok {
		c.Fatal("the operation has no samples: give it some, so that nothing is served unproven")
	}
	all := make(c.w, c.T)
	c.breaches(all[0].in)
	c.unparsable(all[0].in)
	c.missing(all[0].in)
	used := usage{}
	for _, s := range all {
		c.cases++
		c.samples++
		if a := c.w.send(c.T, c.op.Name, s.in); a.Status != c.op.Status {
			c.Errorf("%s: answers %d %s\n%s", s.name, a.Status, a.Body, marshal(c.T, s.in))
			continue
		}
		used.add("", s.in)
	}
	if strings.HasPrefix(c.op.Name, "Create") {
		c.taken(all[0].in)
	}
	c.unused(used)
}

// breaches sends, for every place of the input, one request for each constraint, which it alone breaks. No refusal changes anything.
func (c *conformance) breaches(in obj) {
	for _, s := range c.shape.Sites(in) {
		c.places++
		before := c.state(in)
		for _, b := range s.Breaches {
			breach := s.Fill(b.Value)
			_, labels, query := c.shape.Split(breach)
			if isLabel(c.shape, s.Path) && labels[s.Path] == "" {
				continue // without its label the path is another one
			}
			path := s.Path
			if name, ok := strings.CutSuffix(path, "[1]"); ok && query.Has(name) {
				path = fmt.Sprintf("%s[%d]", name, slices.Index(slices.Sorted(slices.Values(query[name])), b.Value.(string))) // signers sort queries
			}
			c.cases++
			c.refused(c.w.send(c.T, c.op.Name, breach), path, b.Constraint, b.Says)
		}
		if after := c.state(in); after != before {
			c.Errorf("after refusals because of %s:\n%s\nwas\n%s", s.Path, after, before)
		}
	}
	for _, m := range c.shape.Members {
		if m.Header == "" {
			continue
		}
		c.places++
		for _, value := range []string{"no such value!", ""} {
			c.cases++
			c.refused(c.w.send(c.T, c.op.Name, in, func(r *http.Request) { r.Header.Set(m.Header, value) }), m.Name, "header", "the header "+m.Header)
		}
	}
}

func isLabel(shape *wiretest.Shape, path string) bool {
	return slices.ContainsFunc(shape.Members, func(m wiretest.Member) bool { return m.Label != "" && m.Name == path })
}

// refused wants an answer that names one member.
func (c *conformance) refused(a testenv.Answer, path, constraint, says string) {
	c.Helper()
	if a.Type() != "ValidationException" {
		c.Errorf("%s, %s: answers %d %s", path, constraint, a.Status, a.Body)
		return
	}
	body := errorOf(c.T, a)
	if body.Reason != string(fault.FieldValidationFailed) || len(body.FieldList) != 1 || body.FieldList[0].Name != path || !strings.Contains(body.FieldList[0].Message, says) {
		c.Errorf("%s, %s: want only this with %q: %s", path, constraint, says, a.Body)
	}
}

// state is what the operation would change, as clients see it; "" for operations that change nothing that is there.
func (c *conformance) state(in obj) string {
	getter, ok := getters[c.op.Name]
	if !ok {
		return ""
	}
	ask := obj{}
	for _, m := range wiretest.ShapeOf(table[getter].NewInput()).Members {
		if v, ok := in[m.Name]; ok {
			ask[m.Name] = v
		}
	}
	a := c.w.send(c.T, getter, ask)
	if a.Status != 200 {
		c.Fatalf("%s: %s", getter, a.Body)
	}
	return a.Body
}

// unparsable sends bodies that are no JSON object.
func (c *conformance) unparsable(in obj) {
	fields, labels, query := c.shape.Split(in)
	if c.op.Method != http.MethodPost || len(query) > 0 {
		return
	}
	path := c.op.Path
	for name, value := range labels {
		path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(value))
	}
	text := marshal(c.T, fields)
	for _, body := range []string{text[1:], text + "}", "[" + text + "]", "null", "\xff" + text} {
		c.cases++
		a := c.w.sendBody(c.T, c.op, path, body)
		if a.Type() != "ValidationException" || errorOf(c.T, a).Reason != string(fault.CannotParse) {
			c.Errorf("%q: answers %d %s", body, a.Status, a.Body)
		}
	}
}

// absent are the members that name things, and what they are answered when there is no such thing.
var absent = map[string]string{
	"name": "ResourceNotFoundException", "workloadName": "ResourceNotFoundException", "resourceCredentialProviderName": "ResourceNotFoundException",
	"consentPortalIdentifier": "ResourceNotFoundException", "tokenVaultId": "ResourceNotFoundException", "resourceArn": "ResourceNotFoundException",
	"workloadIdentityToken": "UnauthorizedException",
}

// nothing is a value of such a member that names nothing.
func (w *world) nothing(member string) string {
	const name = "nothing-has-this-name"
	if member == "resourceArn" {
		return w.arn("token-vault/default/oauth2credentialprovider/" + name)
	}
	return name
}

// missing names things that do not exist, and shows a token that is none.
func (c *conformance) missing(in obj) {
	if strings.HasPrefix(c.op.Name, "Create") {
		return
	}
	for _, m := range c.shape.Members {
		if absent[m.Name] == "" {
			continue
		}
		c.cases++
		if a := c.w.send(c.T, c.op.Name, with(in, obj{m.Name: c.w.nothing(m.Name)})); a.Type() != absent[m.Name] {
			c.Errorf("nothing has this %s, but it answers %d %s", m.Name, a.Status, a.Body)
		}
	}
}

// taken sends a Create again: tools look for two words in the answer.
func (c *conformance) taken(in obj) {
	c.cases++
	a := c.w.send(c.T, c.op.Name, in)
	want := "ConflictException"
	if !slices.Contains(c.op.Exceptions, fault.Conflict) {
		want = "ValidationException"
	}
	if a.Type() != want || !strings.Contains(a.Message(), "already exists") || !strings.Contains(a.Message(), fmt.Sprintf("%q", in["name"])) {
		c.Errorf("a taken name: %s", a.Body)
	}
}

// usage are the members, and the values of enums, that requests have: "a.b", "a.b=VALUE".
type usage map[string]bool

func (u usage) add(path string, value any) {
	switch v := value.(type) {
	case obj:
		for name, below := range v {
			u.add(strings.TrimPrefix(path+"."+name, "."), below)
		}
	case []any:
		for _, element := range v {
			u.add(path, element)
		}
	case string:
		u[path+"="+v] = true
	}
	u[path] = true
}

// unused are the members and values that no sample has: each has to be a departure, and to be refused by its name.
func (c *conformance) unused(used usage) {
	var again []sample
	for _, p := range places(c.shape, "") {
		if used[p] {
			continue
		}
		d := refusalOf(p)
		if d == nil {
			c.Errorf("%s: no sample has it, and it is no departure", p)
			continue
		}
		if !slices.Contains(d.found, c.op.Name) {
			d.found = append(d.found, c.op.Name)
		}
		c.departures++
		c.cases++
		if again == nil {
			again = samples[c.op.Name](c.w, c.T)
		}
		if !c.isRefused(again, p) {
			c.Errorf("%s is listed as a departure, but no sample is refused for it", p)
		}
	}
}

// isRefused reports whether some sample of the operation is refused, by the name of the place, once it has it.
func (c *conformance) isRefused(all []sample, place string) bool {
	member, value, isValue := strings.Cut(place, "=")
	for _, s := range all {
		for _, site := range c.shape.Sites(s.in) {
			if strings.ReplaceAll(site.Path, "[0]", "") != member {
				continue
			}
			filled := site.Fill(site.Valid)
			if isValue {
				filled = site.Fill(value)
			}
			before := c.state(s.in)
			a := c.w.send(c.T, c.op.Name, filled)
			if a.Type() != "ValidationException" {
				continue
			}
			if after := c.state(s.in); after != before {
				c.Errorf("after a refusal because of %s:\n%s\nwas\n%s", place, after, before)
			}
			for _, f := range errorOf(c.T, a).FieldList {
				name := strings.ReplaceAll(f.Name, "[0]", "")
				if name == member || strings.HasPrefix(member, name+".") {
					return true
				}
			}
		}
	}
	return false
}

// places are the members of a shape, all the way down, and the values of their enums, as usage has them.
func places(s *wiretest.Shape, prefix string) (all []string) {
	for _, m := range s.Members {
		path := prefix + m.Name
		all = append(all, path)
		for _, v := range m.Text.Values {
			all = append(all, path+"="+v)
		}
		if m.Shape != nil {
			all = append(all, places(m.Shape, path+".")...)
		}
	}
	return all
}

// The operations with samples are those of the API model, and all that are served have samples. CREDENCE_API_MODEL names the file of the model.
func TestConformanceCoversTheModel(t *testing.T) {
	for name := range table {
		if samples[name] == nil {
			t.Errorf("%s is served, but has no samples", name)
		}
	}
	path, ok := os.LookupEnv("CREDENCE_API_MODEL")
	if !ok {
		t.Log("CREDENCE_API_MODEL is not set: the comparison with the model is left out")
		return
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var model map[string]struct{ Operations obj }
	if err := json.Unmarshal(text, &model); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var want []string
	for _, plane := range model {
		want = slices.AppendSeq(want, maps.Keys(plane.Operations))
	}
	slices.Sort(want)
	if d := cmp.Diff(want, slices.Sorted(maps.Keys(samples))); d != "" {
		t.Errorf("operations (-model +samples)\n%s", d)
	}
}
