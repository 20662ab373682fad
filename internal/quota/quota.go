// Package quota bounds what one account may use of an installation that others use, too: how many resources it has, and how often it calls an operation.
//
// It protects the other accounts. Only what is proven to come from an account counts against it: whoever cannot sign for an account cannot use up what it may.
package quota

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"credence/internal/iam"
)

// The names of quotas on resources. Those on operations are RatePrefix and the operation's name, or AllRates.
const (
	WorkloadIdentities = "workload-identities"
	OAuth2Providers    = "oauth2-providers"
	APIKeyProviders    = "api-key-providers"
	PaymentProviders   = "payment-providers"
	ConsentPortals     = "consent-portals"

	RatePrefix = "rate."
	AllRates   = RatePrefix + "*"
)

// counts are those of the managed service, which has none on consent portals.
var counts = map[string]int{WorkloadIdentities: 11_000, OAuth2Providers: 50, APIKeyProviders: 50, PaymentProviders: 50, ConsentPortals: 50}

// Limits are the quotas of an installation.
type Limits struct {
	defaults map[string]int
	general  map[string]int            // as set, by name
	accounts map[string]map[string]int // as set, by account and name
}

// New makes Limits of settings NAME=VALUE and ACCOUNT:NAME=VALUE. A value is how many, or how many a second; 0 and off are any number. rates are the defaults of
// all operations, by name. With off, the defaults are any number. The error tells every setting that is wrong, and the names that there are.
func New(settings []string, rates map[string]int, off bool) (*Limits, error) {
	l := &Limits{defaults: maps.Clone(counts), general: map[string]int{}, accounts: map[string]map[string]int{}}
	for operation, rate := range rates {
		l.defaults[RatePrefix+operation] = rate
	}
	names := append(slices.Sorted(maps.Keys(l.defaults)), AllRates)
	if off {
		clear(l.defaults)
	}
	var problems []error
	for _, setting := range settings {
		problem := func(format string, args ...any) {
			problems = append(problems, fmt.Errorf("%q: %s", setting, fmt.Sprintf(format, args...)))
		}
		name, text, ok := strings.Cut(setting, "=")
		if !ok {
			problem("must be NAME=VALUE or ACCOUNT:NAME=VALUE")
			continue
		}
		set := l.general
		if account, rest, ok := strings.Cut(name, ":"); ok {
			if !iam.ValidAccount(account) {
				problem("%q is no account, which has 12 digits", account)
				continue
			}
			if l.accounts[account] == nil {
				l.accounts[account] = map[string]int{}
			}
			set, name = l.accounts[account], rest
		}
		value, err := strconv.ParseUint(text, 10, 31)
		switch {
		case !slices.Contains(names, name):
			problem("there is no quota %q, but %s", name, strings.Join(names, ", "))
		case err != nil && text != "off":
			problem("%q must be a number from 0 to %d, or off", text, 1<<31-1)
		default:
			if _, twice := set[name]; twice {
				problem("this quota is set twice")
			}
			set[name] = int(value)
		}
	}
	return l, errors.Join(problems...)
}

// Of is a quota of an account; 0 is any number. What is said of the account counts before what is said of all, and an operation's name before AllRates.
func (l *Limits) Of(account, name string) int {
	for _, set := range []map[string]int{l.accounts[account], l.general} {
		if n, ok := set[name]; ok {
			return n
		}
		if n, ok := set[AllRates]; ok && strings.HasPrefix(name, RatePrefix) {
			return n
		}
	}
	return l.defaults[name]
}

// anyAccount reports whether a quota is set for anybody.
func (l *Limits) anyAccount(name string) bool {
	if l.Of("", name) > 0 {
		return true
	}
	for account := range l.accounts {
		if l.Of(account, name) > 0 {
			return true
		}
	}
	return false
}
