package regf

import (
	"errors"
	"fmt"
	"strings"
)

// Key is a key of an open hive.
type Key struct {
	h          *Hive
	offset     uint32
	parent     uint32
	name       string
	subkeys    uint32 // count and list of subkeys
	subkeyList uint32
	values     uint32 // count and list of values
	valueList  uint32
}

// maxKeyName is 256 characters; Windows allows 255.
const maxKeyName = 512

// key reads a key node (section "Key node").
func (h *Hive) key(off uint32) (*Key, error) {
	if err := h.budget.Spend(0, 1); err != nil {
		return nil, err
	}
	b, err := h.cell(off, 76)
	if err != nil {
		return nil, fmt.Errorf("reading key node: %w", err)
	}
	length := le.Uint16(b[72:])
	if string(b[:2]) != "nk" || length > maxKeyName || length == 0 {
		return nil, corrupt("key node at %#x", off)
	}
	whole, err := h.cell(off, 76+int64(length))
	if err != nil {
		return nil, fmt.Errorf("reading key node: %w", err)
	}
	const compressed = 0x20
	return &Key{
		h:          h,
		offset:     off,
		parent:     le.Uint32(b[16:]),
		name:       decodeName(whole[76:], le.Uint16(b[2:])&compressed != 0),
		subkeys:    le.Uint32(b[20:]),
		subkeyList: le.Uint32(b[28:]),
		values:     le.Uint32(b[36:]),
		valueList:  le.Uint32(b[40:]),
	}, nil
}

// child reads the key node of a subkey, which must name k as its parent.
func (k *Key) child(off uint32) (*Key, error) {
	sub, err := k.h.key(off)
	if err == nil && sub.parent != k.offset {
		return nil, corrupt("key node %s at %#x belongs to another key", sub.name, off)
	}
	return sub, err
}

// Root returns the root key.
func (h *Hive) Root() (*Key, error) { return h.key(h.root) }

// Key returns the key at a backslash-separated path below the root. The error
// for a missing key wraps ErrNotExist.
func (h *Hive) Key(path string) (*Key, error) {
	k, err := h.Root()
	if err != nil {
		return nil, err
	}
	return k.Key(path)
}

// Name is the key's name as written.
func (k *Key) Name() string { return k.name }

// Key returns the key at a backslash-separated path below k.
func (k *Key) Key(path string) (*Key, error) {
	for _, name := range strings.FieldsFunc(path, func(r rune) bool { return r == '\\' }) {
		sub, err := k.sub(name)
		if err != nil {
			if !errors.Is(err, ErrNotExist) {
				err = fmt.Errorf("reading subkeys of %s: %w", k.name, err)
			}
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		k = sub
	}
	return k, nil
}

func (k *Key) sub(name string) (*Key, error) {
	var found *Key
	want := upcase(name)
	hash, exact := nameHash(name)
	err := k.eachSubkey(func(off, h uint32, hashed bool) error {
		if hashed && exact && h != hash {
			return nil
		}
		sub, err := k.child(off)
		if err != nil {
			return err
		}
		if upcase(sub.name) == want {
			found = sub
			return errStop
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, ErrNotExist
	}
	return found, nil
}

// Subkeys returns the subkeys in the order of the hive, which is that of
// their upcased names.
func (k *Key) Subkeys() ([]*Key, error) {
	var out []*Key
	err := k.EachSubkey(func(sub *Key) bool {
		out = append(out, sub)
		return true
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// EachSubkey calls f with the subkeys in the order of the hive until it says
// that it wants no more.
func (k *Key) EachSubkey(f func(*Key) (more bool)) error {
	err := k.eachSubkey(func(off, _ uint32, _ bool) error {
		sub, err := k.child(off)
		if err == nil && !f(sub) {
			err = errStop
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("reading subkeys of %s: %w", k.name, err)
	}
	return nil
}

var errStop = errors.New("stop")

// eachSubkey calls f with the offset of every subkey and, where the list has
// it, the hash of its name (section "Subkeys list").
func (k *Key) eachSubkey(f func(off, hash uint32, hashed bool) error) error {
	if k.subkeys == 0 {
		return nil
	}
	// No hive holds more key nodes than fit into its bytes: this ends lists
	// that name the same leaf again and again.
	left := k.h.size / 80
	err := k.h.subkeyLeaf(k.subkeyList, true, &left, f)
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

// hashesAnItem is how many entries of a list of subkeys cost as much as a key
// or value.
const hashesAnItem = 16

func (h *Hive) subkeyLeaf(off uint32, top bool, left *int64, f func(off, hash uint32, hashed bool) error) error {
	head, err := h.cell(off, 4)
	if err != nil {
		return fmt.Errorf("reading list of subkeys: %w", err)
	}
	kind, count := string(head[:2]), int64(le.Uint16(head[2:]))
	step := int64(8)
	switch kind {
	case "lf", "lh":
	case "li":
		step = 4
	case "ri":
		if !top {
			return corrupt("index root below an index root at %#x", off)
		}
		step = 4
	default:
		return corrupt("list of subkeys at %#x has signature %q", off, kind)
	}
	list, err := h.cell(off, 4+count*step)
	if err == nil {
		err = h.budget.Spend(0, count/hashesAnItem)
	}
	if err != nil {
		return fmt.Errorf("reading list of subkeys: %w", err)
	}
	for e := list[4:]; len(e) > 0; e = e[step:] {
		if *left--; *left < 0 {
			return corrupt("list of subkeys at %#x is longer than the hive", off)
		}
		target := le.Uint32(e)
		switch kind {
		case "ri":
			err = h.subkeyLeaf(target, false, left, f)
		case "lh":
			err = f(target, le.Uint32(e[4:]), true)
		default:
			err = f(target, 0, false)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
