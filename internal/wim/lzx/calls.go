package lzx

import "encoding/binary"

// fileSize is what WIM takes the size of every file for where calls are translated.
const fileSize = 12_000_000

// translateCalls makes the targets of x86 calls absolute, so that calls of one function are
// alike. What follows any byte 0xe8 is taken for a target, but for the last ten bytes.
func translateCalls(b []byte) {
	for i := 0; i < len(b)-10; i++ {
		if b[i] != 0xe8 {
			continue
		}
		operand := b[i+1 : i+5]
		target := int32(binary.LittleEndian.Uint32(operand))
		if target >= -int32(i) && target < fileSize {
			if target < fileSize-int32(i) {
				target += int32(i)
			} else {
				target -= fileSize
			}
			binary.LittleEndian.PutUint32(operand, uint32(target))
		}
		i += 4
	}
}
