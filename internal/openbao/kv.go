package openbao

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"credence/internal/secret"
)

// Mount is a secrets engine.
type Mount struct {
	Type    string // kv, transit, …
	Version int    // of KV: 1 or 2
}

// Mount says what is mounted at exactly that path. The error is an *Error, with status 403 or 404, when nothing is, or when the token may not use anything of it.
func (c *Client) Mount(ctx context.Context, path string) (Mount, error) {
	var found struct {
		Path    string            `json:"path"`
		Type    string            `json:"type"`
		Options map[string]string `json:"options"`
	}
	err := c.Do(ctx, http.MethodGet, "sys/internal/ui/mounts/"+path, nil, &found)
	if err != nil {
		return Mount{}, err
	}
	if strings.Trim(found.Path, "/") != path {
		return Mount{}, &Error{Status: http.StatusNotFound, Path: path, Text: []string{"no secrets engine is mounted there"}}
	}
	m := Mount{Type: found.Type, Version: 1}
	if found.Options["version"] == "2" {
		m.Version = 2
	}
	return m, nil
}

// Read is the newest version of a secret of a KV engine, version 1 or 2: its members, text as it is and other JSON values as JSON. The error is an *Error
// with status 404 when there is none, or when its newest version is deleted.
func (c *Client) Read(ctx context.Context, mount, path string) (map[string]secret.String, error) {
	m, err := c.Mount(ctx, mount)
	if err != nil {
		return nil, err
	}
	if m.Type != "kv" && m.Type != "generic" {
		return nil, fmt.Errorf("openbao: %s is a secrets engine of type %q, not kv", mount, m.Type)
	}
	var members map[string]json.RawMessage
	if m.Version == 2 {
		var version struct {
			Data map[string]json.RawMessage `json:"data"`
		}
		err = c.Do(ctx, http.MethodGet, mount+"/data/"+path, nil, &version)
		members = version.Data
	} else {
		err = c.Do(ctx, http.MethodGet, mount+"/"+path, nil, &members)
	}
	if err != nil {
		return nil, err
	}
	all := make(map[string]secret.String, len(members))
	for name, value := range members {
		var text string
		if json.Unmarshal(value, &text) != nil || string(value) == "null" {
			text = string(value)
		}
		all[name] = secret.New(text)
	}
	return all, nil
}

// unmarshal never quotes what it could not read.
func unmarshal(data []byte, into any) error {
	if json.Unmarshal(data, into) != nil {
		return errors.New("the answer is not of the documented form")
	}
	return nil
}
