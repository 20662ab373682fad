package wire

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"credence/internal/secret"
)

func TestAllPlansCompile(t *testing.T) {
	for _, op := range allOperations() {
		for _, s := range []any{op.in, op.out} {
			planOf(reflect.TypeOf(s)) // panics for a wrong tag
		}
	}
}

// A wrong tag never goes unnoticed.
func TestWrongTagsPanic(t *testing.T) {
	for name, s := range map[string]any{
		"no name": struct {
			A string `wire:"required"`
		}{},
		"an unknown word": struct {
			A string `json:"a" wire:"requird"`
		}{},
		"an unknown pattern": struct {
			A string `json:"a" wire:"pattern=none"`
		}{},
		"no bounds": struct {
			A string `json:"a" wire:"len=5"`
		}{},
		"bounds that are no numbers": struct {
			A string `json:"a" wire:"len=1..x"`
		}{},
		"a lower bound that is no number": struct {
			A string `json:"a" wire:"len=..5"`
		}{},
		"len of a list": struct {
			A []string `json:"a" wire:"len=1..5"`
		}{},
		"items of a string": struct {
			A string `json:"a" wire:"items=1..5"`
		}{},
		"range of a string": struct {
			A string `json:"a" wire:"range=1..5"`
		}{},
		"range of 64 bits": struct {
			A *int64 `json:"a" wire:"range=1..5"`
		}{},
		"each of a map": struct {
			A map[string]string `json:"a" wire:"each.len=1..5"`
		}{},
		"key of a list": struct {
			A []string `json:"a" wire:"key.len=1..5"`
		}{},
		"required of an element": struct {
			A []string `json:"a" wire:"each.required"`
		}{},
		"an optional label": struct {
			A string `json:"a" path:"a"`
		}{},
		"a number as a label": struct {
			A *int32 `json:"a" path:"a" wire:"required"`
		}{},
		"a label in the query": struct {
			A string `json:"a" path:"a" query:"a" wire:"required"`
		}{},
		"one text in the query": struct {
			A string `json:"a" query:"a"`
		}{},
		"a list in a header": struct {
			A []string `json:"a" query:"a" header:"A"`
		}{},
		"a type that the protocol lacks": struct {
			A float64 `json:"a"`
		}{},
		"an integer that cannot be absent": struct {
			A int32 `json:"a"`
		}{},
		"a structure that cannot be absent": struct {
			A Secret `json:"a"`
		}{},
		"a list of secrets": struct {
			A []secret.String `json:"a"`
		}{},
		"a header for free text": struct {
			A *string `json:"a" header:"X-Credence-A"`
		}{},
		"a header for what cannot be absent": struct {
			A Confirm `json:"a" header:"X-Credence-A"`
		}{},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "wire: ") {
					t.Errorf("recovered %q", got)
				}
			}()
			planOf(reflect.TypeOf(s))
		})
	}
}
