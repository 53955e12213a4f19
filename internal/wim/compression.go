package wim

import (
	"fmt"
	"slices"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/wim/lzx"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/wim/xpress"
)

// Compression is how resources are compressed.
type Compression string

// The ways of compression: LZX makes smaller files than XPRESS and takes longer.
const (
	None   Compression = "none"
	XPRESS Compression = "xpress"
	LZX    Compression = "lzx"
)

// Compressions are the names of those there are, the default first.
func Compressions() []string { return []string{string(XPRESS), string(LZX), string(None)} }

func (c Compression) check() error {
	if all := Compressions(); !slices.Contains(all, string(c)) {
		return fmt.Errorf("compression %q is not one of %q", c, all)
	}
	return nil
}

// Flags of the header.
const (
	headerCompressed = 0x00000002
	headerXPRESS     = 0x00020000
	headerLZX        = 0x00040000
)

// flags are those of the header, and the size of chunks that stands there.
func (c Compression) flags() (flags, chunk uint32) {
	switch c {
	case XPRESS:
		return headerCompressed | headerXPRESS, chunkSize
	case LZX:
		return headerCompressed | headerLZX, chunkSize
	}
	return 0, 0
}

// compressor compresses chunks of at most chunkSize into dst, which is as long, and returns
// 0 for one that does not shrink.
type compressor interface {
	Compress(dst, src []byte) int
}

// compressor is one for a worker; nil where there is nothing to do for it.
func (c Compression) compressor() compressor {
	switch c {
	case XPRESS:
		return xpress.New()
	case LZX:
		return lzx.New()
	}
	return nil
}
