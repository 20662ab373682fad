package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// A reader walks over JSON that json.Valid has accepted, so it need not look at the grammar again. It exists because encoding/json
// matches member names without case, takes the last of two equal names, stops at the first wrong type and knows no list index.
type reader struct {
	data []byte
	pos  int
}

// peek returns the first byte of the next value, name or closing bracket. Commas and colons say nothing in valid JSON.
func (r *reader) peek() byte {
	for {
		switch b := r.data[r.pos]; b {
		case ' ', '\t', '\r', '\n', ',', ':':
			r.pos++
		default:
			return b
		}
	}
}

// open steps into an object or list: for r.open(); r.more(); { read a name and a value, or an element }.
func (r *reader) open() {
	r.peek()
	r.pos++
}

// more reports whether the object or list goes on, and steps out of it when not.
func (r *reader) more() bool {
	if b := r.peek(); b != '}' && b != ']' {
		return true
	}
	r.pos++
	return false
}

// quoted returns what the next string has between its quotes, escapes and all.
func (r *reader) quoted() []byte {
	r.peek()
	start := r.pos + 1
	for end := start; ; end++ {
		end += bytes.IndexByte(r.data[end:], '"')
		backslashes := 0
		for r.data[end-1-backslashes] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 {
			r.pos = end + 1
			return r.data[start:end]
		}
	}
}

// literal returns the next number, true, false or null.
func (r *reader) literal() []byte {
	r.peek()
	start := r.pos
	if n := bytes.IndexAny(r.data[start:], " \t\r\n,}]"); n >= 0 {
		r.pos += n
	} else {
		r.pos = len(r.data)
	}
	return r.data[start:r.pos]
}

// skip steps over the next value.
func (r *reader) skip() {
	for depth := 0; ; {
		switch r.peek() {
		case '{', '[':
			depth++
			r.pos++
		case '}', ']':
			depth--
			r.pos++
		case '"':
			r.quoted()
		default:
			r.literal()
		}
		if depth == 0 {
			return
		}
	}
}

// jsonType names the type of the value that begins with b.
func jsonType(b byte) string {
	switch b {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "a list"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// unescape resolves the escapes of a JSON string. It is false for half of a surrogate pair (RFC 8259 section 8.2), which encoding/json
// would replace: two different texts would become one.
func unescape(raw []byte) (text []byte, ok bool) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw, true
	}
	text = make([]byte, 0, len(raw))
	for {
		n := bytes.IndexByte(raw, '\\')
		if n < 0 {
			return append(text, raw...), true
		}
		text = append(text, raw[:n]...)
		c := raw[n+1]
		raw = raw[n+2:]
		if c != 'u' {
			text = append(text, escapes[c])
			continue
		}
		char := codeUnit(raw)
		raw = raw[4:]
		if utf16.IsSurrogate(char) {
			if !bytes.HasPrefix(raw, []byte(`\u`)) {
				return nil, false
			}
			if char = utf16.DecodeRune(char, codeUnit(raw[2:])); char == unicode.ReplacementChar {
				return nil, false
			}
			raw = raw[6:]
		}
		text = utf8.AppendRune(text, char)
	}
}

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// codeUnit reads the four hexadecimal digits after \u.
func codeUnit(digits []byte) rune {
	var b [2]byte
	_, _ = hex.Decode(b[:], digits[:4])
	return rune(binary.BigEndian.Uint16(b[:]))
}
