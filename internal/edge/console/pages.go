package console

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"credence/internal/audit"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/wire"
)

// homePage says who somebody is here.
type homePage struct {
	Account, Kind, Name, ARN string
	Issuer, Subject          string
	Until                    time.Time
	BreakGlass               bool
}

func home(ctx context.Context, v *visit) error {
	c := v.session.Caller
	who, err := v.Admin.GetCallerIdentity(ctx, c, &wire.GetCallerIdentityInput{})
	if err != nil {
		return err
	}
	h := &homePage{Account: who.Account, Kind: "User", Name: c.Name, ARN: who.Arn, Until: v.session.Expires, BreakGlass: v.session.BreakGlass}
	if c.Kind == iam.KindAssumedRole {
		h.Kind, h.Issuer, h.Subject = "Role", c.Session.Issuer, c.Session.Subject
	}
	v.show(http.StatusOK, page{Title: "Account " + who.Account, Home: h})
	return nil
}

// filter is what a list is asked for, as its form has it.
type filter struct {
	UserID, Issuer, Subject, Workload, Provider, Outcome, State, From, To string
}

// readFilter reads what every list has in common.
func (v *visit) readFilter() filter {
	get := v.form.Get
	return filter{get("user-id"), get("issuer"), get("subject"), get("workload"), get("provider"), get("outcome"), get("state"), get("from"), get("to")}
}

func (f filter) user() *wire.GrantUser {
	switch {
	case f.UserID != "":
		return &wire.GrantUser{UserId: &f.UserID}
	case f.Issuer != "" || f.Subject != "":
		return &wire.GrantUser{Jwt: &wire.GrantJwtUser{Issuer: f.Issuer, Subject: f.Subject}}
	}
	return nil
}

func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// localTime is the form of <input type="datetime-local">; seconds may be there.
const localTime = "2006-01-02T15:04"

func instant(name, s string) (*int64, error) {
	if s == "" {
		return nil, nil
	}
	for _, form := range []string{localTime, localTime + ":05"} {
		if t, err := time.ParseInLocation(form, s, time.UTC); err == nil {
			return new(t.Unix()), nil
		}
	}
	return nil, fault.New(fault.Validation, "%s must be a date and a time, as %s; it is %.40q", name, localTime, s)
}

// older is the address of the next page of a list.
func (v *visit) older(token *string) string {
	if token == nil {
		return ""
	}
	q := url.Values{}
	for name, values := range v.form {
		if len(values) > 0 && values[0] != "" {
			q.Set(name, values[0])
		}
	}
	q.Set("after", *token)
	return v.r.URL.Path + "?" + q.Encode()
}

// pageSize of lists.
const pageSize = 50

type auditPage struct {
	Filter   filter
	Outcomes []string
	Events   []audit.Event
	Older    string
	Later    bool // it is not the first page
}

func auditLog(ctx context.Context, v *visit) error {
	f := v.readFilter()
	in := &wire.QueryAuditInput{
		User: f.user(), WorkloadName: given(f.Workload), ResourceCredentialProviderName: given(f.Provider), Outcome: (*wire.AuditOutcome)(given(f.Outcome)), NextToken: given(v.form.Get("after")), MaxResults: new(int32(pageSize)),
	}
	var err error
	if in.StartTime, err = instant("From", f.From); err != nil {
		return err
	}
	if in.EndTime, err = instant("To", f.To); err != nil {
		return err
	}
	if err := wire.Validate(in); err != nil {
		return err
	}
	out, err := v.Admin.QueryAudit(ctx, v.session.Caller, in)
	if err != nil {
		return err
	}
	p := &auditPage{Filter: f, Outcomes: wire.AuditOutcome("").Values(), Older: v.older(out.NextToken), Later: in.NextToken != nil}
	for _, entry := range out.Entries {
		var e audit.Event
		if err := json.Unmarshal([]byte(entry.Event), &e); err != nil {
			return err
		}
		p.Events = append(p.Events, e)
	}
	v.show(http.StatusOK, page{Title: "Audit log", Audit: p})
	return nil
}

type grantsPage struct {
	Filter filter
	States []string
	Grants []wire.Grant
	Older  string
	Later  bool
}

func grants(ctx context.Context, v *visit) error {
	f := v.readFilter()
	in := &wire.ListGrantsInput{
		User: f.user(), WorkloadName: given(f.Workload), ResourceCredentialProviderName: given(f.Provider), State: (*wire.GrantState)(given(f.State)), NextToken: given(v.form.Get("after")), MaxResults: new(int32(pageSize)),
	}
	if err := wire.Validate(in); err != nil {
		return err
	}
	out, err := v.Broker.ListGrants(ctx, v.session.Caller, in)
	if err != nil {
		return err
	}
	v.show(http.StatusOK, page{Title: "Grants", Grants: &grantsPage{f, wire.GrantState("").Values(), out.Grants, v.older(out.NextToken), in.NextToken != nil}})
	return nil
}
