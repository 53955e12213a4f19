package diskimage

import (
	"bytes"
	"fmt"
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
		if at, what, ok := d.brokenFooter(); ok {
			d.info.warn("%s, but %s: Azure refuses such a file, and Hyper-V does not open it; the disk before it is whole: cut that off (truncate -s %d FILE), and write a footer anew with sysprep-image (or qemu-img convert -f raw -O vpc -o subformat=fixed,force_size=on)", belongs, what, at)
			return
		}
		d.info.warn("%s: it is read as a raw disk; Azure refuses such a file, and Hyper-V does not open it; write it anew with sysprep-image (qemu-img convert -f raw -O vpc -o subformat=fixed,force_size=on)", belongs)
	case ".vhdx", ".qcow2":
		d.info.warn("named %s, but its content is no such file: it is read as a raw disk; check where it comes from", ext)
	}
}

// brokenFooter finds, at the end of the file, a footer that is not all there, or
// whose cookie is damaged, and says where it begins and what is wrong with it. Old
// programs wrote 511 bytes ([VHD], "Hard Disk Footer Format").
func (d *flat) brokenFooter() (at int64, what string, ok bool) {
	if d.size <= footerSize {
		return 0, "", false
	}
	b := make([]byte, 2*footerSize) // the rest of it stays zero
	if readFull(d.ReaderAt, b[:footerSize], d.size-footerSize) != nil {
		return 0, "", false
	}
	i := max(0, bytes.LastIndex(b[:footerSize], []byte(vhdCookie)))
	at = d.size - footerSize + int64(i)
	var f vhdFooter
	if _, err := readStruct(bytes.NewReader(b), int64(i), be, &f); err != nil || int64(f.CurrentSize) != at || f.FileFormatVersion>>16 != vhdVersion>>16 {
		return 0, "", false
	}
	if i > 0 {
		return at, fmt.Sprintf("one begins at %d of which %d bytes are there", at, footerSize-i), true
	}
	return at, "one with a damaged cookie", true
}

// warnFooterInside warns of a disk whose last sector is the footer of the VHD that
// it was made from: programs that go by the first bytes take a fixed VHD for a raw
// disk, and its footer for a part of it.
func warnFooterInside(d Disk) {
	about, ok := d.(interface{ about() *Info })
	if !ok || d.Size()%mib != footerSize || d.Size() <= footerSize {
		return // a VHD of whole MiB, as nearly all are, makes such a disk
	}
	var f vhdFooter
	b, err := readStruct(d, d.Size()-footerSize, be, &f)
	if err != nil || f.check(b) != nil || int64(f.CurrentSize) != d.Size()-footerSize {
		return
	}
	about.about().warn("the last sector of the disk is the footer of a VHD: a fixed VHD was taken for a raw disk when this file was made, so that the disk is 512 bytes too long; convert that VHD again and say what it is (qemu-img convert -f vpc)")
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
