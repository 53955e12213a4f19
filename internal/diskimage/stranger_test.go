package diskimage

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// placed is a file of size bytes with content at an offset.
func placed(size int, at int, content string) []byte {
	b := make([]byte, size)
	copy(b[at:], content)
	return b
}

func TestFilesThatAreNoDisksAreNamedWithTheWayOut(t *testing.T) {
	const size = 128 << 10
	page := strings.Repeat("x", 2000)
	for _, c := range []struct {
		name    string
		content []byte
		says    []string // the first names it, the others are the way out and details
	}{
		{"gzip", placed(size, 0, "\x1f\x8b\x08\x00"), []string{"a gzip file", "gunzip"}},
		{"xz", placed(size, 0, "\xfd7zXZ\x00"), []string{"an xz file", "unxz"}},
		{"zstd", placed(size, 0, "\x28\xb5\x2f\xfd"), []string{"a zst (Zstandard) file", "unzstd"}},
		{"bzip2", placed(size, 0, "BZh91AY&SY"), []string{"a bzip2 file", "bunzip2"}},
		{"lz4", placed(size, 0, "\x04\x22\x4d\x18"), []string{"an lz4 file", "unlz4"}},
		{"zip", placed(size, 0, "PK\x03\x04"), []string{"a zip file", "unzip"}},
		{"empty zip", placed(600, 0, "PK\x05\x06"), []string{"a zip file", "unzip"}},
		{"7z", placed(size, 0, "7z\xbc\xaf\x27\x1c"), []string{"a 7z file", "7z x"}},
		{"rar", placed(size, 0, "Rar!\x1a\x07"), []string{"a RAR file", "unrar"}},
		{"cab", placed(size, 0, "MSCF\x00\x00\x00\x00"), []string{"a CAB file", "expand"}},
		{"tar", placed(size, 257, "ustar\x0000"), []string{"a tar file that is no OVA", "tar -xf"}},
		{"tar of GNU", placed(size, 257, "ustar  \x00"), []string{"a tar file that is no OVA", "tar -xf"}},
		{"a tar file with a disk", tarOf(tarFile{"d.raw", make([]byte, 2048)}), []string{"a tar file that is no OVA", "tar -xf"}},
		{"vmdk of ESX", placed(size, 0, "COWD\x01"), []string{"a piece of a VMDK of ESX (COWD", "qemu-img convert", "ovftool"}},
		{"vmdk of ESX 6.5", placed(size, 0, "\xbe\xba\xfe\xca\x00\x00\x00\x00\x01"), []string{"a piece of a VMDK of ESX (SESparse)", "qemu-img convert", "ovftool"}},
		{"vdi", placed(size, 64, "\x7f\x10\xda\xbe"), []string{"a VDI", "qemu-img convert"}},
		{"qed", placed(size, 0, "QED\x00"), []string{"a QED disk", "qemu-img convert"}},
		{"parallels", placed(size, 0, "WithoutFreeSpace\x02"), []string{"a Parallels disk", "qemu-img convert -f parallels"}},
		{"parallels, extended", placed(size, 0, "WithouFreSpacExt\x02"), []string{"a Parallels disk", "qemu-img convert -f parallels"}},
		{"bochs", placed(size, 0, "Bochs Virtual HD Image"), []string{"a Bochs disk", "qemu-img convert"}},
		{"dmg", placed(size, size-512, "koly\x00\x00\x00\x04"), []string{"an Apple disk image", "qemu-img convert -f dmg"}},
		{"e01", placed(size, 0, "EVF\x09\x0d\x0a\xff\x00"), []string{"an EnCase disk image", "ewfexport"}},
		{"luks", placed(size, 0, "LUKS\xba\xbe"), []string{"an encrypted LUKS disk", "decrypt"}},
		{"iso", placed(size, 0x8001, "CD001"), []string{"an ISO", "install Windows from it first"}},
		{"udf", placed(size, 0x8001, "BEA01"), []string{"an ISO", "install Windows from it first"}},
		{"hybrid iso", append(placed(510, 0, ""), placed(size, 0x8001-510, "CD001")...), []string{"an ISO", "install Windows from it first"}},
		{"wim", placed(size, 0, "MSWIM\x00\x00\x00"), []string{"a WIM or ESD", "DISM /Apply-Image"}},
		{"html", []byte("<!DOCTYPE html>\n<html><head><title>Sign in</title>" + page + "</html>"), []string{"an HTML page", `"Sign in"`, "the download went wrong"}},
		{"html after a comment", []byte("<!-- login -->\n<HTML>" + page), []string{"an HTML page", "the download went wrong"}},
		{"error of Azure", []byte("\xef\xbb\xbf<?xml version=\"1.0\"?><Error><Code>AuthenticationFailed</Code><Message>Signature did not match.</Message></Error>" + page),
			[]string{"an XML error of a web server", `"AuthenticationFailed"`, `"Signature did not match."`, "the download went wrong"}},
		{"ovf", []byte("<?xml version=\"1.0\"?>\n<Envelope>" + page), []string{"an OVF", "name its disk"}},
		{"xml", []byte("<?xml version=\"1.0\"?>\n<x>" + page), []string{"an XML file", "download it again"}},
		{"error in JSON", []byte(`{"error": {"code": 401, "message": "token expired"}}`), []string{"a JSON file", `"token expired"`, "the download went wrong"}},
		{"error in a word", []byte(`{"error": "not found", "padding": "` + page + `"}`), []string{"a JSON file", `"not found"`}},
		{"long JSON", []byte(`[{"name": "` + strings.Repeat("x", 100<<10) + `"}]`), []string{"a JSON file"}},
		{"LFS pointer", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 33554944\n"), []string{"an LFS pointer", "git lfs pull"}},
		{"annex pointer", []byte("/annex/objects/SHA256E-s10--0.vhd\n"), []string{"a pointer of git-annex", "git annex get"}},
		{"text", []byte("404 page not found\n"), []string{"a text file", "download it again"}},
		{"text of UTF-16", []byte("\xff\xfeh\x00e\x00l\x00l\x00o\x00 \x00y\x00o\x00u\x00"), []string{"a text file"}},
		{"text in Japanese, cut", []byte(strings.Repeat("x日本", 2000)), []string{"a text file"}},
		{"OVF", []byte(`<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1"><DiskSection/></Envelope>`), []string{"an OVF", "name its disk"}},
		{"pdf", placed(size, 0, "%PDF-1.7"), []string{"a PDF"}},
		{"program", placed(size, 0, "MZ\x90\x00\x03\x00\x00\x00"), []string{"a Windows program"}},
	} {
		_, err := OpenReader(bytes.NewReader(c.content), int64(len(c.content)))
		if !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !strings.Contains(err.Error(), "this is "+c.says[0]) {
			t.Errorf("%s is not named: %v", c.name, err)
		}
		for _, text := range c.says[1:] {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %q is not said: %v", c.name, text, err)
			}
		}
	}
}

// A VHDX whose first sector is gone is no raw disk without Windows.
func TestAVHDXWithoutItsFirstBytesIsKnown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.vhdx")
	convertTo(t, writeFile(t, "disk.raw", pattern(4<<20)), path, Options{Format: VHDX})
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clear(b[:512])
	if _, err := openBytes(b); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "a VHDX whose first bytes") {
		t.Error(err)
	}
	if _, err := openBytes(make([]byte, len(b))); err != nil {
		t.Errorf("a disk of zeros: %v", err)
	}
}

// TestEveryStrangerIsTried: a row that nothing reaches would be dead.
func TestEveryStrangerIsTried(t *testing.T) {
	for _, s := range strangers {
		for _, magic := range s.magics {
			if err := whatIsIt(placed(40<<10, int(s.at), magic), 40<<10); err == nil || !strings.Contains(err.Error(), s.name) {
				t.Errorf("%q at %d: %v", magic, s.at, err)
			}
			if s.at+int64(len(magic)) > strangerHead {
				t.Errorf("%s lies behind what is read", s.name)
			}
		}
	}
}

func TestDisksAreNotTakenForAnythingElse(t *testing.T) {
	const size = 128 << 10
	sector := placed(size, 510, "\x55\xaa")
	for name, content := range map[string][]byte{
		"zeros": make([]byte, size), "one sector": make([]byte, 512), "an MBR": sector,
		"boot code of GRUB":       append([]byte("\xeb\x63\x90"), sector[3:]...),
		"boot code of Windows":    append([]byte("\x33\xc0\x8e\xd0\xbc\x00\x7c"), sector[7:]...),
		"NTFS without a table":    append([]byte("\xeb\x52\x90NTFS    "), sector[11:]...),
		"a text in a large disk":  append([]byte(strings.Repeat("x", 4096)), make([]byte, maxText)...),
		"a text and then zeros":   append([]byte("hello, hello"), make([]byte, size)...),
		"an ISO's mark elsewhere": placed(size, 0x9001, "CD001"),
	} {
		d, err := OpenReader(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d.Format() != Raw {
			t.Errorf("%s is %s", name, d.Format())
		}
	}
	// So little may be the beginning of anything.
	if err := whatIsIt([]byte("hello"), 5); err == nil || !strings.Contains(err.Error(), "less than a sector") {
		t.Errorf("five bytes: %v", err)
	}
	// A disk that somebody says is raw is read as one.
	if _, err := OpenReader(bytes.NewReader(placed(size, 0, "\x1f\x8b\x08")), size, As(Raw)); err != nil {
		t.Errorf("said to be raw: %v", err)
	}
	// Whatever stands at the start of the disk in a fixed VHD.
	vhd := append(placed(size, 0x8001, "CD001"), newVHDFooter(size, vhdTypeFixed, newID()).encode()...)
	if d, err := OpenReader(bytes.NewReader(vhd), int64(len(vhd))); err != nil || d.Format() != VHD {
		t.Errorf("an ISO in a VHD: %v", err)
	}
}

func TestAnEmptyFileIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.vhd")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, o := range [][]Option{nil, {As(Raw)}} {
		if _, err := Open(path, o...); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "the file is empty: copy or download it again") {
			t.Errorf("%v", err)
		}
	}
}

// Whatever part of a disk is missing or damaged, the error says what to do, once.
func TestAnErrorOfADamagedFileSaysWhatToDo(t *testing.T) {
	small := smallVHD()
	for name, b := range map[string][]byte{
		"nothing": nil, "less than a sector": make([]byte, 100), "half a VHD": small[:600], "a VHDX of a sector": append([]byte(vhdxFileSign), make([]byte, 600)...),
		"a qcow2 of zeros": append([]byte(qcow2Magic+"\x00\x00\x00\x03"), make([]byte, 600)...),
		"a VMDK of zeros":  append([]byte(vmdkMagic+"\x01\x00\x00\x00"), make([]byte, 600)...),
	} {
		_, err := openBytes(b)
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		} else if n := strings.Count(err.Error(), "copy or download") + strings.Count(err.Error(), "descriptor, a small text file"); n != 1 {
			t.Errorf("%s: said %d times what to do: %v", name, n, err)
		}
	}
	if err := withWayOut(unsupported("x")); err.Error() != "unsupported image: x" {
		t.Error(err)
	}
}
