package regf

import (
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
)

// Types of values.
const (
	TypeString       = 1
	TypeExpandString = 2
	TypeDWord        = 4
	TypeDWordBE      = 5
	TypeLink         = 6
)

// Value is a value of a key. Its data is read when asked for.
type Value struct {
	// Name is empty for the default value of the key.
	Name string
	Type uint32
	h    *Hive
	size uint32 // as stored: the top bit says that the data is in place of the offset
	at   [4]byte
}

const (
	maxValueName   = 2 * 16383
	maxValue       = 64 << 20
	bigDataSegment = 16344
)

// Values returns the values of a key in the order of the hive.
func (k *Key) Values() ([]*Value, error) {
	var out []*Value
	err := k.eachValue(func(v *Value) bool {
		out = append(out, v)
		return true
	})
	return out, err
}

// Value returns the value of a name; the empty name is the key's default
// value. The error for a missing value wraps ErrNotExist.
func (k *Key) Value(name string) (*Value, error) {
	want := upcase(name)
	units := len(utf16.Encode([]rune(want)))
	var found *Value
	err := k.eachRecord(func(off uint32) (bool, error) {
		length, err := k.h.valueName(off)
		// Upper case never changes the length of a name in units.
		if err != nil || length != units {
			return true, err
		}
		v, err := k.h.value(off)
		if err == nil && upcase(v.Name) == want {
			found = v
		}
		return found == nil, err
	})
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, fmt.Errorf("%s\\%s: %w", k.name, name, ErrNotExist)
	}
	return found, nil
}

func (k *Key) eachValue(f func(*Value) (more bool)) error {
	return k.eachRecord(func(off uint32) (bool, error) {
		v, err := k.h.value(off)
		return err == nil && f(v), err
	})
}

// eachRecord calls f with the offset of every value, in pieces of the list: it
// may be as long as the hive.
func (k *Key) eachRecord(f func(off uint32) (more bool, err error)) error {
	if k.values == 0 {
		return nil
	}
	if int64(k.values) > k.h.size/24 {
		return corrupt("key %s has %d values in a hive of %d bytes", k.name, k.values, k.h.size)
	}
	fail := func(err error) error { return fmt.Errorf("reading values of %s: %w", k.name, err) }
	size, err := k.h.cellSize(k.valueList)
	if err != nil {
		return fail(err)
	}
	if need := 4 * int64(k.values); need > size {
		return fail(corrupt("cell at %#x has %d bytes of content, %d are needed", k.valueList, size, need))
	}
	piece := make([]byte, 4*min(int64(k.values), 1024))
	for i := int64(0); i < int64(k.values); i++ {
		at := 4 * (i % 1024)
		if at == 0 {
			n := 4 * min(1024, int64(k.values)-i)
			if err := k.h.read(piece[:n], int64(k.valueList)+4+4*i); err != nil {
				return fail(err)
			}
		}
		if err := k.h.budget.Spend(0, 1); err != nil {
			return fail(err)
		}
		more, err := f(le.Uint32(piece[at:]))
		if err != nil {
			return fail(err)
		}
		if !more {
			return nil
		}
	}
	return nil
}

// valueName is the length of the name of the value at off, in UTF-16 units.
func (h *Hive) valueName(off uint32) (int, error) {
	b, err := h.cell(off, 20)
	if err != nil {
		return 0, err
	}
	length := int(le.Uint16(b[2:]))
	if string(b[:2]) != "vk" || length > maxValueName {
		return 0, corrupt("value record at %#x", off)
	}
	if le.Uint16(b[16:])&1 == 0 {
		length /= 2
	}
	return length, nil
}

// value reads a key value (section "Key value").
func (h *Hive) value(off uint32) (*Value, error) {
	b, err := h.cell(off, 20)
	if err != nil {
		return nil, err
	}
	length := le.Uint16(b[2:])
	if string(b[:2]) != "vk" || length > maxValueName {
		return nil, corrupt("value record at %#x", off)
	}
	whole, err := h.cell(off, 20+int64(length))
	if err != nil {
		return nil, err
	}
	v := &Value{Name: decodeName(whole[20:], le.Uint16(b[16:])&1 != 0), Type: le.Uint32(b[12:]), h: h, size: le.Uint32(b[4:])}
	copy(v.at[:], b[8:])
	return v, nil
}

// Data returns the data of a value as stored, at most 64 MiB.
func (v *Value) Data() ([]byte, error) {
	b, err := v.data()
	if err != nil {
		return nil, fmt.Errorf("reading data of %q: %w", v.Name, err)
	}
	return b, nil
}

// inPlace marks a size: the data stands in place of its offset.
const inPlace = 1 << 31

// Size is the number of bytes of the data.
func (v *Value) Size() int64 { return int64(v.size &^ inPlace) }

func (v *Value) data() ([]byte, error) {
	size := v.Size()
	off := le.Uint32(v.at[:])
	switch {
	case v.size&inPlace != 0:
		if size > 4 {
			return nil, corrupt("%d bytes in place of an offset", size)
		}
		return append([]byte(nil), v.at[:size]...), nil
	case size == 0:
		return nil, nil
	case size > maxValue || size > v.h.size:
		return nil, corrupt("%d bytes", size)
	case v.h.budget.Spend(size, 0) != nil:
		return nil, v.h.budget.Err()
	case size > bigDataSegment && v.h.minor > 3:
		return v.h.bigData(off, size)
	}
	return v.h.cell(off, size)
}

// bigData reads data that is spread over segments (section "Big data").
func (h *Hive) bigData(off uint32, size int64) ([]byte, error) {
	head, err := h.cell(off, 8)
	if err != nil {
		return nil, err
	}
	if string(head[:2]) != "db" {
		return nil, corrupt("%d bytes without a big data record", size)
	}
	count := (size + bigDataSegment - 1) / bigDataSegment
	if got := int64(le.Uint16(head[2:])); got != count {
		return nil, corrupt("big data of %d bytes in %d segments", size, got)
	}
	list, err := h.cell(le.Uint32(head[4:]), 4*count)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, size)
	for ; len(list) > 0; list = list[4:] {
		segment, err := h.cell(le.Uint32(list), min(bigDataSegment, size-int64(len(out))))
		if err != nil {
			return nil, err
		}
		out = append(out, segment...)
	}
	return out, nil
}

// Text returns the text of a REG_SZ, REG_EXPAND_SZ or REG_LINK value up to its
// first NUL. Environment variables are not expanded. A text of more than limit
// bytes of data is cut, marked, and not read to its end.
func (v *Value) Text(limit int) (string, error) {
	if v.Type != TypeString && v.Type != TypeExpandString && v.Type != TypeLink {
		return "", fmt.Errorf("%q is of type %d, not a string: %w", v.Name, v.Type, ErrType)
	}
	if v.Size() <= int64(limit) {
		b, err := v.Data()
		s, _, _ := strings.Cut(decodeUTF16(b), "\x00")
		return s, err
	}
	if v.Size() > maxValue || v.Size() > v.h.size {
		return "", fmt.Errorf("reading data of %q: %w", v.Name, corrupt("%d bytes", v.Size()))
	}
	b, err := v.head(limit &^ 1)
	if err != nil {
		return "", fmt.Errorf("reading data of %q: %w", v.Name, err)
	}
	s, _, ended := strings.Cut(decodeUTF16(b), "\x00")
	if ended {
		return s, nil
	}
	return budget.CutFrom(s, len(s), v.Size()), nil
}

// head reads the first n bytes of data that is longer.
func (v *Value) head(n int) ([]byte, error) {
	off := le.Uint32(v.at[:])
	if v.Size() > bigDataSegment && v.h.minor > 3 {
		head, err := v.h.cell(off, 8)
		if err != nil {
			return nil, err
		}
		if string(head[:2]) != "db" {
			return nil, corrupt("%d bytes without a big data record", v.Size())
		}
		list, err := v.h.cell(le.Uint32(head[4:]), 4)
		if err != nil {
			return nil, err
		}
		off = le.Uint32(list)
	}
	return v.h.cell(off, int64(min(n, bigDataSegment)))
}

// AsDWord returns the number of a REG_DWORD value.
func (v *Value) AsDWord() (uint32, error) {
	if v.Type != TypeDWord && v.Type != TypeDWordBE {
		return 0, fmt.Errorf("%q is of type %d, not a double word: %w", v.Name, v.Type, ErrType)
	}
	if v.Size() != 4 {
		return 0, fmt.Errorf("%q is a double word of %d bytes: %w", v.Name, v.Size(), ErrType)
	}
	b, err := v.Data()
	if err != nil {
		return 0, err
	}
	if v.Type == TypeDWordBE {
		return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]), nil
	}
	return le.Uint32(b), nil
}
