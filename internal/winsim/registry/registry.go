// Package registry is the registry of the simulated guest: HKEY_LOCAL_MACHINE
// with its hives SYSTEM and SOFTWARE, kept in memory and stored as real hive
// files.
package registry

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"sync"
	"unicode/utf16"
)

// Kind is the type of a value, as winnt.h numbers it.
type Kind uint32

// The kinds of values the guest knows.
const (
	String       Kind = 1
	ExpandString Kind = 2
	Binary       Kind = 3
	DWord        Kind = 4
	MultiString  Kind = 7
)

var kindNames = map[Kind]string{
	String: "REG_SZ", ExpandString: "REG_EXPAND_SZ", Binary: "REG_BINARY", DWord: "REG_DWORD", MultiString: "REG_MULTI_SZ",
}

func (k Kind) String() string { return kindNames[k] }

// ParseKind returns the kind of a name such as REG_SZ.
func ParseKind(name string) (Kind, bool) {
	for k, n := range kindNames {
		if strings.EqualFold(n, name) {
			return k, true
		}
	}
	return 0, false
}

// Value is one value of a key. Data is as stored in a hive: strings in
// UTF-16LE with their terminating zeros, numbers little endian.
type Value struct {
	Name string
	Kind Kind
	Data []byte
}

// ErrNotFound says that a key does not exist.
var ErrNotFound = errors.New("the system was unable to find the specified registry key or value")

// Key is one key with everything below it.
type Key struct {
	Name   string
	Values []Value
	Keys   []*Key
}

// Registry is safe for use by several goroutines.
type Registry struct {
	mu    sync.RWMutex
	hives map[string]*Key // SYSTEM, SOFTWARE, and HARDWARE, which has no file
}

// New returns a registry with empty hives.
func New() *Registry {
	return &Registry{hives: map[string]*Key{"SYSTEM": {Name: "SYSTEM"}, "SOFTWARE": {Name: "SOFTWARE"}, "HARDWARE": {Name: "HARDWARE"}}}
}

// Forget empties the hive that has no file, as a restart does.
func (r *Registry) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hives["HARDWARE"] = &Key{Name: "HARDWARE"}
}

func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '\\' })
}

// resolve returns hive and names below it of a path such as
// HKLM\SYSTEM\Setup. CurrentControlSet is a link that exists in memory only.
func (r *Registry) resolve(path string) (*Key, []string, bool) {
	names := split(path)
	if len(names) < 2 || (!strings.EqualFold(names[0], "HKLM") && !strings.EqualFold(names[0], "HKEY_LOCAL_MACHINE")) {
		return nil, nil, false
	}
	hive := r.hives[strings.ToUpper(names[1])]
	if hive == nil {
		return nil, nil, false
	}
	names = names[2:]
	if hive.Name == "SYSTEM" && len(names) > 0 && strings.EqualFold(names[0], "CurrentControlSet") {
		names = append([]string{"ControlSet001"}, names[1:]...)
	}
	return hive, names, true
}

func (k *Key) child(name string) *Key {
	for _, c := range k.Keys {
		if strings.EqualFold(c.Name, name) {
			return c
		}
	}
	return nil
}

func (k *Key) value(name string) int {
	return slices.IndexFunc(k.Values, func(v Value) bool { return strings.EqualFold(v.Name, name) })
}

func (r *Registry) find(path string) *Key {
	k, names, ok := r.resolve(path)
	if !ok {
		return nil
	}
	for _, name := range names {
		if k = k.child(name); k == nil {
			return nil
		}
	}
	return k
}

// without are hives that a machine has only once something is in them. They have no
// file here.
var without = []string{"CLUSTER", "BCD00000000"}

func (r *Registry) make(path string) *Key {
	if parts := split(path); len(parts) > 1 {
		if name := strings.ToUpper(parts[1]); r.hives[name] == nil && slices.Contains(without, name) {
			r.hives[name] = &Key{Name: parts[1]}
		}
	}
	k, names, ok := r.resolve(path)
	if !ok {
		return nil
	}
	for _, name := range names {
		next := k.child(name)
		if next == nil {
			next = &Key{Name: name}
			k.Keys = append(k.Keys, next)
		}
		k = next
	}
	return k
}

// Has reports whether a key exists.
func (r *Registry) Has(path string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.find(path) != nil
}

// Create makes a key and those above it; it reports false outside the hives.
func (r *Registry) Create(path string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.make(path) != nil
}

// Set writes a value, creating the key.
func (r *Registry) Set(path string, v Value) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.make(path)
	if k == nil {
		return false
	}
	if i := k.value(v.Name); i >= 0 {
		k.Values[i].Kind, k.Values[i].Data = v.Kind, v.Data
	} else {
		k.Values = append(k.Values, v)
	}
	return true
}

// SetString and SetDWord write the two most common kinds.
func (r *Registry) SetString(path, name, s string) { r.Set(path, StringValue(name, s)) }

// SetDWord writes a REG_DWORD value.
func (r *Registry) SetDWord(path, name string, n uint32) { r.Set(path, DWordValue(name, n)) }

// Get returns a value.
func (r *Registry) Get(path, name string) (Value, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if k := r.find(path); k != nil {
		if i := k.value(name); i >= 0 {
			return k.Values[i], true
		}
	}
	return Value{}, false
}

// GetString returns the text of a string value, or "".
func (r *Registry) GetString(path, name string) string {
	v, _ := r.Get(path, name)
	return v.Text()
}

// GetDWord returns a number and whether it is there.
func (r *Registry) GetDWord(path, name string) (uint32, bool) {
	v, ok := r.Get(path, name)
	return v.Number(), ok && v.Kind == DWord
}

// List returns a copy of the values and the names of the subkeys of a key.
func (r *Registry) List(path string) ([]Value, []string, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	k := r.find(path)
	if k == nil {
		return nil, nil, ErrNotFound
	}
	var names []string
	for _, c := range k.Keys {
		names = append(names, c.Name)
	}
	return slices.Clone(k.Values), names, nil
}

// DeleteValue removes a value and reports whether it was there.
func (r *Registry) DeleteValue(path, name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.find(path)
	if k == nil {
		return false
	}
	i := k.value(name)
	if i < 0 {
		return false
	}
	k.Values = slices.Delete(k.Values, i, i+1)
	return true
}

// DeleteKey removes a key with everything below it and reports whether it was
// there. A hive itself stays.
func (r *Registry) DeleteKey(path string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, names, ok := r.resolve(path)
	if !ok || len(names) == 0 {
		return false
	}
	cut := strings.LastIndex(strings.TrimRight(path, `\`), `\`)
	parent := r.find(path[:cut])
	if parent == nil {
		return false
	}
	before := len(parent.Keys)
	parent.Keys = slices.DeleteFunc(parent.Keys, func(k *Key) bool { return strings.EqualFold(k.Name, names[len(names)-1]) })
	return len(parent.Keys) < before
}

// StringValue and its sisters make values.
func StringValue(name, s string) Value { return Value{name, String, utf16z(s)} }

// ExpandValue makes a REG_EXPAND_SZ value.
func ExpandValue(name, s string) Value { return Value{name, ExpandString, utf16z(s)} }

// DWordValue makes a REG_DWORD value.
func DWordValue(name string, n uint32) Value {
	return Value{name, DWord, binary.LittleEndian.AppendUint32(nil, n)}
}

// MultiValue makes a REG_MULTI_SZ value.
func MultiValue(name string, list ...string) Value {
	var b []byte
	for _, s := range list {
		b = append(b, utf16z(s)...)
	}
	return Value{name, MultiString, append(b, 0, 0)}
}

func utf16z(s string) []byte {
	var b []byte
	for _, u := range append(utf16.Encode([]rune(s)), 0) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// Strings returns the strings of a string value, without terminating zeros.
func (v Value) Strings() []string {
	var list []string
	var units []uint16
	for i := 0; i+1 < len(v.Data); i += 2 {
		u := binary.LittleEndian.Uint16(v.Data[i:])
		if u != 0 {
			units = append(units, u)
			continue
		}
		list = append(list, string(utf16.Decode(units)))
		units = nil
	}
	if len(units) > 0 {
		list = append(list, string(utf16.Decode(units)))
	}
	if n := len(list); v.Kind == MultiString && n > 0 && list[n-1] == "" {
		list = list[:n-1] // the zero behind the last one; there may be empty ones among them
	}
	return list
}

// Text returns the first string of a string value.
func (v Value) Text() string {
	if v.Kind != String && v.Kind != ExpandString {
		return ""
	}
	if list := v.Strings(); len(list) > 0 {
		return list[0]
	}
	return ""
}

// Number returns a REG_DWORD value, or 0.
func (v Value) Number() uint32 {
	if v.Kind != DWord || len(v.Data) < 4 {
		return 0
	}
	return binary.LittleEndian.Uint32(v.Data)
}
