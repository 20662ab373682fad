package oauth

import (
	"context"
	"errors"
	"net/http"
)

// Open asks an authorization endpoint for the first page that a browser without cookies would get there, and tells its HTTP status and where it redirects to ("" when
// it does not). Nothing of the page is read, nor any redirect followed.
func (c *Client) Open(ctx context.Context, location string) (status int, to string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, location, nil)
	if err != nil {
		return 0, "", errors.New("its URL is malformed")
	}
	req.Header.Set("Accept", "text/html")
	req.Header.Set("User-Agent", userAgent)
	call := newCall(ctx, "authorization request", location)
	resp, err := c.HTTP.Do(req)
	if err != nil {
		call.Done("unusable", true)
		return 0, "", broken(err)
	}
	_ = resp.Body.Close()
	call.SetStatus(resp.StatusCode)
	call.Done("", false)
	if at, err := resp.Location(); err == nil {
		to = at.String()
	}
	return resp.StatusCode, to, nil
}

// CleanError is a vendor's error and its description, fit to be shown: without secrets, bounded, and on one line.
func CleanError(code, description string) string {
	code, description = clean(code, maxCode, nil), clean(description, maxDescription, nil)
	if description == "" {
		return code
	}
	return code + ": " + description
}
