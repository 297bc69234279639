package deadletters

import (
	"encoding/base64"
	"net/url"
	"path"
	"strconv"
	"strings"
	"unicode"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/types"
)

// The attributes by which a KafkaSource says why an event became a dead letter.
const (
	errorDest = "knativeerrordest" // the function's address
	errorCode = "knativeerrorcode" // its answer's status; absent where there was none
	errorData = "knativeerrordata" // base64 of how the answer's body begins
)

// maxShown is how many characters are shown of a text that comes from outside.
const maxShown = 200

// reasonOf says in one printable line what e died of: the function, the status and the text of its answer.
func reasonOf(e cloudevents.Event) string {
	reason := shown(functionOf(extension(e, errorDest))) + " "
	if code := extension(e, errorCode); code != "" {
		reason += shown(code)
	} else {
		reason += "no answer"
	}
	data := extension(e, errorData)
	if text, err := base64.StdEncoding.DecodeString(data); err == nil {
		data = string(text)
	}
	if data = strings.TrimSpace(data); data != "" {
		reason += " " + strconv.Quote(begin(data))
	}
	return reason
}

// functionOf names the function that has this address: by the last part of the path, or else the host.
func functionOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	if last := path.Base(u.Path); last != "." && last != "/" {
		return last
	}
	return u.Host
}

// extension is the text of an attribute, empty where there is none.
func extension(e cloudevents.Event, name string) string {
	text, _ := types.Format(e.Extensions()[name]) // nil has none
	return text
}

// shown makes a text from outside one word on one line, without anything that a terminal would act on.
func shown(text string) string {
	odd := func(r rune) bool { return !unicode.IsPrint(r) || r == ' ' || r == '"' || r == unicode.ReplacementChar }
	switch text = begin(text); {
	case text == "":
		return "-"
	case strings.ContainsFunc(text, odd):
		return strconv.Quote(text)
	}
	return text
}

// begin returns no more of text than is shown.
func begin(text string) string {
	seen := 0
	for i := range text {
		if seen++; seen > maxShown {
			return text[:i] + "…"
		}
	}
	return text
}
