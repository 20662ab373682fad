package sts

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"credence/internal/admin"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/wire"
)

// Operations are all of the service that Credence has.
func Operations(a *admin.Admin) []Operation {
	whoami := operation("GetCallerIdentity", func(url.Values) (*wire.GetCallerIdentityInput, error) { return &wire.GetCallerIdentityInput{}, nil }, a.GetCallerIdentity)
	whoami.Everyone = true
	return []Operation{whoami, operation("GetWebIdentityToken", webIdentityToken, a.GetWebIdentityToken)}
}

// DefaultRates are how many requests a second one account may send of each operation, by name.
func DefaultRates() map[string]int {
	rates := map[string]int{}
	for _, op := range Operations(nil) {
		rates[op.Name] = 100
	}
	return rates
}

// operation is the generic adapter between forms and a plane's method.
func operation[In, Out any](name string, read func(url.Values) (*In, error), method func(context.Context, iam.Caller, *In) (*Out, error)) Operation {
	return Operation{Name: name, Action: "sts:" + name, call: func(ctx context.Context, c iam.Caller, form url.Values) (any, error) {
		in, err := read(form)
		if err == nil {
			err = wire.Validate(in)
		}
		if err != nil {
			return nil, err
		}
		return method(ctx, c, in)
	}}
}

func webIdentityToken(form url.Values) (*wire.GetWebIdentityTokenInput, error) {
	in := &wire.GetWebIdentityTokenInput{SigningAlgorithm: wire.WebIdentityTokenAlgorithm(form.Get("SigningAlgorithm"))}
	audiences, err := members(form, "Audience", "")
	if err != nil {
		return nil, err
	}
	for i := range audiences {
		in.Audience = append(in.Audience, form.Get(member("Audience", i, "")))
	}
	tags, err := members(form, "Tags", ".Key")
	if err != nil {
		return nil, err
	}
	for i := range tags {
		in.Tags = append(in.Tags, wire.SessionTag{Key: form.Get(member("Tags", i, ".Key")), Value: form.Get(member("Tags", i, ".Value"))})
	}
	if text := form.Get("DurationSeconds"); text != "" {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return nil, fault.Invalid("DurationSeconds", "must be a whole number; it is %.20q", text)
		}
		in.DurationSeconds = new(int32(n))
	}
	return in, nil
}

// member is the name of a list's element, counted from 0; the protocol counts from 1.
func member(list string, i int, rest string) string {
	return list + ".member." + strconv.Itoa(i+1) + rest
}

// members counts the elements of a list, which are numbered without a gap: none is passed over.
func members(form url.Values, list, rest string) (n int, err error) {
	for form.Has(member(list, n, rest)) {
		n++
	}
	for name := range form {
		index, is := strings.CutPrefix(name, list+".member.")
		index, _, _ = strings.Cut(index, ".")
		if i, err := strconv.Atoi(index); is && (err != nil || i < 1 || i > n || strconv.Itoa(i) != index) {
			return 0, fault.Invalid(list, "has %.100q, but its elements must be numbered 1, 2, … without a gap", name)
		}
	}
	return n, nil
}
