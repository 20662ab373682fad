package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Sizes of a document. They bound what one decision may cost.
const (
	MaxDocument = 20480 // bytes
	maxDepth    = 8     // of objects and lists in each other; the language needs six
	maxList     = 500   // values of one list
	maxValue    = 2048  // bytes of one value
)

// SyntaxError says what is wrong with a policy document, and where.
type SyntaxError struct {
	Line, Column int    // from 1; a column is a character
	Msg          string //
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("policy document, line %d, column %d: %s", e.Line, e.Column, e.Msg)
}

// node is a JSON value that knows where it stands.
type node struct {
	offset  int
	kind    byte     // '{', '[', '"', '0' for a number, 't' for a boolean, 'n' for null
	text    string   // of a string, number or boolean
	members []member // of an object, in their order, each name once
	items   []*node  // of a list
}

type member struct {
	offset int
	name   string
	value  *node
}

func (n *node) String() string {
	switch n.kind {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case 'n':
		return "null"
	}
	return fmt.Sprintf("%q", n.text)
}

// reader reads JSON strictly: valid UTF-8, each name once in its object, nothing after the end.
type reader struct {
	text []byte
	d    *json.Decoder
}

func (r *reader) fail(offset int, format string, args ...any) error {
	before := r.text[:min(offset, len(r.text))]
	line := bytes.Count(before, []byte("\n"))
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	return &SyntaxError{line + 1, column + 1, fmt.Sprintf(format, args...)}
}

func readDocument(text []byte) (*reader, *node, error) {
	r := &reader{text: text}
	if len(text) > MaxDocument {
		return r, nil, r.fail(0, "it has %d bytes, at most %d are possible", len(text), MaxDocument)
	}
	if !utf8.Valid(text) {
		i := 0
		for {
			c, n := utf8.DecodeRune(text[i:])
			if c == utf8.RuneError && n == 1 {
				return r, nil, r.fail(i, "it is not UTF-8")
			}
			i += n
		}
	}
	r.d = json.NewDecoder(bytes.NewReader(text))
	r.d.UseNumber()
	n, err := r.value(0)
	if err != nil {
		return r, nil, err
	}
	if at := r.next(); at < len(text) {
		return r, nil, r.fail(at, "there is text after the document")
	}
	return r, n, nil
}

// next is where the next token begins.
func (r *reader) next() int {
	i := int(r.d.InputOffset())
	for i < len(r.text) && strings.IndexByte(" \t\r\n,:", r.text[i]) >= 0 {
		i++
	}
	return i
}

func (r *reader) token() (json.Token, int, error) {
	at := r.next()
	t, err := r.d.Token()
	if err == nil {
		return t, at, nil
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return nil, at, r.fail(max(int(e.Offset)-1, at), "it is not JSON: %v", err)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, at, r.fail(len(r.text), "it is not JSON: it ends too early")
	}
	return nil, at, r.fail(at, "it is not JSON: %v", err)
}

func (r *reader) value(depth int) (*node, error) {
	t, at, err := r.token()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, r.fail(at, "there is too much nesting")
	}
	n := &node{offset: at}
	switch t := t.(type) {
	case nil:
		n.kind = 'n'
	case bool:
		n.kind, n.text = 't', fmt.Sprint(t)
	case json.Number:
		n.kind, n.text = '0', t.String()
	case string:
		n.kind, n.text = '"', t
	case json.Delim:
		n.kind = byte(t)
		if n.kind == '{' {
			return n, r.object(n, depth)
		}
		return n, r.list(n, depth)
	}
	if len(n.text) > maxValue {
		return nil, r.fail(at, "this value has %d bytes, at most %d are possible", len(n.text), maxValue)
	}
	return n, nil
}

func (r *reader) object(n *node, depth int) error {
	seen := map[string]bool{}
	for r.d.More() {
		t, at, err := r.token()
		if err != nil {
			return err
		}
		name := t.(string) // the decoder demands it
		if seen[name] {
			return r.fail(at, "%q stands here twice", name)
		}
		seen[name] = true
		v, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		n.members = append(n.members, member{at, name, v})
	}
	_, _, err := r.token()
	return err
}

func (r *reader) list(n *node, depth int) error {
	for r.d.More() {
		v, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		if n.items = append(n.items, v); len(n.items) > maxList {
			return r.fail(v.offset, "the list is too long, at most %d values are possible", maxList)
		}
	}
	_, _, err := r.token()
	return err
}

// many is IAM's habit of writing a list of one without brackets. An empty list is an error.
func (r *reader) many(n *node, what string) ([]*node, error) {
	if n.kind != '[' {
		return []*node{n}, nil
	}
	if len(n.items) == 0 {
		return nil, r.fail(n.offset, "%s is empty", what)
	}
	return n.items, nil
}

// str is the text of a string; what says which.
func (r *reader) str(n *node, what string) (string, error) {
	if n.kind != '"' {
		return "", r.fail(n.offset, "%s must be a string, not %v", what, n)
	}
	return n.text, nil
}
