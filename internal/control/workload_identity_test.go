package control_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"credence/internal/egress"
	"credence/internal/fault"
	"credence/internal/wire"
)

const returnURL = "https://app.example/return"

func (b *bed) createWorkload(t *testing.T, in *wire.CreateWorkloadIdentityInput) *wire.CreateWorkloadIdentityOutput {
	t.Helper()
	out, err := b.CreateWorkloadIdentity(t.Context(), administrator(t, alpha), in)
	must(t, err)
	return out
}

func (b *bed) getWorkload(t *testing.T, name string) *wire.GetWorkloadIdentityOutput {
	t.Helper()
	out, err := b.GetWorkloadIdentity(t.Context(), administrator(t, alpha), &wire.GetWorkloadIdentityInput{Name: name})
	must(t, err)
	return out
}

func (b *bed) updateWorkload(t *testing.T, in *wire.UpdateWorkloadIdentityInput) (*wire.UpdateWorkloadIdentityOutput, error) {
	t.Helper()
	return b.UpdateWorkloadIdentity(t.Context(), administrator(t, alpha), in)
}

func TestWorkloadIdentity(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := openIn(t, dir, egress.Config{})
		created := b.createWorkload(t, &wire.CreateWorkloadIdentityInput{
			Name: "agent", AllowedResourceOauth2ReturnUrls: []string{returnURL, "com.example.app:/return"}, Tags: map[string]string{"team": "x"},
			CompleteBySessionUri: new(true),
		})
		want := &wire.CreateWorkloadIdentityOutput{
			Name: "agent", WorkloadIdentityArn: workloadARN, AllowedResourceOauth2ReturnUrls: []string{returnURL, "com.example.app:/return"}, CompleteBySessionUri: new(true),
		}
		if d := cmp.Diff(want, created); d != "" {
			t.Error(d)
		}
		noon := time.Now()
		wantGet := &wire.GetWorkloadIdentityOutput{
			Name: "agent", WorkloadIdentityArn: workloadARN, AllowedResourceOauth2ReturnUrls: want.AllowedResourceOauth2ReturnUrls, CompleteBySessionUri: new(true),
			CreatedTime: wire.Time{Time: noon}, LastUpdatedTime: wire.Time{Time: noon},
		}
		if d := cmp.Diff(wantGet, b.getWorkload(t, "agent")); d != "" {
			t.Error(d)
		}
		b.wantTags(t, "workload-identity-directory/default/workload-identity/agent", map[string]string{"team": "x"})

		time.Sleep(time.Hour)
		_, err := b.updateWorkload(t, &wire.UpdateWorkloadIdentityInput{Name: "agent", AllowedResourceOauth2ReturnUrls: []string{"https://two.example/"}})
		must(t, err)
		wantGet.AllowedResourceOauth2ReturnUrls, wantGet.LastUpdatedTime = []string{"https://two.example/"}, wire.Time{Time: noon.Add(time.Hour)}
		if d := cmp.Diff(wantGet, b.getWorkload(t, "agent")); d != "" {
			t.Error(d)
		}
	})
}

// An absent member keeps what is there; an empty list clears it.
func TestUpdateWorkloadIdentity(t *testing.T) {
	b := open(t)
	for name, test := range map[string]struct {
		in       wire.UpdateWorkloadIdentityInput
		urls     []string
		complete bool
	}{
		"nothing":        {wire.UpdateWorkloadIdentityInput{}, []string{returnURL}, true},
		"a list":         {wire.UpdateWorkloadIdentityInput{AllowedResourceOauth2ReturnUrls: []string{"http://localhost/", returnURL}}, []string{"http://localhost/", returnURL}, true},
		"an empty list":  {wire.UpdateWorkloadIdentityInput{AllowedResourceOauth2ReturnUrls: []string{}}, []string{}, true},
		"the option":     {wire.UpdateWorkloadIdentityInput{CompleteBySessionUri: new(false)}, []string{returnURL}, false},
		"option and all": {wire.UpdateWorkloadIdentityInput{CompleteBySessionUri: new(false), AllowedResourceOauth2ReturnUrls: []string{}}, []string{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			agent := strings.ReplaceAll(name, " ", "-")
			b.createWorkload(t, &wire.CreateWorkloadIdentityInput{Name: agent, AllowedResourceOauth2ReturnUrls: []string{returnURL}, CompleteBySessionUri: new(true)})
			test.in.Name = agent
			out, err := b.updateWorkload(t, &test.in)
			must(t, err)
			got := b.getWorkload(t, agent)
			if d := cmp.Diff((*wire.GetWorkloadIdentityOutput)(out), got, cmp.Comparer(func(a, b wire.Time) bool { return a.UnixMilli() == b.UnixMilli() })); d != "" {
				t.Errorf("the answer and what is stored differ: %s", d)
			}
			if !cmp.Equal(got.AllowedResourceOauth2ReturnUrls, test.urls) || *got.CompleteBySessionUri != test.complete {
				t.Errorf("%q, %v, want %q, %v", got.AllowedResourceOauth2ReturnUrls, *got.CompleteBySessionUri, test.urls, test.complete)
			}
			// The broker reads by another way.
			row, err := b.Vault.Workload(t.Context(), alpha, agent)
			if err != nil || !cmp.Equal(row.ReturnURLs, test.urls) || row.CompleteBySessionURI != test.complete {
				t.Errorf("the vault has %+v, %v", row, err)
			}
		})
	}
}

func TestWorkloadIdentityNameIsTaken(t *testing.T) {
	b := open(t)
	in := &wire.CreateWorkloadIdentityInput{Name: "agent", AllowedResourceOauth2ReturnUrls: []string{returnURL}, Tags: map[string]string{"a": "b"}}
	b.createWorkload(t, in)
	before := b.rows(t)
	_, err := b.CreateWorkloadIdentity(t.Context(), administrator(t, alpha), &wire.CreateWorkloadIdentityInput{Name: "agent", Tags: map[string]string{"c": "d"}})
	wantInvalid(t, err, "name", `a workload identity named "agent" already exists`)
	if f, ok := errors.AsType[*fault.Fault](err); !ok || f.Reason != fault.ResourceConflict {
		t.Errorf("%+v", f)
	}
	if b.rows(t) != before {
		t.Error("rows changed")
	}
	b.createWorkload(t, &wire.CreateWorkloadIdentityInput{Name: "Agent"}) // another one
}

// A deleted workload identity that is created again is another one: nothing of before belongs to it.
func TestWorkloadIdentityCreatedAgain(t *testing.T) {
	b := open(t)
	incarnation := func() string {
		w, err := b.Vault.Workload(t.Context(), alpha, "agent")
		must(t, err)
		return w.Incarnation
	}
	b.createWorkload(t, &wire.CreateWorkloadIdentityInput{
		Name: "agent", AllowedResourceOauth2ReturnUrls: []string{returnURL}, Tags: map[string]string{"a": "b"}, CompleteBySessionUri: new(true),
	})
	before := incarnation()
	_, err := b.DeleteWorkloadIdentity(t.Context(), administrator(t, alpha), &wire.DeleteWorkloadIdentityInput{Name: "agent"})
	must(t, err)
	_, err = b.DeleteWorkloadIdentity(t.Context(), administrator(t, alpha), &wire.DeleteWorkloadIdentityInput{Name: "agent"})
	wantNotFound(t, err, workloadARN)
	_, err = b.GetWorkloadIdentity(t.Context(), administrator(t, alpha), &wire.GetWorkloadIdentityInput{Name: "agent"})
	wantNotFound(t, err, workloadARN)

	b.createWorkload(t, &wire.CreateWorkloadIdentityInput{Name: "agent"})
	if incarnation() == before {
		t.Error("it has the incarnation of the deleted one")
	}
	if out := b.getWorkload(t, "agent"); len(out.AllowedResourceOauth2ReturnUrls) != 0 || *out.CompleteBySessionUri {
		t.Errorf("%+v", out)
	}
	b.wantTags(t, "workload-identity-directory/default/workload-identity/agent", map[string]string{})
}

func TestReturnURLsAreCheckedFirst(t *testing.T) {
	b := open(t)
	b.createWorkload(t, &wire.CreateWorkloadIdentityInput{Name: "agent", AllowedResourceOauth2ReturnUrls: []string{returnURL}})
	before := b.rows(t)
	for _, bad := range []string{"javascript:alert(1)", "http://app.example/", "https://app.example/?session_id=1", "https://app.example/#"} {
		urls := []string{returnURL, bad}
		_, err := b.CreateWorkloadIdentity(t.Context(), administrator(t, alpha), &wire.CreateWorkloadIdentityInput{Name: "other", AllowedResourceOauth2ReturnUrls: urls})
		wantInvalid(t, err, "allowedResourceOauth2ReturnUrls[1]")
		_, err = b.updateWorkload(t, &wire.UpdateWorkloadIdentityInput{Name: "agent", AllowedResourceOauth2ReturnUrls: urls})
		wantInvalid(t, err, "allowedResourceOauth2ReturnUrls[1]")
	}
	if b.rows(t) != before {
		t.Error("rows changed")
	}
}
