// Package lztest makes chunks that ask everything of a compressor, for tests.
package lztest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

const chunk = 32 << 10

// Chunks are contents of at most 32 KiB that shrink, each of another kind, by its name.
func Chunks() map[string][]byte {
	r := rand.New(rand.NewPCG(3, 4))
	noise := Noise()
	var text bytes.Buffer
	for i := range 900 {
		fmt.Fprintf(&text, "2026-01-01 00:00:%02d, Info SYSPRP line %d\r\n", i%60, i)
	}
	skewed := make([]byte, chunk)
	for i := range skewed {
		skewed[i] = byte(min(r.ExpFloat64()*3, 255))
	}
	// Frequencies of Fibonacci, whose tree is deeper than words may be long.
	var deep []byte
	for s, a, b := 0, 1, 1; len(deep)+a < chunk; s, a, b = s+1, b, a+b {
		deep = append(deep, bytes.Repeat([]byte{byte(s)}, a)...)
	}
	r.Shuffle(len(deep), func(i, j int) { deep[i], deep[j] = deep[j], deep[i] })
	mixed := append(bytes.Clone(noise[:9000]), text.Bytes()[:10000]...)
	mixed = append(mixed, noise[:9000]...)
	// Almost the whole window lies between two places that are alike.
	far := bytes.Clone(noise)
	copy(far[200:1200], bytes.Repeat([]byte{7}, 1000))
	copy(far[len(far)-300:], far[3:300])
	copy(far[len(far)-4:], far)
	records := make([]byte, 0, chunk)
	for i := range chunk / 24 {
		records = binary.LittleEndian.AppendUint64(records, uint64(i)*0x1000)
		records = binary.LittleEndian.AppendUint64(records, uint64(r.Uint32N(1<<10)))
		records = binary.LittleEndian.AppendUint64(records, 0x20)
	}
	return map[string][]byte{
		"zeros": make([]byte, chunk), "zeros but one": make([]byte, chunk-1), "text": text.Bytes()[:chunk], "skewed": skewed, "deep": deep, "mixed": mixed,
		"lengths": bytes.Join([][]byte{noise[:300], noise[:15], noise[:300], {1}, noise[:273], noise[:274], noise[:17], noise[:18], make([]byte, 5000), make([]byte, 269)}, []byte{7, 8, 9}),
		"short":   text.Bytes()[:700], "two": bytes.Repeat([]byte{1, 2}, 500), "far": far, "records": records,
		"period of 3": bytes.Repeat([]byte{1, 2, 3}, 9000), "period of 700": bytes.Repeat(noise[:700], 40),
		"calls": Calls(chunk), "odd calls": OddCalls(),
	}
}

// Noise is a content of 32 KiB that does not shrink.
func Noise() []byte {
	r := rand.New(rand.NewPCG(1, 1))
	noise := make([]byte, chunk)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	return noise
}

// Calls is machine code that calls ten functions from anywhere: as it is, no call is like
// another.
func Calls(size int) []byte {
	r := rand.New(rand.NewPCG(5, 6))
	var b []byte
	for len(b) < size {
		target := int32(r.IntN(10)) * 3001
		b = append(b, 0xe8)
		b = binary.LittleEndian.AppendUint32(b, uint32(target-int32(len(b)-1)))
		b = append(b, 0x48, 0x8b, byte(r.IntN(8)))
	}
	return b[:size]
}

// OddCalls has the byte of a call before all operands that are on the edge of being
// translated, also at the end of the chunk, and within operands.
func OddCalls() []byte {
	var b []byte
	for i := range 400 {
		at := int32(len(b))
		for _, v := range []int32{-at, -at - 1, -at + 1, 12_000_000 - at, 12_000_000 - at - 1, 12_000_000 - at + 1, 12_000_000, 11_999_999, -12_000_000, 0, -1, 1<<31 - 1, -1 << 31}[i%13:][:1] {
			b = append(b, 0xe8)
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		}
		b = append(b, 0, 0, 0)
		if i%7 == 0 {
			b = append(b, 0xe8, 0xe8, 0xe8, 0, 0, 0, 0, 0)
			b = append(b, 0xe8, 1, 0, 0, 0xe8, 1, 0, 0, 0)
		}
	}
	for range 12 {
		b = append(b, 0xe8, 1)
	}
	return b
}
