package diskimage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// strangerHead is how much of a file is looked at to tell what it is: the
// volume descriptors of a disc lie at 32 KiB.
const strangerHead = 36 * kib

// stranger is a kind of file that people take for a disk, and that would be read
// as a raw one without any Windows on it.
type stranger struct {
	name string // with its article
	next string // the way out
	at   int64
	// magics are what stands there, one of them.
	magics []string
}

const (
	// toQcow2 is the way out for a disk in a format that is not read here.
	toQcow2 = "convert it first (qemu-img convert -O qcow2 FILE disk.qcow2)"
	// fromSnapshot is for disks that a machine of ESX writes on top of another one.
	fromSnapshot = "ESX keeps snapshots in such files: delete the snapshots, or export the machine as an OVA (ovftool), and name that; or convert the disk first by its descriptor, with all its files beside it (qemu-img convert -f vmdk -O qcow2 FILE disk.qcow2)"
	fromMedia    = "this plugin starts from a disk that Windows is installed on: install Windows from it first, with source \"qemu\" or \"hyperv-iso\" for instance, and use the disk that comes of it"
)

// strangers in the order they are tried. Sources of the magics: the formats'
// own descriptions, and for disks QEMU's block drivers (block/vmdk.c, vdi.c,
// qed.c, parallels.c, bochs.c, dmg.c, cloop.c, luks.c).
var strangers = []stranger{
	{"a piece of a VMDK of ESX (COWD, of type vmfsSparse)", fromSnapshot, 0, []string{"COWD"}},
	{"a piece of a VMDK of ESX (SESparse)", fromSnapshot, 0, []string{"\xbe\xba\xfe\xca\x00\x00\x00\x00"}},
	{"a VDI (VirtualBox)", toQcow2, 64, []string{"\x7f\x10\xda\xbe"}},
	{"a VDI (VirtualBox) whose header is damaged", "copy or download it again", 0, []string{"<<< Oracle VM", "<<< QEMU VM", "<<< Sun ", "<<< innotek"}},
	{"an FFU, which Windows applies to a disk", "apply it to a disk first (DISM /Apply-Ffu), and take that disk", 4, []string{"SignedImage "}},
	{"a backup of Proxmox (VMA)", "unpack it first (vma extract), and name the disk in it", 0, []string{"VMA\x00\x00\x00\x00\x01"}},
	{"the saved state of a QEMU machine", "name the machine's disk", 0, []string{"QEVM\x00\x00\x00"}},
	{"a squashfs file system", "unpack it first (unsquashfs)", 0, []string{"hsqs"}},
	{"an event log of Windows", "name the disk that it is from", 0, []string{"ElfFile\x00"}},
	{"a registry hive of Windows", "name the disk that it is from", 0, []string{"regf"}},
	{"a QED disk", toQcow2, 0, []string{"QED\x00"}},
	{"a Parallels disk", "convert it first (qemu-img convert -f parallels -O qcow2 FILE disk.qcow2)", 0, []string{"WithoutFreeSpace", "WithouFreSpacExt"}},
	{"a Bochs disk", "convert it first (qemu-img convert -f bochs -O qcow2 FILE disk.qcow2)", 0, []string{"Bochs Virtual HD Image"}},
	{"an EnCase disk image (E01)", "export it as a raw disk first (ewfexport)", 0, []string{"EVF\x09\x0d\x0a\xff\x00", "EVF2\x0d\x0a\x81\x00"}},
	{"an encrypted LUKS disk", "decrypt it into a raw file first", 0, []string{"LUKS\xba\xbe"}},
	{"a WIM or ESD, which holds files and no disk", "apply it to a disk first (DISM /Apply-Image and bcdboot)", 0, []string{"MSWIM\x00\x00\x00"}},
	{"a gzip file", "unpack it first (gunzip)", 0, []string{"\x1f\x8b\x08"}},
	{"an xz file", "unpack it first (unxz)", 0, []string{"\xfd7zXZ\x00"}},
	{"a zst (Zstandard) file", "unpack it first (unzstd)", 0, []string{"\x28\xb5\x2f\xfd"}},
	{"a bzip2 file", "unpack it first (bunzip2)", 0, []string{"BZh11AY&SY", "BZh21AY&SY", "BZh31AY&SY", "BZh41AY&SY", "BZh51AY&SY", "BZh61AY&SY", "BZh71AY&SY", "BZh81AY&SY", "BZh91AY&SY"}},
	{"an lz4 file", "unpack it first (unlz4)", 0, []string{"\x04\x22\x4d\x18"}},
	{"a zip file", "unpack it first (unzip)", 0, []string{"PK\x03\x04", "PK\x05\x06"}},
	{"a 7z file", "unpack it first (7z x)", 0, []string{"7z\xbc\xaf\x27\x1c"}},
	{"a RAR file", "unpack it first (unrar x)", 0, []string{"Rar!\x1a\x07"}},
	{"a CAB file", "unpack it first (expand -F:* or cabextract)", 0, []string{"MSCF\x00\x00\x00\x00"}},
	{tarName, tarNext, tarAt, tarMagics},
	{"an ISO: the image of an optical disc", fromMedia, 0x8001, []string{"CD001", "BEA01", "NSR02", "NSR03"}},
	{"an Apple disk image", "convert it first (qemu-img convert -f dmg -O qcow2 FILE disk.qcow2)", 0, []string{"encrcdsa"}},
	{"a Windows program", "name the disk", 0, []string{"MZ\x90\x00\x03\x00\x00\x00"}},
	{"a PDF", "name the disk", 0, []string{"%PDF-"}},
	{"the saved state of a Hyper-V machine or its settings", "name the machine's .vhd or .vhdx", 0, []string{"HyperV Storage"}},
	{"a list of disks that are shared (VHD Set)", "name the .avhdx or .vhdx that it stands for", 0, []string{"rctfile\x00"}},
}

// whatIsIt names what a file is that holds no disk in a format that is read
// here; nil where nothing is known against it. head is its beginning.
func whatIsIt(head []byte, size int64) error {
	if name, next, ok := WhatElse(head); ok {
		return notADisk(name, next)
	}
	if name, next := textKind(head, size); name != "" && size >= minText {
		return notADisk(name, next)
	}
	if size < 512 {
		return told{corrupt("the file has %d bytes, less than a sector: copy or download it again", size)}
	}
	return nil
}

// lostIdentifier knows a VHDX whose first sector was overwritten: its headers and region
// tables ([MS-VHDX], 2.2) are at the places they always have. It is asked of files
// that begin with zeros.
func lostIdentifier(r io.ReaderAt, size int64) error {
	found := 0
	for _, mark := range []struct {
		at   int64
		text string
	}{{64 * kib, "head"}, {128 * kib, "head"}, {192 * kib, "regi"}, {256 * kib, "regi"}} {
		b := make([]byte, len(mark.text))
		if mark.at+int64(len(b)) > size {
			break
		}
		if err := readFull(r, b, mark.at); err != nil {
			return fmt.Errorf("looking for the headers of a VHDX: %w", err)
		}
		if string(b) == mark.text {
			found++
		}
	}
	if found < 3 {
		return nil
	}
	return told{corrupt("this is a VHDX whose first bytes, by which it is known, were overwritten: copy or download it again, or write %q there", vhdxFileSign)}
}

// WhatElse names a file, by its beginning, that is of none of the kinds read here
// and no text: an archive for instance, and the way to what is in it. ok is false
// where it is not known.
func WhatElse(head []byte) (name, next string, ok bool) {
	for _, s := range strangers {
		for _, magic := range s.magics {
			if int64(len(head)) > s.at && bytes.HasPrefix(head[s.at:], []byte(magic)) {
				return s.name, s.next, true
			}
		}
	}
	return "", "", false
}

func notADisk(name, next string) error { return unsupported("this is %s; %s", name, next) }

// A file is a text and nothing else only if it is no larger, and not so small
// that it may be the beginning of anything.
const (
	minText = 8
	maxText = 16 * mib
)

var (
	errorInXML   = lazyregexp.New(`(?s)<Code>\s*([^<]{1,80}?)\s*</Code>`)
	titleOfHTML  = lazyregexp.New(`(?is)<title[^>]*>\s*([^<]{1,120}?)\s*</title>`)
	messageInTag = lazyregexp.New(`(?s)<Message>\s*([^<]{1,160}?)\s*</Message>`)
)

// textKind says what a text is and what to do with it; "" for what is none.
func textKind(head []byte, size int64) (name, next string) {
	text, ok := asText(head, size)
	if !ok {
		return "", ""
	}
	const wrong = "the download went wrong: download it again, and look at the file for the reason"
	lower := strings.ToLower(text)
	switch {
	case strings.HasPrefix(lower, "<!doctype html"), strings.HasPrefix(lower, "<html"), strings.Contains(lower[:min(len(lower), 1024)], "<html"):
		return "an HTML page" + quoted(titleOfHTML, text), wrong
	case strings.Contains(text, "<Code>") && strings.Contains(text, "<Error>"):
		return "an XML error of a web server" + quoted(errorInXML, text) + quoted(messageInTag, text), wrong
	case strings.HasPrefix(text, "<?xml") && strings.Contains(text, "<Envelope"), strings.HasPrefix(text, "<") && strings.Contains(text, "schemas.dmtf.org/ovf/"):
		return "an OVF, the XML description of a machine", "name its disk"
	case strings.HasPrefix(text, "<?xml"), strings.HasPrefix(text, "<"):
		return "an XML file", wrong
	case strings.HasPrefix(text, "version https://git-lfs.github.com/spec/"):
		return "an LFS pointer, which stands for a file that Git LFS keeps elsewhere", "fetch the file itself (git lfs pull)"
	case strings.HasPrefix(text, "/annex/objects/"), strings.Contains(text, "/.git/annex/objects/"):
		return "a pointer of git-annex, which keeps the file elsewhere", "fetch the file itself (git annex get)"
	case (text[0] == '{' || text[0] == '[') && (json.Valid([]byte(text)) || size > int64(len(head))):
		return "a JSON file" + messageOf(text), wrong
	}
	return "a text file", "name the disk; if this is what a download left, look at the file for the reason and download it again"
}

// asText is the file's beginning if it is a text: UTF-8 without anything that
// does not belong into one, or UTF-16 with its mark.
func asText(head []byte, size int64) (string, bool) {
	if size > maxText {
		return "", false
	}
	head = head[:min(len(head), int(4*kib))]
	switch {
	case bytes.HasPrefix(head, []byte("\xff\xfe")) && len(head) > 3 && head[3] == 0 && head[2] != 0:
		var ascii []byte
		for i := 2; i+1 < len(head) && head[i+1] == 0; i += 2 {
			ascii = append(ascii, head[i])
		}
		head = ascii
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		head = head[3:]
	}
	text := strings.TrimSpace(string(head))
	for cut := 0; cut < utf8.UTFMax-1 && !utf8.ValidString(text) && len(text) > 0; cut++ {
		text = text[:len(text)-1] // a character that was cut off
	}
	if text == "" || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\r' && r != '\t' && r != '\f' || r == 0x7f
	}) {
		return "", false
	}
	return text, true
}

// quoted is what an expression finds in a text, as the end of a sentence.
func quoted(e *lazyregexp.Regexp, text string) string {
	if m := e.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf(" (%q)", strings.TrimSpace(m[1]))
	}
	return ""
}

// messageOf is what an error in JSON says of itself; "" where it says nothing.
func messageOf(text string) string {
	var document any
	if json.Unmarshal([]byte(text), &document) != nil {
		return ""
	}
	for range 4 {
		object, ok := document.(map[string]any)
		if !ok {
			break
		}
		for _, key := range []string{"message", "Message", "error_description", "detail"} {
			if m, ok := object[key].(string); ok && m != "" {
				return fmt.Sprintf(" (%q)", m[:min(len(m), 160)])
			}
		}
		if m, ok := object["error"].(string); ok {
			return fmt.Sprintf(" (%q)", m[:min(len(m), 160)])
		}
		document = object["error"]
	}
	return ""
}

// beginning reads as much of a file as whatIsIt looks at.
func beginning(r io.ReaderAt, size int64) ([]byte, error) {
	head := make([]byte, min(strangerHead, size))
	if err := readFull(r, head, 0); err != nil {
		return nil, fmt.Errorf("reading the beginning of the file: %w", err)
	}
	return head, nil
}
