package payment

import (
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// What is wrong with a body. No error repeats any of it.
var (
	ErrNotJSON = errors.New("must be JSON in which no object has a name twice")
	ErrNumber  = errors.New("has a number that a double cannot hold, so that signature and request could differ: write it as a string")
)

// canonical is the one way to write a JSON text (RFC 8785). It refuses what would not mean the same afterwards.
func canonical(text string) (jsontext.Value, error) {
	d := jsontext.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.ReadToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, ErrNotJSON
		}
		if token.Kind() == '0' && !exact(token.String()) {
			return nil, ErrNumber
		}
	}
	v := jsontext.Value(text)
	if err := v.Canonicalize(); err != nil {
		return nil, ErrNotJSON
	}
	return v, nil
}

// exact reports whether a number of JSON, read as a double and written again, is still the same one.
func exact(number string) bool {
	f, err := strconv.ParseFloat(number, 64)
	return err == nil && digits(number) == digits(strconv.FormatFloat(f, 'e', -1, 64))
}

// digits are the significant digits of a number.
func digits(number string) string {
	mantissa, _, _ := strings.Cut(strings.ToLower(number), "e")
	return strings.Trim(strings.NewReplacer("-", "", ".", "").Replace(mantissa), "0")
}
