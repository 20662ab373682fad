package sts

import (
	"context"
	"net/url"
	"slices"
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
	keyless := operation("AssumeRoleWithWebIdentity", roleWithWebIdentity, a.AssumeRoleWithWebIdentity)
	keyless.Unsigned = true
	// What the caller is told of: to assume a role needs no other word from STS.
	keyless.codes = map[fault.Kind]string{fault.ExpiredCaller: "ExpiredTokenException", fault.Throttled: "IDPCommunicationError"}
	certified := operation("AssumeRoleWithCertificate", roleWithCertificate, a.AssumeRoleWithCertificate)
	certified.Unsigned = true
	return []Operation{whoami, operation("GetWebIdentityToken", webIdentityToken, a.GetWebIdentityToken), operation("AssumeRole", assumeRole, a.AssumeRole), keyless, certified}
}

// perAddress is how many requests a second without a signature one address may send of an operation.
const perAddress = 20

// DefaultRates are how many requests a second one account may send of each operation, by name; of those that need no signature, one address.
func DefaultRates() map[string]int {
	rates := map[string]int{}
	for _, op := range Operations(nil) {
		rates[op.Name] = 100
		if op.Unsigned {
			rates[op.Name] = perAddress
		}
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
	if in.Tags, err = tags(form); err != nil {
		return nil, err
	}
	in.DurationSeconds, err = duration(form)
	return in, err
}

func tags(form url.Values) (list []wire.SessionTag, err error) {
	n, err := members(form, "Tags", ".Key")
	for i := range n {
		list = append(list, wire.SessionTag{Key: form.Get(member("Tags", i, ".Key")), Value: form.Get(member("Tags", i, ".Value"))})
	}
	return list, err
}

func duration(form url.Values) (*int32, error) {
	text := form.Get("DurationSeconds")
	if text == "" {
		return nil, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return nil, fault.Invalid("DurationSeconds", "must be a whole number; it is %.20q", text)
	}
	return new(int32(n)), nil
}

func given(form url.Values, name string) *string {
	if !form.Has(name) {
		return nil
	}
	return new(form.Get(name))
}

// refuseUnserved refuses what would change who may do what, and is not served: passed over, it would give more than was asked for.
func refuseUnserved(form url.Values, names ...string) error {
	for name := range form {
		first, _, _ := strings.Cut(name, ".")
		if slices.Contains(names, first) {
			return fault.Invalid(first, "is not served by Credence: leave it out, and say it in Policy")
		}
	}
	return nil
}

func assumeRole(form url.Values) (in *wire.AssumeRoleInput, err error) {
	in = &wire.AssumeRoleInput{RoleArn: form.Get("RoleArn"), RoleSessionName: form.Get("RoleSessionName"), Policy: given(form, "Policy"), SourceIdentity: given(form, "SourceIdentity")}
	if in.Tags, err = tags(form); err != nil {
		return nil, err
	}
	if in.DurationSeconds, err = duration(form); err != nil {
		return nil, err
	}
	return in, refuseUnserved(form, "PolicyArns", "ExternalId", "SerialNumber", "TokenCode", "TransitiveTagKeys", "ProvidedContexts")
}

func roleWithWebIdentity(form url.Values) (in *wire.AssumeRoleWithWebIdentityInput, err error) {
	in = &wire.AssumeRoleWithWebIdentityInput{
		RoleArn: form.Get("RoleArn"), RoleSessionName: form.Get("RoleSessionName"), WebIdentityToken: form.Get("WebIdentityToken"), Policy: given(form, "Policy"),
	}
	if in.DurationSeconds, err = duration(form); err != nil {
		return nil, err
	}
	return in, refuseUnserved(form, "PolicyArns", "ProviderId")
}

func roleWithCertificate(form url.Values) (in *wire.AssumeRoleWithCertificateInput, err error) {
	in = &wire.AssumeRoleWithCertificateInput{RoleArn: form.Get("RoleArn"), RoleSessionName: form.Get("RoleSessionName"), Policy: given(form, "Policy")}
	if in.DurationSeconds, err = duration(form); err != nil {
		return nil, err
	}
	return in, refuseUnserved(form, "PolicyArns", "Tags", "SourceIdentity")
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
