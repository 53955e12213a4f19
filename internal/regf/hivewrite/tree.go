// Package hivewrite builds small registry hives from nothing: for the
// simulated Windows guest and for tests. It writes the regf format, version
// 1.5, as M. Suhanov's "Windows registry file format specification" describes
// it; it does not edit existing hives.
//
// It shares no code with package regf, so that reader and writer check one
// another.
package hivewrite

import (
	"encoding/binary"
	"slices"
	"strings"
	"unicode/utf16"
)

// Value types (specification, section "Key value").
const (
	typeString       = 1
	typeExpandString = 2
	typeBinary       = 3
	typeDWord        = 4
	typeMultiString  = 7
)

// Key is a key of a hive to be built. Names of keys and values are compared
// without regard to case and written as first given.
type Key struct {
	name   string
	sub    map[string]*Key // by upcased name
	values []value
}

type value struct {
	name string
	typ  uint32
	data []byte
}

// NewKey returns an empty key. The name of the root key is of no consequence;
// Windows writes "ROOT" or the like.
func NewKey(name string) *Key { return &Key{name: name, sub: map[string]*Key{}} }

// Path returns the key at a backslash-separated path below k, creating what
// is missing. The empty path is k itself.
func (k *Key) Path(p string) *Key {
	for name := range strings.SplitSeq(p, `\`) {
		if name == "" {
			continue
		}
		id := upcase(name)
		next := k.sub[id]
		if next == nil {
			next = NewKey(name)
			k.sub[id] = next
		}
		k = next
	}
	return k
}

// Delete takes a key below k out, with all that is in it, if it is there.
func (k *Key) Delete(name string) *Key {
	delete(k.sub, upcase(name))
	return k
}

// SetString sets a REG_SZ value. The empty name is the key's default value.
func (k *Key) SetString(name, v string) *Key {
	return k.set(name, typeString, append(utf16le(v), 0, 0))
}

// SetExpandString sets a REG_EXPAND_SZ value.
func (k *Key) SetExpandString(name, v string) *Key {
	return k.set(name, typeExpandString, append(utf16le(v), 0, 0))
}

// SetDWord sets a REG_DWORD value.
func (k *Key) SetDWord(name string, v uint32) *Key {
	return k.set(name, typeDWord, binary.LittleEndian.AppendUint32(nil, v))
}

// SetMultiString sets a REG_MULTI_SZ value: the strings, each ended by a
// zero, and one more zero.
func (k *Key) SetMultiString(name string, v ...string) *Key {
	var b []byte
	for _, s := range v {
		b = append(append(b, utf16le(s)...), 0, 0)
	}
	return k.set(name, typeMultiString, append(b, 0, 0))
}

// SetBinary sets a REG_BINARY value of any length.
func (k *Key) SetBinary(name string, b []byte) *Key {
	return k.set(name, typeBinary, slices.Clone(b))
}

func (k *Key) set(name string, typ uint32, data []byte) *Key {
	for i := range k.values {
		if upcase(k.values[i].name) == upcase(name) {
			k.values[i].typ, k.values[i].data = typ, data
			return k
		}
	}
	k.values = append(k.values, value{name, typ, data})
	return k
}

// upcase stands in for Windows' upcase table, with which it agrees for every
// name this project writes.
func upcase(s string) string { return strings.ToUpper(s) }

func utf16le(s string) []byte {
	units := utf16.Encode([]rune(s))
	b := make([]byte, 0, 2*len(units))
	for _, u := range units {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// encodeName stores names of Latin-1 characters one byte each, all others in
// UTF-16; latin says which.
func encodeName(s string) (b []byte, latin bool) {
	for _, r := range s {
		if r > 0xff {
			return utf16le(s), false
		}
		b = append(b, byte(r))
	}
	return b, true
}
