package fakeidp

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"time"
)

// DeviceCode is the grant type of RFC 8628 section 3.4.
const DeviceCode = "urn:ietf:params:oauth:grant-type:device_code"

// device is one device authorization in flight.
type device struct {
	clientID, userCode string
	scopes, resources  []string
	expiry             time.Time
	family             *family // nil until somebody approves
	denied, used       bool
}

// DeviceLifetime is how long a device code is good for.
const DeviceLifetime = 5 * time.Minute

// serveDevice begins a device authorization (RFC 8628 section 3.1).
func (v *Vendor) serveDevice(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	client, err := v.authenticate(r)
	if err == nil {
		err = checkResources(r.PostForm["resource"])
	}
	if err != nil {
		v.behaviour.refuse(w, err)
		return
	}
	code, userCode := v.secretValue("device"), "USER-"+rand.Text()[:4]
	v.devices[code] = &device{
		clientID: client.ID, userCode: userCode, scopes: v.behaviour.scopes(r.PostForm.Get("scope")), resources: r.PostForm["resource"], expiry: time.Now().Add(DeviceLifetime),
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"device_code": code, "user_code": userCode, "verification_uri": v.base + "/device", "verification_uri_complete": v.base + "/device?user_code=" + userCode,
		"expires_in": int(DeviceLifetime.Seconds()), "interval": 5,
	})
}

// Answer approves, as subject, or denies the device authorization of a user code; false when there is none.
func (v *Vendor) Answer(userCode, subject string, approve bool) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, d := range v.devices {
		if d.userCode == userCode {
			if approve {
				d.family = v.newFamily(d.clientID, subject, d.scopes, d.resources)
			}
			d.denied = !approve
			return true
		}
	}
	return false
}

// poll answers a device that asks (RFC 8628 section 3.5). It needs v.mu held.
func (v *Vendor) poll(client Client, form url.Values, thumbprint string, b Behaviour) (map[string]any, *refusal) {
	d, ok := v.devices[form.Get("device_code")]
	switch {
	case !ok || d.clientID != client.ID || d.used:
		return nil, &refusal{code: "invalid_grant", description: "the device code is unknown or was used"}
	case d.denied:
		return nil, &refusal{code: "access_denied", description: "the user said no"}
	case !time.Now().Before(d.expiry):
		return nil, &refusal{code: "expired_token", description: "the device code is expired"}
	case v.behaviour.SlowDown > 0:
		v.behaviour.SlowDown--
		return nil, &refusal{code: "slow_down", description: "too quick"}
	case d.family == nil:
		return nil, &refusal{code: "authorization_pending", description: "nobody has answered"}
	}
	d.used, d.family.thumbprint = true, thumbprint
	next := ""
	if !b.NoRefreshToken {
		next = v.newRefreshToken(d.family)
	}
	return v.newAnswer(d.family, b.grant(d.family.scopes), d.family.resources, next, b), nil
}

// LiveOf counts the refresh tokens and access tokens of a subject that are good.
func (v *Vendor) LiveOf(subject string) (n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, t := range v.accessTokens {
		if t.family.subject == subject && t.live() {
			n++
		}
	}
	for _, t := range v.refreshTokens {
		if t.family.subject == subject && t.successor == "" && !t.family.revoked {
			n++
		}
	}
	return n
}
