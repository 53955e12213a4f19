package preflight

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Bounds of what a guest may report; beyond them a document, or the fact, is not
// taken.
const (
	maxDocument = 8 << 20 // bytes
	maxText     = 64 << 10
	maxList     = 20_000
	maxReason   = 300 // characters that are kept of why a fact is missing
)

// Fact is something that the guest was asked: its value, or why there is none. The zero
// value is one that was not asked for, or not answered.
type Fact[T any] struct {
	value  T
	known  bool
	reason string
}

// Known makes a fact that has a value.
func Known[T any](value T) Fact[T] { return Fact[T]{value: value, known: true} }

// Unknown makes a fact that has none, and says why.
func Unknown[T any](reason string) Fact[T] { return Fact[T]{reason: reason} }

// Get returns the value, and whether there is one.
func (f Fact[T]) Get() (value T, known bool) { return f.value, f.known }

// Why says why there is no value.
func (f Fact[T]) Why() string {
	switch {
	case f.known:
		return ""
	case f.reason == "":
		return "the guest did not report it"
	}
	return f.reason
}

// MarshalJSON writes the fact as the guest reported it: {"value": ...} or {"error": ...}.
func (f Fact[T]) MarshalJSON() ([]byte, error) {
	if f.known {
		return json.Marshal(map[string]T{"value": f.value})
	}
	return json.Marshal(map[string]string{"error": f.Why()})
}

func (f *Fact[T]) take(raw json.RawMessage) {
	var got struct {
		Value json.RawMessage `json:"value"`
		Error *string         `json:"error"`
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		*f = Unknown[T]("what the guest reported cannot be read")
		return
	}
	if got.Error != nil {
		*f = Unknown[T](short(*got.Error))
		return
	}
	if len(got.Value) == 0 || string(got.Value) == "null" {
		*f = Unknown[T]("the guest reported no value")
		return
	}
	var value T
	if err := json.Unmarshal(got.Value, &value); err != nil {
		*f = Unknown[T]("what the guest reported cannot be read: " + short(typeError(err)))
		return
	}
	if err := within(reflect.ValueOf(value)); err != nil {
		*f = Unknown[T]("what the guest reported is not taken: " + err.Error())
		return
	}
	*f = Known(value)
}

// typeError says what is wrong with a value without the value.
func typeError(err error) string {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Sprintf("%s is a %s", wrong.Field, wrong.Value)
	}
	return "it is no JSON of the expected form"
}

// within checks the bounds of all texts and lists in a value.
func within(v reflect.Value) error {
	switch v.Kind() {
	case reflect.String:
		if v.Len() > maxText {
			return fmt.Errorf("a text of more than %d bytes", maxText)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			return within(v.Elem())
		}
	case reflect.Slice, reflect.Map:
		if v.Len() > maxList {
			return fmt.Errorf("a list of more than %d entries", maxList)
		}
		if v.Kind() == reflect.Map {
			for _, key := range v.MapKeys() {
				if err := errors.Join(within(key), within(v.MapIndex(key))); err != nil {
					return err
				}
			}
			return nil
		}
		for i := range v.Len() {
			if err := within(v.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				if err := within(v.Field(i)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func short(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	if runes := []rune(text); len(runes) > maxReason {
		return string(runes[:maxReason]) + "..."
	}
	return text
}

// ErrNotPreflight: a document is not one of preflight.ps1 in a version that is known.
var ErrNotPreflight = errors.New("not the report of preflight.ps1 that is expected")

// header is what every document has besides its facts.
type header struct {
	Script string                     `json:"script"`
	Schema int                        `json:"schema"`
	OK     bool                       `json:"ok"`
	Time   time.Time                  `json:"time"`
	Groups []Group                    `json:"groups"`
	Facts  map[string]json.RawMessage `json:"facts"`
}

// Parse reads documents of preflight.ps1, one for each command in the guest. The error is
// about a document as a whole: what those before it say is in the facts.
func Parse(documents ...[]byte) (Facts, error) {
	var f Facts
	for _, raw := range documents {
		if len(raw) > maxDocument {
			return f, fmt.Errorf("%w: it has more than %d bytes", ErrNotPreflight, maxDocument)
		}
		var h header
		if err := json.Unmarshal(raw, &h); err != nil {
			return f, fmt.Errorf("%w: %s", ErrNotPreflight, short(typeError(err)))
		}
		if h.Script != "preflight" || h.Schema != 1 || !h.OK {
			return f, fmt.Errorf("%w: script %q, schema %d, ok %t", ErrNotPreflight, short(h.Script), h.Schema, h.OK)
		}
		f.Add(h.Time, h.Groups, h.Facts)
	}
	return f, nil
}

// Add takes facts by their names, as they came, of groups that the guest was asked for at
// a time of its clock. A fact that cannot be read, or exceeds the bounds, is unknown and
// says why. Names that are not known here are ignored (contract.md).
func (f *Facts) Add(at time.Time, groups []Group, raw map[string]json.RawMessage) {
	if f.Time.IsZero() {
		f.Time = at
	}
	for _, g := range groups {
		if slices.Contains(Groups(), g) && !slices.Contains(f.Asked, g) {
			f.Asked = append(f.Asked, g)
		}
	}
	for name, take := range f.takers() {
		if fact, ok := raw[name]; ok {
			take(fact)
		}
	}
}

func yes(b *bool) bool { return b != nil && *b }
func no(b *bool) bool  { return b != nil && !*b }
