package diskimage

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
)

// Named is the name of a disk that is no file of this machine: what its name
// promises and its content does not keep is warned of.
func Named(name string) Option { return func(o *opener) { o.name = name } }

// How far before the end of a file a VHD footer is looked for that is not where
// it belongs: tools that resize a file leave it behind. Over a network less is read.
const (
	strayReach       = 8 * mib
	strayReachRemote = 128 * kib
)

// warnName compares what was read as a raw disk with what its name says.
func (d *flat) warnName() {
	name := d.name
	if name == "" {
		name = d.path
	}
	switch ext := strings.ToLower(filepath.Ext(name)); ext {
	case ".vhd":
		d.info.NamedVHD = true
		const belongs = "named .vhd, but there is no VHD footer (cookie \"conectix\") in its last 512 bytes"
		if at, ok := d.strayFooter(); ok {
			d.info.StrayFooter = at
			d.info.warn("%s; one stands at %d, %d bytes before: Azure refuses such a file, and Hyper-V does not open it; cut off what is behind it (truncate -s %d FILE), or write it anew with sysprep-image",
				belongs, at, d.size-footerSize-at, at+footerSize)
			return
		}
		d.info.warn("%s: it is read as a raw disk; Azure refuses such a file, and Hyper-V does not open it; write it anew with sysprep-image (qemu-img convert -f raw -O vpc -o subformat=fixed,force_size=on)", belongs)
	case ".vhdx", ".qcow2":
		d.info.warn("named %s, but its content is no such file: it is read as a raw disk; check where it comes from", ext)
	}
}

// strayFooter finds the last VHD footer with a right checksum near the end.
func (d *flat) strayFooter() (int64, bool) {
	reach := strayReachRemote
	if _, local := d.ReaderAt.(*os.File); local {
		reach = strayReach
	}
	from := max(0, d.size-reach)
	b := make([]byte, d.size-from)
	if readFull(d.ReaderAt, b, from) != nil {
		return 0, false
	}
	for end := len(b); ; {
		i := bytes.LastIndex(b[:end], []byte(vhdCookie))
		if i < 0 {
			return 0, false
		}
		var f vhdFooter
		if raw, err := readStruct(bytes.NewReader(b), int64(i), be, &f); err == nil && f.check(raw) == nil {
			return from + int64(i), true
		}
		end = i
	}
}
