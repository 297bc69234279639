package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// The bounds of a body: its bytes, and how deep its values nest.
const (
	maxBody  = 64 << 10
	maxDepth = 32
)

// A Body is a JSON object that a client sent. Its members are read by name, in exactly that case; the
// ones nobody asks for are ignored.
type Body map[string]json.RawMessage

// ReadJSON reads the body of r. Its errors are MediaType, TooLarge, and Invalid for what is no JSON object.
func ReadJSON(w http.ResponseWriter, r *http.Request) (Body, error) {
	raw, err := ReadRaw(w, r)
	if err != nil {
		return nil, err
	}
	return ParseJSON(raw)
}

// ReadRaw reads the body of r as it is. Its errors are MediaType and TooLarge.
func ReadRaw(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if kind := r.Header.Get("Content-Type"); kind != "" {
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/json" {
			return nil, &sources.Error{Kind: sources.MediaType, Msg: "Unsupported media type; send application/json."}
		}
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &sources.Error{Kind: sources.TooLarge, Msg: "The body is larger than 64 KiB."}
	}
	if err != nil {
		return nil, &sources.Error{Kind: sources.Invalid, Msg: "The body cannot be read.", Err: err}
	}
	return raw, nil
}

// ParseJSON reads a body that ReadRaw returned; what is no JSON object is Invalid.
func ParseJSON(raw []byte) (Body, error) {
	if !utf8.Valid(raw) {
		return nil, sources.Invalidf("", "JSON parse error - the body is not valid UTF-8")
	}
	if err := checkText(raw); err != nil {
		return nil, err
	}
	var body Body
	err := json.Unmarshal(raw, &body)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return nil, sources.Invalidf("", "JSON parse error - %v", syntax)
	}
	if err != nil || body == nil {
		return nil, sources.Invalidf("", "Invalid data. Expected a dictionary, but got %s.", kindOf(raw))
	}
	return body, nil
}

// checkText refuses, before anything is made of it, what nests deeper than maxDepth, and half a surrogate
// pair in an escape: that is no character, and encoding/json would put the same one for each of them.
func checkText(raw []byte) error {
	depth, inText := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inText && c == '\\':
			length := escape(raw[i:])
			if length == 0 {
				return sources.Invalidf("", "JSON parse error - half a surrogate pair")
			}
			i += length - 1
		case c == '"':
			inText = !inText
		case inText:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return sources.Invalidf("", "JSON parse error - nested deeper than %d levels", maxDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// escape is the length of the escape that raw begins with; 0 for half a surrogate pair. What is no escape
// at all is left to the parser to complain of.
func escape(raw []byte) int {
	first, ok := codeUnit(raw)
	switch {
	case !ok:
		return 2
	case !utf16.IsSurrogate(first):
		return 6
	}
	if second, ok := codeUnit(raw[6:]); ok && utf16.DecodeRune(first, second) != utf8.RuneError {
		return 12
	}
	return 0
}

// codeUnit reads an escape of the form \uXXXX.
func codeUnit(raw []byte) (unit rune, ok bool) {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(raw[2:6]), 16, 16)
	return rune(n), err == nil
}

// kindOf names the kind of a JSON value as the clients' world does.
func kindOf(raw []byte) string {
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) == 0:
		return "nothing"
	case raw[0] == '[':
		return "list"
	case raw[0] == '"':
		return "str"
	case raw[0] == 't' || raw[0] == 'f':
		return "bool"
	case raw[0] == 'n':
		return "NoneType"
	case bytes.ContainsAny(raw, ".eE"):
		return "float"
	default:
		return "int"
	}
}

// String reads a string; ok is false where the field is absent. Null, another kind of value and NUL
// characters are Invalid errors.
func (b Body) String(field string) (s string, ok bool, err error) {
	raw, ok := b[field]
	if !ok {
		return "", false, nil
	}
	if err := notNull(field, raw); err != nil {
		return "", true, err
	}
	if raw[0] != '"' {
		return "", true, sources.Invalidf(field, "Not a valid string.")
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", true, err
	}
	return s, true, noNUL(field, s)
}

// ID reads an id, which clients send as a string or as a number, as text.
func (b Body) ID(field string) (id string, ok bool, err error) {
	raw := b[field]
	if len(raw) > 0 && (raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9') {
		return string(raw), true, nil
	}
	id, ok, err = b.String(field)
	if ok && err == nil && id == "" {
		err = sources.Invalidf(field, "This field may not be blank.")
	}
	return id, ok, err
}

// Bool reads true or false.
func (b Body) Bool(field string) (v, ok bool, err error) {
	raw, ok := b[field]
	if !ok {
		return false, false, nil
	}
	if err := notNull(field, raw); err != nil {
		return false, true, err
	}
	if raw[0] != 't' && raw[0] != 'f' {
		return false, true, sources.Invalidf(field, "Must be a valid boolean.")
	}
	return raw[0] == 't', true, nil
}

// Object reads an object; its text may hold no NUL characters, at any depth.
func (b Body) Object(field string) (o sources.Object, ok bool, err error) {
	raw, ok := b[field]
	if !ok {
		return nil, false, nil
	}
	if err := notNull(field, raw); err != nil {
		return nil, true, err
	}
	if raw[0] != '{' {
		return nil, true, sources.Invalidf(field, "Expected a dictionary of items but got type \"%s\".", kindOf(raw))
	}
	if err := noNULWithin(field, raw); err != nil {
		return nil, true, err
	}
	return o, true, json.Unmarshal(raw, &o)
}

// InField blames a field of the body for what is wrong with a member of it.
func InField(field string, err error) error {
	if e, ok := errors.AsType[*sources.Error](err); ok {
		e.Field = field
	}
	return err
}

func notNull(field string, raw json.RawMessage) error {
	if string(raw) == "null" {
		return sources.Invalidf(field, "This field may not be null.")
	}
	return nil
}

func noNULWithin(field string, raw json.RawMessage) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber() // whatever its size
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if s, ok := token.(string); ok {
			if err := noNUL(field, s); err != nil {
				return err
			}
		}
	}
}

func noNUL(field, s string) error {
	if strings.ContainsRune(s, 0) {
		return sources.Invalidf(field, "Null characters are not allowed.")
	}
	return nil
}
