package boots

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

const (
	systemHive = `\Windows\System32\config\SYSTEM`
	services   = `ControlSet001\Services\`
	deviceIDs  = `DriverDatabase\DeviceIds\`
)

// system makes of the hive of a fixture that of a Windows with every driver.
func system(root *hivewrite.Key) {
	for _, name := range everyDriver {
		root.Path(services+name).SetDWord("Start", 0).SetString("ImagePath", `System32\drivers\`+name+".sys")
	}
	for _, name := range everyOther {
		root.Path(services+name).SetDWord("Start", 3).SetString("ImagePath", `\SystemRoot\System32\drivers\`+name+".sys")
	}
	for _, id := range everyDevice {
		// That of virtio names a revision, as its installer writes it.
		if strings.Contains(id, "VEN_1AF4") {
			id += "&REV_00"
		}
		root.Path(deviceIDs+id).SetBinary("x.inf", []byte{1, 0xff, 0, 0})
	}
	root.Path(`ControlSet001\Control\Class\{4d36e967-e325-11ce-bfc1-08002be10318}`).SetMultiString("UpperFilters", "partmgr")
	root.Path(services+`partmgr\Parameters`).SetDWord("SanPolicy", 1)
}

// drivers are the files of all of them.
func drivers() map[string]string {
	files := map[string]string{`\Windows\System32\drivers\zeros.sys`: strings.Repeat("\x00", 512)}
	for _, name := range slices.Concat(everyDriver, everyOther) {
		files[`\Windows\System32\drivers\`+name+".sys"] = "MZ"
	}
	return files
}

// exchangeable is a disk whose SYSTEM hive can be exchanged: it was made once, and another hive
// of the same length is written over it.
type exchangeable struct {
	image []byte
	at    int // of the hive
}

// hiveSize is the length to which every hive is filled up.
const hiveSize = 128 << 10

func built(change func(*hivewrite.Key)) []byte {
	root := winimagetest.System(true)
	system(root)
	if change != nil {
		change(root)
	}
	return filled(hivewrite.Build(root, `\SystemRoot\System32\Config\SYSTEM`), hiveSize)
}

// filled appends one bin with one free cell, so that a hive has a length.
func filled(h []byte, size int) []byte {
	le := binary.LittleEndian
	start, length := len(h), size-len(h)
	if length < 4096 || length%4096 != 0 {
		panic("the hive is too long")
	}
	h = append(h, make([]byte, length)...)
	copy(h[start:], "hbin")
	le.PutUint32(h[start+4:], uint32(start-4096))
	le.PutUint32(h[start+8:], uint32(length))
	le.PutUint32(h[start+32:], uint32(length-32))
	le.PutUint32(h[40:], uint32(size-4096))
	var sum uint32
	for i := 0; i < 508; i += 4 {
		sum ^= le.Uint32(h[i:])
	}
	le.PutUint32(h[508:], sum)
	return h
}

func newBase(t *testing.T, s winimagetest.Spec) exchangeable {
	t.Helper()
	s.Generalized, s.Files = true, drivers()
	hive := built(nil)
	s.Files[systemHive] = string(hive)
	image, err := os.ReadFile(winimagetest.Disk(t, s))
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(image, hive)
	if at < 0 {
		t.Fatal("the hive is not in one piece on the disk")
	}
	return exchangeable{image, at}
}

// look reads a disk with another hive, as a proof does.
func (b exchangeable) look(t *testing.T, change func(*hivewrite.Key), names ...string) Image {
	t.Helper()
	return inspected(t, &exchanged{bytes.NewReader(b.image), built(change), int64(b.at)}, int64(len(b.image)), names...)
}

// exchanged is a disk with other bytes at a place.
type exchanged struct {
	io.ReaderAt
	other []byte
	at    int64
}

func (e *exchanged) ReadAt(b []byte, off int64) (int, error) {
	n, err := e.ReaderAt.ReadAt(b, off)
	for i := max(off, e.at); i < min(off+int64(n), e.at+int64(len(e.other))); i++ {
		b[i-off] = e.other[i-e.at]
	}
	return n, err
}

func inspected(t *testing.T, r io.ReaderAt, size int64, names ...string) Image {
	t.Helper()
	d, err := diskimage.OpenReader(r, size)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	facts, err := winimage.Inspect(context.Background(), d, winimage.Options{Starting: Asks(names)})
	if err != nil {
		t.Fatal(err)
	}
	if len(facts.Windows) != 1 || len(facts.Windows[0].Problems) > 0 || len(facts.Problems) > 0 {
		t.Fatalf("%+v", facts)
	}
	return Image{Facts: facts, Windows: &facts.Windows[0]}
}

// Changes of a hive.
func without(names ...string) func(*hivewrite.Key) {
	return func(root *hivewrite.Key) {
		for _, name := range names {
			root.Path(strings.TrimSuffix(services, `\`)).Delete(name)
		}
	}
}

func elsewhere(name, path string) func(*hivewrite.Key) {
	return func(root *hivewrite.Key) { root.Path(services+name).SetString("ImagePath", path) }
}

func startOverride(names ...string) func(*hivewrite.Key) {
	return func(root *hivewrite.Key) {
		for _, name := range names {
			root.Path(services+name+`\StartOverride`).SetDWord("0", 3)
		}
	}
}

// TestEachRowOnADisk has a disk a row that starts there and one that does not, with the
// hive of a fixture on a disk of mkntfs.
func TestEachRowOnADisk(t *testing.T) {
	mbr, gpt := newBase(t, winimagetest.Spec{}), newBase(t, winimagetest.Spec{GPT: true, Loader: signedLoader(t)})
	withoutID := func(names []string, ids ...string) func(*hivewrite.Key) {
		return func(root *hivewrite.Key) {
			without(names...)(root)
			for _, id := range ids {
				enumerator, rest, _ := strings.Cut(id, `\`)
				root.Path(deviceIDs + enumerator).Delete(rest)
			}
		}
	}
	for _, c := range []struct {
		target string
		on     exchangeable
		breaks func(*hivewrite.Key)
		want   Verdict
		reason string
	}{
		{"hyperv-gen1", mbr, without("atapi", "intelide", "pciide"), No, "there is no driver atapi"},
		{"hyperv-gen2", gpt, elsewhere("storvsc", `System32\drivers\nowhere.sys`), No, `missing (\Windows\System32\drivers\nowhere.sys)`},
		{"azure-gen1", mbr, startOverride("atapi"), Unknown, `StartOverride\0 of the driver atapi`},
		{"azure-gen2", gpt, elsewhere("vmbus", `\SystemRoot\System32\drivers\zeros.sys`), No, "is empty"},
		{"azure-nvme", gpt, startOverride("vpci"), Unknown, `StartOverride\0 of the driver vpci`},
		{"qemu-ide", mbr, without("atapi"), Unknown, "there is no driver atapi"},
		{"qemu-ahci", gpt, without("storahci"), Unknown, "there is no driver storahci"},
		{"qemu-virtio", mbr, withoutID([]string{"viostor"}, `PCI\VEN_1AF4&DEV_1001&REV_00`), Unknown, "there is no driver viostor"}, // its file is still there
		{"qemu-virtio-scsi", gpt, withoutID(nil, `PCI\VEN_1AF4&DEV_1004&REV_00`), Unknown, "no driver is bound"},
		{"gcp", gpt, startOverride("vioscsi"), Unknown, "StartOverride"},
		{"vmware-pvscsi", gpt, without("pvscsi"), Unknown, "there is no driver pvscsi"},
		{"vmware-lsisas", mbr, withoutID(nil, `PCI\VEN_1000&DEV_0054`), Unknown, "no driver is bound"},
		{"vmware-sata", gpt, startOverride("storahci"), Unknown, "StartOverride"},
		{"vmware-nvme", gpt, without("stornvme"), Unknown, "there is no driver stornvme"},
		{"aws-nvme", mbr, without("stornvme", "AWSNVMe"), No, "there is no driver stornvme"},
		{"aws-xen", mbr, without("xenbus"), Unknown, "there is no driver xenbus"},
		{"hyperv", gpt, func(root *hivewrite.Key) {
			root.Path(`ControlSet001\Control\Class\{71a27cdd-812a-11d0-bec7-08002be2092f}`).SetMultiString("LowerFilters", "fvevol")
		}, No, "there is no driver of the filter fvevol (LowerFilters of the class Volume)"},
		{"azure", mbr, without("disk"), Unknown, "there is no driver disk"},
		{"secure-boot-2011", gpt, nil, Yes, ""},
		{"secure-boot-2023", gpt, nil, No, "is signed by " + of2011},
	} {
		if c.breaks != nil {
			if a := judged(c.target, c.on.look(t, nil, c.target)); a.Verdict != Yes || len(a.Reasons) > 0 {
				t.Errorf("%s, as it should be: %s, %+v", c.target, a.Verdict, a.Reasons)
			}
		}
		a := judged(c.target, c.on.look(t, c.breaks, c.target))
		if found := slices.ContainsFunc(a.Reasons, func(r Reason) bool { return strings.Contains(r.Text, c.reason) }); a.Verdict != c.want || found != (c.reason != "") {
			t.Errorf("%s: %s, %+v", c.target, a.Verdict, a.Reasons)
		}
	}
}

// signedLoader is an EFI program that sbsign has signed with a key of the test, whose
// authority bears the name of Microsoft's.
func signedLoader(t *testing.T) string {
	t.Helper()
	sbsign, openssl := testutil.Tool(t, "sbsign"), testutil.Tool(t, "openssl")
	const stub = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub"
	if _, err := os.Stat(stub); err != nil {
		testutil.Missing(t, "there is no EFI program to sign: install systemd-boot-efi")
	}
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, line := range [][]string{
		{openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=" + of2011, "-keyout", path("ca.key"), "-out", path("ca.pem"), "-days", "2"},
		{openssl, "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Microsoft Windows", "-keyout", path("key"), "-out", path("csr")},
		{openssl, "x509", "-req", "-in", path("csr"), "-CA", path("ca.pem"), "-CAkey", path("ca.key"), "-CAcreateserial", "-days", "2", "-out", path("pem")},
		{sbsign, "--key", path("key"), "--cert", path("pem"), "--output", path("signed"), stub},
	} {
		if out, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line[0], err, out)
		}
	}
	b, err := os.ReadFile(path("signed"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The hives of machines in use: a Windows 10 that has overridden the drivers of all
// controllers but its own, and a Windows 7.
func TestRealHivesGiveNoYesThatTheyDoNotHold(t *testing.T) {
	for _, c := range []struct {
		hive string
		want map[string]Verdict
	}{
		{"regipy-SYSTEM_B", map[string]Verdict{
			"hyperv-gen1": Unknown, "azure-gen1": Unknown, "qemu-ide": Unknown, "qemu-ahci": Unknown, "vmware-lsisas": Unknown, "vmware-sata": Unknown,
			"vmware-nvme": Unknown, "vmware-pvscsi": Unknown, "aws-xen": Unknown, "qemu-virtio": No, "qemu-virtio-scsi": No, "gcp": No, "hyperv-gen2": No, "azure-nvme": No,
		}},
		{"regipy-SYSTEM", map[string]Verdict{
			"hyperv-gen1": Yes, "azure-gen1": Yes, "qemu-ide": Yes, "vmware-lsisas": Yes, "qemu-virtio": No, "qemu-virtio-scsi": No, "gcp": No, "aws-nvme": No, "azure-nvme": No,
			"qemu-ahci": Unknown, // msahci has Start 3
		}},
	} {
		files := drivers()
		for name := range files {
			if strings.Contains(name, "vio") || strings.Contains(name, "ena.sys") {
				delete(files, name) // neither machine has them
			}
		}
		for _, file := range []string{"msahci", "fvevol", "rdyboost", "iorate", "volsnap", "EhStorClass", "stdcfltn"} {
			files[`\Windows\System32\drivers\`+file+".sys"] = "MZ"
		}
		hive := corpusHive(t, c.hive)
		files[systemHive] = string(hive)
		path := winimagetest.Disk(t, winimagetest.Spec{Volume: 48 << 20, Files: files})
		image, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		i := inspected(t, bytes.NewReader(image), int64(len(image)), Names()...)
		for name, want := range c.want {
			if a := judged(name, i); a.Verdict != want {
				t.Errorf("%s, %s: %s, want %s: %+v", c.hive, name, a.Verdict, want, a.Reasons)
			}
		}
		if c.hive != "regipy-SYSTEM_B" {
			continue
		}
		// As if it were on a disk for UEFI, where every row is asked.
		for _, generation := range []int{1, 2} {
			i.Facts.Disk.Generation, i.Facts.Disk.Scheme = generation, []string{"", "mbr", "gpt"}[generation]
			for _, a := range Judge(Names(), i) {
				if a.Verdict == Yes {
					t.Errorf("%s: yes, for a machine of generation %d", a.Target, generation)
				}
			}
		}
	}
}

// corpusHive is a hive of the corpus whose sequence numbers are made equal: its log is
// not there.
func corpusHive(t *testing.T, name string) []byte {
	t.Helper()
	f, err := os.Open(testutil.Corpus(t, "hives", name+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	copy(b[8:12], b[4:8])
	var sum uint32
	for i := 0; i < 508; i += 4 {
		sum ^= binary.LittleEndian.Uint32(b[i:])
	}
	binary.LittleEndian.PutUint32(b[508:], sum)
	return b
}
