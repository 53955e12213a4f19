package winimagetest

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
)

// Hostile is a generalized Windows that is made to keep its reader busy.
type Hostile struct {
	Name string
	// Spec makes it; size is its full size in per cent, 1 for what a unit test
	// can afford.
	Spec func(size int) Spec
	// Limited: at full size there is more than a proof reads.
	Limited bool
}

const (
	softwareHive = `\Windows\System32\config\SOFTWARE`
	folder       = `\Windows\System32\Sysprep\`
	current      = "CurrentVersion" // the key that most is read of
)

// Hostiles are what was tried on the readers so far, each of at most 1 GiB.
func Hostiles() []Hostile {
	log := func(text func(size int) string) func(int) Spec {
		return func(size int) Spec { return Spec{Volume: 256 << 20, Files: map[string]string{Log: text(size)}} }
	}
	hive := func(forge func(h []byte, size int) []byte) func(int) Spec {
		return func(size int) Spec {
			h := forge(hivewrite.Build(Spec{Generalized: true}.software(), "SOFTWARE"), size)
			return Spec{Volume: 256 << 20, Files: map[string]string{softwareHive: string(h)}}
		}
	}
	answers := func(files func(size int) map[string]string) func(int) Spec {
		return func(size int) Spec { return Spec{Volume: 256 << 20, Files: files(size)} }
	}
	const stamp = "2026-11-23 12:00:00, "
	banner := stamp + "Info                  SYSPRP ===          Beginning of a new sysprep run          ===\r\n"
	failure := stamp + "Error                 SYSPRP Package Failure occurred while executing was installed for a user "
	return []Hostile{
		{"hive: millions of values of one long name", hive(manyValues), true},
		{"hive: pages of one bin from the last to the first", hive(descendingPages), true},
		{"hive: a text of 15 MiB", func(size int) Spec {
			return Spec{Volume: 256 << 20, Software: func(root *hivewrite.Key) {
				root.Path(`Microsoft\Windows NT\CurrentVersion`).SetString("ProductName", strings.Repeat("A", size*(15<<20)/100))
			}}
		}, false},
		{"log: long lines of errors", log(func(size int) string {
			return banner + strings.Repeat(failure+strings.Repeat("x", 16000)+"\n", size*(4<<10)/100)
		}), true},
		{"log: long lines after one banner", log(func(size int) string {
			return strings.Repeat(failure+strings.Repeat("Failure executing 'x' ", 700)+"\n", size*4096/100) + banner + strings.Repeat(failure+strings.Repeat("hr = ", 3000)+"\n", 1000)
		}), false},
		{"log: lines of one letter", log(func(size int) string { return banner + strings.Repeat("a\n", size*(32<<20)/100) }), true},
		{"log: lines of a program", log(func(size int) string { return strings.Repeat("[a.exe] x\n", size*(7<<20)/100) }), true},
		{"log: a million banners", log(func(size int) string { return strings.Repeat(banner, size*10_000) }), false},
		{"log: UTF-16", log(func(size int) string {
			return wide(banner + strings.Repeat("Error SYSPRP x\n", size*(4<<20)/100))
		}), true},
		{"log: nothing but NULs", log(func(size int) string { return banner + strings.Repeat("\x00", size*(64<<20)/100) }), true},
		{"log: one line", log(func(size int) string { return banner + strings.Repeat("z", size*(64<<20)/100) }), true},
		{"log: lines that go on and on", log(func(size int) string {
			return strings.Repeat(stamp+"Error SYSPRP x\n"+strings.Repeat("c\n", 8000), size*40)
		}), true},
		{"answer files: twenty of 4 MB", answers(func(size int) map[string]string {
			files := map[string]string{}
			for i := range max(1, size/5) {
				files[fmt.Sprintf(folder+"unattend%d.xml", i)] = answerFile(15, 1200, 200)
			}
			return files
		}), true},
		{"answer files: deep paths of long names", answers(func(size int) map[string]string { return map[string]string{Cached: deepNames(size * 150)} }), false},
		{"answer files: one tag of attributes", answers(func(size int) map[string]string {
			return map[string]string{Cached: `<unattend xmlns="urn:schemas-microsoft-com:unattend" ` + strings.Repeat(`a="" `, size*7000) + "/>"}
		}), true},
		{"answer files: nested without an end", answers(func(size int) map[string]string {
			return map[string]string{Cached: strings.Repeat("<a>", size*13_000)}
		}), true},
		{"answer files: entities of entities", answers(func(int) map[string]string {
			return map[string]string{Cached: `<!DOCTYPE u [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><unattend>&b;</unattend>`}
		}), false},
		{"answer files: hundreds of small ones", answers(func(size int) map[string]string {
			files := map[string]string{}
			for i := range 10 * size {
				files[fmt.Sprintf(folder+"unattend%d.xml", i)] = AnswerFile
			}
			return files
		}), true},
		{"folder: Packer's files by the thousand", answers(func(size int) map[string]string {
			files := map[string]string{}
			for i := range 200 * size {
				files[fmt.Sprintf(`\Windows\Temp\packer-%08d-a-name-that-takes-some-room.ps1`, i)] = ""
			}
			return files
		}), false},
		{"hive log: of 64 MiB", func(size int) Spec {
			return Spec{Volume: 256 << 20, DirtyHive: "SOFTWARE", HiveLog: true, Software: func(root *hivewrite.Key) {
				root.Path(`Microsoft\Windows NT\CurrentVersion`).SetString("ProductName", strings.Repeat("A", size*(30<<20)/100))
			}}
		}, true},
	}
}

var le = binary.LittleEndian

func wide(s string) string {
	b := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		b = le.AppendUint16(b, u)
	}
	return string(b)
}

// answerFile has passes of components with settings of long texts.
func answerFile(passes, settings, length int) string {
	var b strings.Builder
	b.WriteString(`<unattend xmlns="urn:schemas-microsoft-com:unattend">`)
	for i := range passes {
		fmt.Fprintf(&b, `<settings pass="specialize"><component name="c%d" processorArchitecture="amd64">`, i)
		for j := range settings {
			fmt.Fprintf(&b, `<a%d>%s</a%d>`, j, strings.Repeat("p", length), j)
		}
		b.WriteString("</component></settings>")
	}
	return b.String() + "</unattend>"
}

// deepNames has n passwords below as long a path as an answer file may have.
func deepNames(n int) string {
	name := strings.Repeat("n", 120)
	var b strings.Builder
	b.WriteString(`<unattend xmlns="urn:schemas-microsoft-com:unattend"><settings pass="specialize"><component name="c" processorArchitecture="amd64">`)
	for range 27 {
		fmt.Fprintf(&b, "<%s>", name)
	}
	leaf := strings.Repeat("n", 100) + "Password"
	for range n {
		fmt.Fprintf(&b, "<%s>x</%s>", leaf, leaf)
	}
	for range 27 {
		fmt.Fprintf(&b, "</%s>", name)
	}
	return b.String() + "</component></settings></unattend>"
}

// manyValues gives the key CurrentVersion a list that names one value again and
// again, whose name is as long as a name may be.
func manyValues(h []byte, size int) []byte {
	n := size * 25_000
	const length = 32766
	h, vk := addBin(h, 20+length)
	value(h[4096+vk+4:], strings.Repeat("\xe9z", length/2))
	h, list := addBin(h, 4*n)
	for i := range n {
		le.PutUint32(h[4096+list+4+4*i:], uint32(vk))
	}
	setValues(h, list, n)
	// The list may not be longer than the hive has room for values.
	h = append(h, make([]byte, max(0, (24*n+8192-len(h))&^4095))...)
	return seal(h)
}

// descendingPages gives the key CurrentVersion a value in each page of one bin,
// named from the last to the first.
func descendingPages(h []byte, size int) []byte {
	pages := size * 16384 / 100
	h, list := addBin(h, 4*pages)
	start, length := len(h)-4096, (pages+1)*4096
	h = append(h, make([]byte, length)...)
	header(h, start, length)
	for i := range pages {
		at := start + (pages-i)*4096
		cell := h[4096+at:]
		le.PutUint32(cell, ^uint32(31))
		value(cell[4:], "x")
		le.PutUint32(h[4096+list+4+4*i:], uint32(at))
	}
	setValues(h, list, pages)
	return seal(h)
}

// value writes a value of four bytes of data (section "Key value").
func value(b []byte, name string) {
	copy(b, "vk")
	le.PutUint16(b[2:], uint16(len(name)))
	le.PutUint32(b[4:], 1<<31|4)
	le.PutUint32(b[12:], 4)
	le.PutUint16(b[16:], 1)
	copy(b[20:], name)
}

func header(h []byte, at, length int) {
	b := h[4096+at:]
	copy(b, "hbin")
	le.PutUint32(b[4:], uint32(at))
	le.PutUint32(b[8:], uint32(length))
}

// addBin appends a bin with one cell of n bytes and returns the cell's offset.
func addBin(h []byte, n int) ([]byte, int) {
	length := (32 + n + 4 + 4095) &^ 4095
	at := len(h) - 4096
	h = append(h, make([]byte, length)...)
	header(h, at, length)
	le.PutUint32(h[4096+at+32:], uint32(-int32(length-32)))
	return h, at + 32
}

// setValues gives every key of the name CurrentVersion a list of values.
func setValues(h []byte, list, n int) {
	for i := 4096; i+80+len(current) < len(h); i += 8 {
		if b := h[i+4:]; string(b[:2]) == "nk" && int(le.Uint16(b[72:])) == len(current) && string(b[76:76+len(current)]) == current {
			le.PutUint32(b[36:], uint32(n))
			le.PutUint32(b[40:], uint32(list))
		}
	}
}

// seal makes the base block fit what was appended.
func seal(h []byte) []byte {
	le.PutUint32(h[40:], uint32(len(h)-4096))
	var sum uint32
	for i := 0; i < 508; i += 4 {
		sum ^= le.Uint32(h[i:])
	}
	le.PutUint32(h[508:], sum)
	return h
}
