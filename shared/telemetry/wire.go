package telemetry

import (
	"math"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	"google.golang.org/protobuf/encoding/protowire"
)

// A message is one of protobuf's, as far as it has been written. The numbers of its fields are those of OTLP's
// .proto files.
type message []byte

func (m message) embed(field protowire.Number, b []byte) message {
	return protowire.AppendBytes(protowire.AppendTag(m, field, protowire.BytesType), b)
}

// text leaves out what is empty, as protobuf does.
func (m message) text(field protowire.Number, s string) message {
	if s == "" {
		return m
	}
	return m.embed(field, []byte(s))
}

func (m message) number(field protowire.Number, n uint64) message {
	return protowire.AppendVarint(protowire.AppendTag(m, field, protowire.VarintType), n)
}

func (m message) flag(field protowire.Number, set bool) message {
	return m.number(field, protowire.EncodeBool(set))
}

func (m message) fixed32(field protowire.Number, n uint32) message {
	return protowire.AppendFixed32(protowire.AppendTag(m, field, protowire.Fixed32Type), n)
}

func (m message) fixed64(field protowire.Number, n uint64) message {
	return protowire.AppendFixed64(protowire.AppendTag(m, field, protowire.Fixed64Type), n)
}

func (m message) float(field protowire.Number, f float64) message {
	return m.fixed64(field, math.Float64bits(f))
}

// time leaves out the zero time, which is that of what has no beginning.
func (m message) time(field protowire.Number, t time.Time) message {
	if t.IsZero() {
		return m
	}
	return m.fixed64(field, uint64(t.UnixNano()))
}

// attributes writes a KeyValue for each attribute.
func (m message) attributes(field protowire.Number, attributes []attribute.KeyValue) message {
	for _, kv := range attributes {
		m = m.embed(field, message(nil).text(1, string(kv.Key)).embed(2, anyValue(kv.Value)))
	}
	return m
}

// anyValue writes as text what is of no kind that we have.
func anyValue(v attribute.Value) message {
	switch v.Type() {
	case attribute.INT64:
		return message(nil).number(3, uint64(v.AsInt64()))
	case attribute.BOOL:
		return message(nil).flag(2, v.AsBool())
	default:
		return message(nil).embed(1, []byte(v.String()))
	}
}

// of begins the message that all spans, or metrics, of the process are sent in: who sends them.
func of(r *resource.Resource) message {
	return message(nil).embed(1, message(nil).attributes(1, r.Attributes()))
}

// in begins the message of those of one scope.
func in(scope string) message { return message(nil).embed(1, message(nil).text(1, scope)) }
