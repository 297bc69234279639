// Package plainrecord reads the plain records of other producers, as a KafkaSource hands them to a function.
package plainrecord

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode/utf8"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/types"

	"github.com/insights-onprem/cost-sources/shared/sources"
)

// Type is what a KafkaSource makes of a record that is no CloudEvent.
const Type = "dev.knative.kafka.event"

// EventType is what a record tells of.
func EventType(e cloudevents.Event) string { return header(e, "kafkaheadereventtype") }

// Account is the account number, empty if there is none.
func Account(e cloudevents.Event) string { return header(e, "kafkaheaderxrhsourcesaccountnumber") }

// Ours says whether the record is one of those that interop writes. A KafkaSource hands them on as the events that
// they are; but where one has lost what makes it an event, it still has the event's id.
func Ours(e cloudevents.Event) bool { return header(e, "kafkaheaderceid") != "" }

// Org takes the organization from where it is most certain. Some producers write an account number into tenant, so
// that it comes last. Its error is Invalid.
func Org(e cloudevents.Event, tenant *string) (string, error) {
	orgID := header(e, "kafkaheaderxrhsourcesorgid")
	if orgID == "" {
		orgID = identityOrg(header(e, "kafkaheaderxrhidentity"))
	}
	if orgID == "" && tenant != nil {
		orgID = *tenant
	}
	// PostgreSQL has no text that is not UTF-8 or holds a zero byte.
	if orgID == "" || !utf8.ValidString(orgID) || strings.ContainsRune(orgID, 0) {
		return "", sources.Invalidf("", "The record names no organization.")
	}
	return orgID, nil
}

// identityOrg is empty where the header does not hold an identity with an organization.
func identityOrg(header string) string {
	raw, err := base64.StdEncoding.DecodeString(header)
	if err != nil {
		return ""
	}
	var value struct {
		Identity struct {
			OrgID string `json:"org_id"`
		} `json:"identity"`
	}
	if json.Unmarshal(raw, &value) != nil {
		return ""
	}
	return value.Identity.OrgID
}

// header is a header of the record as the KafkaSource hands it on; empty if there is none.
func header(e cloudevents.Event, name string) string {
	text, err := types.Format(e.Extensions()[name])
	if err != nil {
		return ""
	}
	return text
}
