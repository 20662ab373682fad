package sts

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"credence/internal/edge/door"
	"credence/internal/fault"
	"credence/internal/wire"
)

// ContainerPath is where SDKs come that have AWS_CONTAINER_CREDENTIALS_FULL_URI (AWS SDKs and Tools Reference Guide, "Container credential provider"): a second way to
// AssumeRoleWithWebIdentity, whose parameters, but for the token, are the query, and whose token is the Authorization header.
const ContainerPath = "/credence/container-credentials"

// containerCredentials is what SDKs read.
type containerCredentials struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	Token           string
	Expiration      string // RFC 3339
	RoleArn         string
}

// containerError is what SDKs show.
type containerError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// sessionOfContainer is the name of a session whose caller gives none: SDKs have no variable for it here.
const sessionOfContainer = "container"

func (d *Door) serveContainer(w http.ResponseWriter, r *http.Request, requestID string, start time.Time) {
	op := d.rows["AssumeRoleWithWebIdentity"]
	defer func() { op.latency.Observe(time.Since(start).Seconds()) }()
	w.Header().Set("Cache-Control", "no-store")
	result, role, err := d.answerContainer(r, op, requestID)
	if err != nil {
		f := door.Fault(err)
		e, ok := exceptions[f.Kind]
		if code, has := op.codes[f.Kind]; has && !door.OverRate(f) {
			e, ok = exception{code, http.StatusBadRequest}, true
		}
		if !ok {
			e = exception{"InternalFailure", http.StatusInternalServerError}
		}
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int((f.RetryAfter+time.Second-1)/time.Second)))
		}
		d.Metrics.Requests.WithLabelValues(op.Name, string(f.Kind)).Inc()
		writeJSON(w, e.status, containerError{e.code, f.Msg})
		door.LogRefusal(r.Context(), d.Log, requestID, op.Name, e.status, f, time.Since(start))
		return
	}
	c := result.Credentials
	writeJSON(w, http.StatusOK, containerCredentials{c.AccessKeyId, c.SecretAccessKey, c.SessionToken, c.Expiration.UTC().Format(time.RFC3339), role})
	op.ok.Inc()
}

func (d *Door) answerContainer(r *http.Request, op *row, requestID string) (*wire.AssumeRoleWithWebIdentityOutput, string, error) {
	form, err := parse([]byte(r.URL.RawQuery))
	if err != nil {
		return nil, "", err
	}
	if form.Has("WebIdentityToken") {
		return nil, "", fault.Invalid("WebIdentityToken", "must be in the Authorization header: addresses stand in logs")
	}
	tokens := r.Header.Values("Authorization")
	if len(tokens) != 1 {
		return nil, "", fault.Invalid("Authorization", "must be one header that has the web identity token: set AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
	}
	form.Set("WebIdentityToken", strings.TrimSpace(strings.TrimPrefix(tokens[0], "Bearer ")))
	if !form.Has("RoleSessionName") {
		form.Set("RoleSessionName", sessionOfContainer)
	}
	result, err := d.answerStranger(r, op, url.Values(form), requestID)
	if err != nil {
		return nil, "", err
	}
	return result.(*wire.AssumeRoleWithWebIdentityOutput), form.Get("RoleArn"), nil
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	text, _ := json.Marshal(v) // strings always marshal
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text)
}
