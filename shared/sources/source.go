// Package sources holds what the system is about: sources, their applications, and the rules that both
// keep. It depends on nothing but the standard library.
package sources

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The one source type that is offered on-premise (contract section 2.1).
const (
	TypeID   = 1
	TypeName = "openshift"
	TypeOCP  = "OCP" // the provider type that stands for it in every body and event
)

// MaxText is the greatest length, in characters, of a source's name and of its cluster id.
const MaxText = 256

// Duplicate is what a client reads where another living source of its organization has the cluster.
const Duplicate = "Cost management does not allow duplicate accounts. " +
	"An integration already exists with these details. " +
	"Edit integration settings to configure a new integration."

// A Source is a row of the registry: who it is, and how far the functions have come with it. The row is
// the authority; it is locked by whoever changes it, and kept when the source is deleted.
type Source struct {
	ID            int64
	UUID          string // lower case, with hyphens
	OrgID         string
	AccountNumber string
	Name          string
	Type          string
	ClusterID     string // empty until a client brings it
	Credentials   Object
	BillingSource Object
	Paused        bool
	CreatedAt     time.Time
	UpdatedAt     time.Time
	DeletedAt     *time.Time

	// Application is the cost-management application, also one that is deleted; nil if there never was one.
	Application *Application

	Progress

	// History is what states the source was in, newest first; nil where nobody asked for it.
	History []Stage
}

// An Object is a JSON object whose values stay as they came.
type Object map[string]json.RawMessage

// JSON is v as JSON in which texts are as long as they came: encoding/json alone writes six bytes for each of <, > and &.
func JSON(v any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), err
}

// Progress is what the event functions and the relay record about a source.
type Progress struct {
	Generation         int64 // raised by each change
	ObservedGeneration int64 // the one that the provisioner last finished with
	Sequence           int64 // the last one that an event of this source was given
	State              State
	Reason             string // of a failure, for a person
	Attempts           int    // of the provisioner, since the last change
	StateAt            time.Time
	NextAttemptAt      time.Time // the relay asks for undone work no sooner

	ProviderDetachedAt *time.Time // a removal has begun and is not finished
	ProviderRemovedAt  *time.Time
	ROSCleanedAt       *time.Time
	ROSRecheckedAt     *time.Time
}

// State says how far the provider of a source is (contract section 2.1).
type State string

// The states. A deleted source is Waiting: nothing is to be made of it.
const (
	Waiting State = "waiting" // no cluster id, or no application
	Pending State = "pending" // changed since the provisioner last finished with it
	Ready   State = "ready"   // the provider matches the source
	Failed  State = "failed"  // a person has to mend something; Reason says what
)

// HasApplication reports whether the source has an application that is not deleted.
func (s Source) HasApplication() bool { return s.Application != nil && s.Application.DeletedAt == nil }

// WantsProvider reports whether there has to be a provider for s.
func (s Source) WantsProvider() bool {
	return s.DeletedAt == nil && s.ClusterID != "" && s.HasApplication()
}

// WantsRemoval reports whether there must not be a provider for s. A source with an application and without a cluster
// wants neither: nothing is to be made for it, and what Koku may have made for it before is not removed for that.
func (s Source) WantsRemoval() bool { return s.DeletedAt != nil || !s.HasApplication() }

// DetachedWith reports whether the removal of a provider that was under way when other was read still is.
func (s Source) DetachedWith(other Source) bool {
	return s.ProviderDetachedAt != nil && other.ProviderDetachedAt != nil && s.ProviderDetachedAt.Equal(*other.ProviderDetachedAt)
}

// UpToDate reports whether the provisioner has seen the last change of s.
func (s Source) UpToDate() bool { return s.ObservedGeneration >= s.Generation }

// ROSDue reports whether ROS data of s is to be removed (contract section 5).
func (s Source) ROSDue() bool {
	return s.ROSCleanedAt == nil && (s.DeletedAt != nil || !s.HasApplication())
}

// Availability is the availability_status of s. A pause shows at once, whatever the provisioner is at;
// only what cannot be made at all, or is gone, says so first.
func (s Source) Availability() string {
	switch {
	case s.State == Failed || s.DeletedAt != nil:
		return "unavailable"
	case s.Paused:
		return "paused"
	case s.State == Ready:
		return "available"
	default:
		return "in_progress"
	}
}

// SetCluster gives s a cluster id, which replaces its credentials, and reports whether it is its first.
func (s *Source) SetCluster(id string) (first bool) {
	first = s.ClusterID == ""
	s.ClusterID = id
	quoted, _ := JSON(id) // a string always encodes
	s.Credentials = Object{"cluster_id": quoted}
	return first
}

// Attach gives s an application if it has none, and reports whether it did. What was cleaned up in ROS
// after an earlier one says nothing about the new one.
func (s *Source) Attach() (made bool) {
	if s.HasApplication() {
		return false
	}
	s.Application = &Application{OrgID: s.OrgID, SourceID: s.ID, Extra: Object{}, Changed: true}
	s.ROSCleanedAt, s.ROSRecheckedAt = nil, nil
	return true
}

// MarkDeleted makes s a source that is gone since at. Its ROS data is due even where it had no
// application: what was never there costs one look.
func (s *Source) MarkDeleted(at time.Time) {
	s.DeletedAt = &at
	s.Detach(at)
	s.ROSCleanedAt, s.ROSRecheckedAt = nil, nil
}

// Detach makes s a source whose application is gone since at. The application can still be read, for the
// event that tells of it.
func (s *Source) Detach(at time.Time) {
	if s.HasApplication() {
		s.Application.DeletedAt, s.Application.Changed = &at, true
	}
}

// CheckName reports what is wrong with name as an Invalid error of the field of that name.
func CheckName(name string) error { return checkText("name", name) }

// CheckCluster is CheckName for a cluster id that came in field.
func CheckCluster(field, id string) error { return checkText(field, id) }

const blank = "This field may not be blank."

func checkText(field, s string) error {
	switch {
	case s == "":
		return Invalidf(field, blank)
	case utf8.RuneCountInString(s) > MaxText:
		return Invalidf(field, "Ensure this field has no more than %d characters.", MaxText)
	}
	return nil
}

// CheckTypeID reports an id of a source type that is not offered as an Invalid error. "3" is what the
// document calls it that this system was commissioned from, and another spelling of "1".
func CheckTypeID(id string) error {
	if IsTypeID(id) {
		return nil
	}
	return Invalidf("source_type_id", "Invalid source_type_id: %s", id)
}

// IsTypeID reports whether id is one of the spellings of the one source type's id.
func IsTypeID(id string) bool { return id == strconv.Itoa(TypeID) || id == "3" }

// CheckType reports a source type, given by name in any case, that is not offered as an Invalid error.
func CheckType(name string) error {
	switch {
	case strings.EqualFold(name, TypeOCP):
		return nil
	case name == "":
		return Invalidf("source_type", blank)
	}
	return Invalidf("source_type", "source_type '%s' is not supported on-premise; only OCP is allowed.", name)
}

// An organization's id becomes part of an unquoted schema name in Koku and of partition names in ROS.
var writableOrg = regexp.MustCompile(`^[a-z0-9_]{1,36}$`)

// CheckOrg reports an organization whose sources cannot be written as an Invalid error (contract
// section 2.1).
func CheckOrg(id string) error {
	if writableOrg.MatchString(id) {
		return nil
	}
	return Invalidf("", "The organization id '%s' cannot be used: 1 to 36 characters of a-z, 0-9 and _ are needed.", id)
}

// A Ref names a source as a client does: by its number or by its UUID. The other one is zero.
type Ref struct {
	ID   int64
	UUID string
}

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$`)

// ParseRef reads a decimal id or a UUID, in any case, with or without hyphens; ok is false for anything
// else.
func ParseRef(s string) (ref Ref, ok bool) {
	if id, ok := ParseID(s); ok {
		return Ref{ID: id}, true
	}
	if uuid, ok := ParseUUID(s); ok {
		return Ref{UUID: uuid}, true
	}
	return Ref{}, false
}

// ParseUUID reads a UUID in any case, with or without hyphens, and returns it in lower case with them.
func ParseUUID(s string) (uuid string, ok bool) {
	s = strings.ToLower(s)
	if !uuidForm.MatchString(s) {
		return "", false
	}
	s = strings.ReplaceAll(s, "-", "")
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:], true
}

// IsID reports whether s is written as an id is. One that is too great for ParseID is that of nothing.
func IsID(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// CheckSeen reports an id, seen in somebody else's data, that new ones cannot be above: of the 2,147,483,647 that there are
// it leaves too few.
func CheckSeen(id int64) error {
	const most = 2_000_000_000
	if id <= most {
		return nil
	}
	return fmt.Errorf("%d, which leaves too few ids: beyond %d something else than Koku or us has given it", id, most)
}

// ParseID reads a decimal id: digits only, and no more than a column of type integer holds.
func ParseID(s string) (id int64, ok bool) {
	n, err := strconv.ParseUint(s, 10, 31)
	return int64(n), err == nil
}
