package lzx

import (
	"bytes"
	"os"
	"testing"
	"time"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/wim/xpress"
)

func TestTune(t *testing.T) {
	path := os.Getenv("TUNE")
	if path == "" { t.Skip() }
	b, _ := os.ReadFile(path)
	c := New()
	x := xpress.New()
	dst := make([]byte, 32768)
	total, xp, blocks := 0, 0, [3]int{}
	start := time.Now()
	for i := 0; i < len(b); i += 32768 {
		src := b[i:min(len(b), i+32768)]
		n := c.Compress(dst[:len(src)], src)
		if os.Getenv("CHECK") != "" && n>0 {
			u, err := unpack(dst[:n], len(src))
			if err != nil || !bytes.Equal(u.out, src) { t.Fatalf("at %d: %v", i, err) }
			for k := range blocks { blocks[k] += u.blocks[k] }
		}
		if n == 0 { n = len(src) }
		total += n
	}
	el := time.Since(start)
	start = time.Now()
	for i := 0; i < len(b); i += 32768 {
		src := b[i:min(len(b), i+32768)]
		n := x.Compress(dst[:len(src)], src)
		if n == 0 { n = len(src) }
		xp += n
	}
	t.Logf("%s: %d -> %d, %.2f s (%.1f MB/s); blocks %v; xpress %d %.2f s", path, len(b), total, el.Seconds(), float64(len(b))/el.Seconds()/1e6, blocks, xp, time.Since(start).Seconds())
}
