package hivewrite

import "math/bits"

// BuildDirty returns a hive as a machine leaves it that was not shut down:
// the file still holds before, and its transaction log (LOG1, format of
// Windows 8.1 and later) what makes it after (section "New format").
func BuildDirty(before, after *Key, fileName string) (hive, log []byte) {
	old, oldRoot := buildBins(before)
	bins, root := buildBins(after)
	hive = append(baseBlock(fileName, oldRoot, len(old), 2, 1), old...)

	entry := make([]byte, (40+8+len(bins)+511)&^511)
	copy(entry, "HvLE")
	le.PutUint32(entry[4:], uint32(len(entry)))
	le.PutUint32(entry[12:], 1) // follows what the hive file holds
	le.PutUint32(entry[16:], uint32(len(bins)))
	le.PutUint32(entry[20:], 1) // one run of pages: everything
	le.PutUint32(entry[44:], uint32(len(bins)))
	copy(entry[48:], bins)
	le.PutUint64(entry[24:], marvin32(entry[40:]))
	le.PutUint64(entry[32:], marvin32(entry[:32]))

	log = baseBlock(fileName, root, len(bins), 1, 1)[:512]
	le.PutUint32(log[28:], 6) // file type: log of the new format
	le.PutUint32(log[508:], checksum(log))
	return hive, append(log, entry...)
}

// marvin32 is the hash of log entries, with the seed of section "Log
// entries", note 3. All lengths here are multiples of four bytes.
func marvin32(b []byte) uint64 {
	lo, hi := uint32(0x7a4e55c5), uint32(0x82ef4d88)
	block := func(v uint32) {
		lo += v
		hi ^= lo
		lo = bits.RotateLeft32(lo, 20) + hi
		hi = bits.RotateLeft32(hi, 9) ^ lo
		lo = bits.RotateLeft32(lo, 27) + hi
		hi = bits.RotateLeft32(hi, 19)
	}
	for ; len(b) >= 4; b = b[4:] {
		block(le.Uint32(b))
	}
	block(0x80)
	block(0)
	return uint64(hi)<<32 | uint64(lo)
}
