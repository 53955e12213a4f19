package hivewrite

import (
	"encoding/binary"
	"slices"
	"unicode/utf16"
)

var le = binary.LittleEndian

const (
	pageSize = 4096
	none     = 0xffffffff

	// written is the time stamp of every hive and key, in FILETIME units:
	// the same tree gives the same bytes.
	written = 132514560000000000

	bigDataSegment = 16344 // bytes of data in one segment (section "Big data")
	leafEntries    = 500   // subkeys in one leaf before an index root is used
)

// Build returns the bytes of a clean hive: both sequence numbers of the base
// block are 1, so that no transaction log is consulted. fileName is stored in
// the base block for the record only, for instance
// `\SystemRoot\System32\Config\SOFTWARE`; its last 31 characters are kept.
func Build(root *Key, fileName string) []byte {
	bins, rootOffset := buildBins(root)
	return append(baseBlock(fileName, rootOffset, len(bins), 1, 1), bins...)
}

// buildBins returns the hive bins data and the offset of the root key in it.
func buildBins(root *Key) ([]byte, uint32) {
	w := &writer{}
	// One security descriptor for all keys: self-relative, with a null
	// discretionary ACL.
	descriptor := make([]byte, 20)
	descriptor[0] = 1
	le.PutUint16(descriptor[2:], 0x8004)
	sk := make([]byte, 20+len(descriptor))
	copy(sk, "sk")
	copy(sk[20:], descriptor)
	w.security = w.alloc(len(sk))
	le.PutUint32(sk[4:], w.security)
	le.PutUint32(sk[8:], w.security)
	le.PutUint32(sk[16:], uint32(len(descriptor)))
	rootOffset := w.key(root, none)
	w.endBin()
	le.PutUint32(sk[12:], w.keys)
	w.fill(w.security, sk)
	return w.bins, rootOffset
}

func baseBlock(fileName string, root uint32, binsSize int, seq1, seq2 uint32) []byte {
	h := make([]byte, pageSize)
	copy(h, "regf")
	le.PutUint32(h[4:], seq1)
	le.PutUint32(h[8:], seq2)
	le.PutUint64(h[12:], written)
	le.PutUint32(h[20:], 1) // version 1.5
	le.PutUint32(h[24:], 5)
	le.PutUint32(h[32:], 1) // loaded into memory directly
	le.PutUint32(h[36:], root)
	le.PutUint32(h[40:], uint32(binsSize))
	le.PutUint32(h[44:], 1) // clustering factor
	name := utf16le(fileName)
	copy(h[48:110], name[max(0, len(name)-62):])
	le.PutUint32(h[508:], checksum(h))
	return h
}

// checksum is the XOR-32 of the first 508 bytes of a base block, with the two
// values that mean "none" avoided.
func checksum(h []byte) uint32 {
	var c uint32
	for i := 0; i < 508; i += 4 {
		c ^= le.Uint32(h[i:])
	}
	switch c {
	case 0:
		return 1
	case none:
		return none - 1
	}
	return c
}

type writer struct {
	bins     []byte // hive bins; cell offsets count from its start
	pos, end int    // free part of the last bin
	security uint32 // offset of the one key security cell
	keys     uint32
}

// alloc takes a cell for n bytes of content, in a new bin where the last one
// is too full, and returns its offset.
func (w *writer) alloc(n int) uint32 {
	size := (n + 4 + 7) &^ 7
	if w.pos+size > w.end {
		w.endBin()
		bin := len(w.bins)
		length := (32 + size + pageSize - 1) &^ (pageSize - 1)
		w.bins = append(w.bins, make([]byte, length)...)
		copy(w.bins[bin:], "hbin")
		le.PutUint32(w.bins[bin+4:], uint32(bin))
		le.PutUint32(w.bins[bin+8:], uint32(length))
		if bin == 0 {
			le.PutUint64(w.bins[20:], written)
		}
		w.pos, w.end = bin+32, bin+length
	}
	offset := w.pos
	le.PutUint32(w.bins[offset:], uint32(-int32(size)))
	w.pos += size
	return uint32(offset)
}

// endBin makes the rest of the last bin one free cell.
func (w *writer) endBin() {
	if w.pos < w.end {
		le.PutUint32(w.bins[w.pos:], uint32(w.end-w.pos))
	}
}

func (w *writer) fill(offset uint32, content []byte) { copy(w.bins[offset+4:], content) }

func (w *writer) put(content []byte) uint32 {
	offset := w.alloc(len(content))
	w.fill(offset, content)
	return offset
}

// key writes a key node (section "Key node") and everything below it.
func (w *writer) key(k *Key, parent uint32) uint32 {
	w.keys++
	name, latin := encodeName(k.name)
	nk := make([]byte, 76+len(name))
	offset := w.alloc(len(nk))
	copy(nk, "nk")
	var flags uint16
	if latin {
		flags |= 0x20
	}
	if parent == none {
		flags |= 0x0c // root of the hive, not to be deleted
	}
	le.PutUint16(nk[2:], flags)
	le.PutUint64(nk[4:], written)
	le.PutUint32(nk[16:], parent)
	le.PutUint32(nk[20:], uint32(len(k.sub)))
	le.PutUint32(nk[28:], none)
	le.PutUint32(nk[32:], none)
	le.PutUint32(nk[36:], uint32(len(k.values)))
	le.PutUint32(nk[40:], none)
	le.PutUint32(nk[44:], w.security)
	le.PutUint32(nk[48:], none)
	le.PutUint16(nk[72:], uint16(len(name)))
	copy(nk[76:], name)
	if len(k.values) > 0 {
		var list []byte
		var longestName, longestData int
		for _, v := range k.values {
			longestName = max(longestName, len(utf16le(v.name)))
			longestData = max(longestData, len(v.data))
			list = le.AppendUint32(list, w.value(v))
		}
		le.PutUint32(nk[60:], uint32(longestName))
		le.PutUint32(nk[64:], uint32(longestData))
		le.PutUint32(nk[40:], w.put(list))
	}
	if len(k.sub) > 0 {
		subkeys := k.sorted()
		longest := 0
		for _, sub := range subkeys {
			longest = max(longest, len(utf16le(sub.name)))
		}
		le.PutUint32(nk[52:], uint32(longest))
		le.PutUint32(nk[28:], w.subkeys(subkeys, offset))
	}
	w.fill(offset, nk)
	return offset
}

// sorted returns the subkeys in the order Windows searches them: by upcased
// UTF-16 name.
func (k *Key) sorted() []*Key {
	type named struct {
		units []uint16
		key   *Key
	}
	var order []named
	for id, sub := range k.sub {
		order = append(order, named{utf16.Encode([]rune(id)), sub})
	}
	slices.SortFunc(order, func(a, b named) int { return slices.Compare(a.units, b.units) })
	var keys []*Key
	for _, n := range order {
		keys = append(keys, n.key)
	}
	return keys
}

// subkeys writes hash leaves and, above more than one, an index root
// (section "Subkeys list").
func (w *writer) subkeys(keys []*Key, parent uint32) uint32 {
	var leaves []uint32
	for chunk := range slices.Chunk(keys, leafEntries) {
		leaf := le.AppendUint16([]byte("lh"), uint16(len(chunk)))
		for _, k := range chunk {
			leaf = le.AppendUint32(leaf, w.key(k, parent))
			leaf = le.AppendUint32(leaf, nameHash(k.name))
		}
		leaves = append(leaves, w.put(leaf))
	}
	if len(leaves) == 1 {
		return leaves[0]
	}
	root := le.AppendUint16([]byte("ri"), uint16(len(leaves)))
	for _, leaf := range leaves {
		root = le.AppendUint32(root, leaf)
	}
	return w.put(root)
}

func nameHash(name string) uint32 {
	var h uint32
	for _, u := range utf16.Encode([]rune(upcase(name))) {
		h = h*37 + uint32(u)
	}
	return h
}

// value writes a key value (section "Key value"): up to four bytes of data in
// the record itself, up to 16344 in a cell, more in segments.
func (w *writer) value(v value) uint32 {
	name, latin := encodeName(v.name)
	vk := make([]byte, 20+len(name))
	copy(vk, "vk")
	le.PutUint16(vk[2:], uint16(len(name)))
	le.PutUint32(vk[4:], uint32(len(v.data)))
	le.PutUint32(vk[12:], v.typ)
	if latin && len(name) > 0 {
		le.PutUint16(vk[16:], 1)
	}
	copy(vk[20:], name)
	switch {
	case len(v.data) <= 4:
		le.PutUint32(vk[4:], uint32(len(v.data))|1<<31)
		copy(vk[8:12], v.data)
	case len(v.data) <= bigDataSegment:
		le.PutUint32(vk[8:], w.put(v.data))
	default:
		le.PutUint32(vk[8:], w.bigData(v.data))
	}
	return w.put(vk)
}

func (w *writer) bigData(data []byte) uint32 {
	var list []byte
	count := 0
	for segment := range slices.Chunk(data, bigDataSegment) {
		// Windows leaves four bytes behind each segment, and readers that
		// follow it expect the room.
		offset := w.alloc(len(segment) + 4)
		w.fill(offset, segment)
		list = le.AppendUint32(list, offset)
		count++
	}
	db := le.AppendUint16([]byte("db"), uint16(count))
	db = le.AppendUint32(db, w.put(list))
	return w.put(append(db, 0, 0, 0, 0))
}
