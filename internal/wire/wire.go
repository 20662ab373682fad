// Package wire holds the shapes of the API: what a request may say, and what an answer says.
//
// It protects every layer above from input that was never checked. Each member's constraints stand beside it in a struct tag, one
// validator enforces them all, and its errors name each wrong member by its path without ever repeating the value of a sensitive one.
//
// The protocol is restJson1 of Smithy 2.0: member names are case-sensitive, unknown members are ignored, null means absent,
// timestamps are epoch seconds.
//
// # Tags
//
// The json tag names a member. The wire tag holds its constraints, separated by commas:
//
//	required          the member must be given; a required string must not be empty
//	sensitive         the value never appears in a message; implied by secret.String
//	len=1..128        the length of a string in Unicode code points; len=1.. has no upper end
//	pattern=name      the whole string matches the pattern of that name (patterns.go)
//	range=1..20       the value of an integer
//	items=0..50       the number of elements of a list, or of entries of a map
//	each.…            len, pattern or sensitive, for the elements of a list of strings
//	key.… value.…     the same, for the keys and values of a map
//
// A blank field with the tag wire:"union" marks a structure that must have exactly one of its members. The values of an enum are those
// of its Values method.
//
// The header tag names a request header that may carry the member in place of the body. A member with a path tag is the label of that
// name in the path, one with a query tag is all query parameters of that name; what the body says under their names is ignored.
package wire

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"unicode/utf8"

	"credence/internal/fault"
)

// Decode reads the JSON body of a request into in, a pointer to a zero input structure, binds the members outside the body, and validates.
// An empty body is an empty object. The error is a *fault.Fault of kind Validation: its reason is CannotParse for a body that is no
// JSON object in UTF-8, with "body" as its one field, else FieldValidationFailed with all wrong members (at most 50) in Fields.
func Decode(body []byte, o *Outside, in any) error {
	v, p := structureOf(in)
	var r report
	if len(body) > 0 {
		if err := parsable(body); err != nil {
			return err
		}
		d := decoder{reader: reader{data: body}, report: &r}
		d.object(p, v)
	}
	r.bindOutside(p, v, o)
	r.structure(p, v)
	return r.fault()
}

// Validate checks in, a pointer to an input or output structure, against the constraints of its tags.
// The error is a *fault.Fault of kind Validation with reason FieldValidationFailed and all wrong members (at most 50) in Fields.
func Validate(in any) error {
	v, p := structureOf(in)
	var r report
	r.structure(p, v)
	return r.fault()
}

// BindHeaders sets those members of in, a pointer to an input structure, that have a header tag and that the body left out. The AWS
// SDKs drop members that they do not know, but send any header. The error is a *fault.Fault of kind Validation that names each member
// whose header is no value for it, comes twice, or contradicts the body.
func BindHeaders(in any, h http.Header) error {
	v, p := structureOf(in)
	var r report
	r.bindHeaders(p, v, h)
	return r.fault()
}

func parsable(body []byte) error {
	cannotParse := func(format string, args ...any) error {
		f := fault.New(fault.Validation, format, args...)
		f.Reason, f.Fields = fault.CannotParse, []fault.Field{{Name: "body", Message: f.Msg}}
		return f
	}
	if !utf8.Valid(body) {
		return cannotParse("the request body is not valid UTF-8; send one JSON object in UTF-8")
	}
	if !json.Valid(body) {
		err, _ := errors.AsType[*json.SyntaxError](json.Unmarshal(body, new(json.RawMessage)))
		return cannotParse("the request body is not valid JSON (it breaks at byte %d of %d); send one JSON object", err.Offset, len(body))
	}
	r := reader{data: body}
	if b := r.peek(); b != '{' {
		return cannotParse("the request body must be a JSON object, not %s", jsonType(b))
	}
	return nil
}

func structureOf(p any) (reflect.Value, *plan) {
	v := reflect.ValueOf(p).Elem()
	return v, planOf(v.Type())
}
