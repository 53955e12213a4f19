package inventory

import (
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// corpusHive is a hive of the corpus, unpacked.
func corpusHive(t testing.TB, name string) []byte {
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
	return b
}

const config = "Windows/System32/config/"

// alone skips a long test under the race detector: one goroutine reads, and races with none.
func alone(t *testing.T) {
	t.Helper()
	if testutil.Race {
		t.Skip("SKIPPED: under the race detector hives of real machines take a minute, and one goroutine reads them")
	}
}

// take reads a drive that has to have a Windows.
func take(t testing.TB, files fstest.MapFS) *Inventory {
	t.Helper()
	inv, err := ReadDrive(context.Background(), files)
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

// same compares two lists of lines, which need no order.
func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if slices.Equal(got, want) {
		return
	}
	t.Errorf("%s: %d lines, the other reader has %d", what, len(got), len(want))
	only := func(a, b []string, whose string) {
		n := 0
		for _, line := range a {
			if _, found := slices.BinarySearch(b, line); !found && n < 5 {
				n++
				t.Errorf("only %s: %s", whose, line)
			}
		}
	}
	only(got, want, "ours")
	only(want, got, "theirs")
}

// flushed makes the sequence numbers of a hive equal, as hivex reads it: without the logs.
func flushed(b []byte) []byte {
	le := binary.LittleEndian
	copy(b[8:12], b[4:8])
	var sum uint32
	for i := 0; i < 508; i += 4 {
		sum ^= le.Uint32(b[i:])
	}
	le.PutUint32(b[508:], sum)
	return b
}

// A document that the schema takes can still be nonsense. Each value of a Windows 7 is held
// against two other readers.
func TestWindows7IsReadAsOthersReadIt(t *testing.T) {
	alone(t)
	t.Parallel()
	software := corpusHive(t, "plaso-SOFTWARE-win7-x86")
	inv := take(t, fstest.MapFS{config + "SOFTWARE": {Data: software}, config + "SYSTEM": {Data: corpusHive(t, "plaso-SYSTEM-win7")}})
	if lost := inv.Unreadable(); len(lost) != 0 {
		t.Errorf("not read: %+v", lost)
	}
	const (
		servicingKey = windows.PackagesKey
		version      = `Microsoft\Windows NT\CurrentVersion`
		net          = `Microsoft\NET Framework Setup\NDP\v3.5`
	)
	var packages, programs []string
	distinct := map[string]bool{}
	states := map[string]int{}
	for _, p := range inv.Packages {
		states[p.State]++
		packages = append(packages, fmt.Sprintf("%s %s %s", p.Identity, p.State, p.Installed.Format(time.RFC3339)))
	}
	for _, p := range inv.Programs {
		distinct[p.Name] = true
		programs = append(programs, fmt.Sprintf("%s|%s|%s|%s|%t|%s", p.Key, p.Name, p.Version, p.Publisher, p.Hidden, p.Parent))
	}
	updates := 0
	for _, u := range inv.Updates {
		if u.Present {
			updates++
		}
	}
	for _, c := range []struct {
		what      string
		got, want int
	}{
		{"packages", len(inv.Packages), 1034}, {"installed", states["installed"], 524}, {"superseded", states["superseded"], 507}, {"staged", states["staged"], 3},
		{"KBs", len(inv.Updates), 131}, {"KBs in use", updates, 83}, {"programs", len(inv.Programs), 41}, {"distinct programs", len(distinct), 37}, {".NET", len(inv.Frameworks), 4},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", c.what, c.got, c.want)
		}
	}
	program := func(key string) Program {
		i := slices.IndexFunc(inv.Programs, func(p Program) bool { return p.Key == key })
		if i < 0 {
			t.Fatalf("no program %s", key)
		}
		return inv.Programs[i]
	}
	at := onDisk(t, software)
	for name, read := range readers {
		t.Run(name, func(t *testing.T) {
			k := read(t, at, servicingKey, uninstall, version, net)
			var want []string
			seen := map[string]bool{}
			for identity, v := range k.below(servicingKey) {
				state := map[int64]string{0x70: "installed", 0x50: "superseded", 0x40: "staged"}[v["currentstate"].number()]
				units := new(big.Int).Add(new(big.Int).Lsh(big.NewInt(v["installtimehigh"].number()), 32), big.NewInt(v["installtimelow"].number()))
				seconds := new(big.Int).Div(units, big.NewInt(10_000_000)).Int64() - 11_644_473_600
				installed := time.Unix(seconds, 0).UTC()
				if _, ok := v["installtimehigh"]; !ok {
					installed = time.Time{}
				}
				want = append(want, fmt.Sprintf("%s %s %s", identity, state, installed.Format(time.RFC3339)))
				if kb := strings.Index(identity, "KB"); kb >= 0 {
					seen[identity[kb:kb+strings.IndexAny(identity[kb:]+"~", "~_")]] = true
				}
			}
			same(t, "packages", packages, want)
			if len(seen) != len(inv.Updates) {
				t.Errorf("%d KBs, %s has %d", len(inv.Updates), name, len(seen))
			}
			want = nil
			all := k.below(uninstall)
			for key, v := range all {
				if v["displayname"].text() != "" {
					want = append(want, fmt.Sprintf("%s|%s|%s|%s|%t|%s", key, v["displayname"].text(), v["displayversion"].text(), v["publisher"].text(), v["systemcomponent"].number() == 1, v["parentkeyname"].text()))
				}
			}
			if len(all) != 67 {
				t.Errorf("%d keys below Uninstall", len(all))
			}
			same(t, "programs", programs, want)

			current, lab := k[`\`+version], strings.Split(k[`\`+version]["buildlabex"].text(), ".")
			for _, c := range []struct{ what, got, theirs, want string }{
				{"product", inv.OS.ProductName, current["productname"].text(), "Windows 7 Ultimate"},
				{"edition", inv.OS.EditionID, current["editionid"].text(), "Ultimate"},
				{"version", inv.OS.Version, strings.Join([]string{current["currentversion"].text(), lab[0], lab[1]}, "."), "6.1.7601.17727"},
				{"service pack", inv.OS.ServicePack, current["csdversion"].text(), "Service Pack 1"},
				{"Adobe AIR", program("Adobe AIR").Version, all["Adobe AIR"]["displayversion"].text(), "2.7.1.19610"},
				{"Skype", program("{F1CECE09-7CBE-4E98-B435-DA87CDA86167}").Name, all["{F1CECE09-7CBE-4E98-B435-DA87CDA86167}"]["displayname"].text(), "Skype™ 5.5"},
				{"VMware Tools", program("{FE2F6A2C-196E-4210-9C04-2B1BC21F07EF}").Version, all["{FE2F6A2C-196E-4210-9C04-2B1BC21F07EF}"]["displayversion"].text(), "8.0.2.14744"},
				{"Office", program("Office14.SingleImage").Version, all["Office14.SingleImage"]["displayversion"].text(), "14.0.4763.1000"},
				{"Firefox", program("Mozilla Firefox 5.0.1 (x86 en-US)").Publisher, all["Mozilla Firefox 5.0.1 (x86 en-US)"]["publisher"].text(), "Mozilla"},
				{".NET 3.5", inv.Frameworks[2].Version, k[`\`+net]["version"].text(), "3.5.30729.5420"},
			} {
				if c.got != c.want || c.theirs != c.want {
					t.Errorf("%s: %q, %s has %q, want %q", c.what, c.got, name, c.theirs, c.want)
				}
			}
		})
	}
}

func TestDriversOfWindows10AreReadAsOthersReadThem(t *testing.T) {
	alone(t)
	t.Parallel()
	system := flushed(corpusHive(t, "regipy-SYSTEM_B"))
	inv := take(t, fstest.MapFS{config + "SOFTWARE": {Data: software()}, config + "SYSTEM": {Data: system}})
	const path, services = `DriverDatabase\DriverPackages`, `ControlSet001\Services`
	var lines, started []string
	version := map[string]string{}
	for _, d := range inv.Drivers {
		original := d.OriginalInf
		lines = append(lines, fmt.Sprintf("%s|%s|%s|%s|%s|%s", d.Package, d.Inf, original, d.Provider, d.Version, d.Date.Format(time.DateOnly)))
		version[d.Package[:strings.Index(d.Package, ".inf")]] = d.Version
	}
	for _, s := range inv.Services {
		started = append(started, fmt.Sprintf("%s %t", s.Name, s.Driver))
	}
	if len(inv.Drivers) != 222 || version["stornvme"] != "10.0.16299.251" || version["iastorav"] != "13.44.0.1026" {
		t.Errorf("%d drivers, stornvme %s, iastorav %s", len(inv.Drivers), version["stornvme"], version["iastorav"])
	}
	at := onDisk(t, system)
	for name, read := range readers {
		t.Run(name, func(t *testing.T) {
			k := read(t, at, path, services, "Select")
			if n := k[`\Select`]["current"].number(); n != 1 {
				t.Fatalf("control set %d", n)
			}
			var want []string
			for key, v := range k.below(path) {
				b := v["version"].data
				// The eight bytes of a version are one number, whose highest part comes first.
				n := new(big.Int).SetBytes([]byte{b[39], b[38], b[37], b[36], b[35], b[34], b[33], b[32]})
				part := func(shift uint) uint64 {
					return new(big.Int).And(new(big.Int).Rsh(n, shift), big.NewInt(0xffff)).Uint64()
				}
				days := binary.LittleEndian.Uint64(b[24:]) / (86400 * 10_000_000)
				date := time.Date(1601, 1, 1+int(days), 0, 0, 0, 0, time.UTC)
				want = append(want, fmt.Sprintf("%s|%s|%s|%s|%d.%d.%d.%d|%s", key, v[""].text(), v["infname"].text(), v["provider"].text(),
					part(48), part(32), part(16), part(0), date.Format(time.DateOnly)))
			}
			same(t, "drivers", lines, want)
			want = nil
			for key, v := range k.below(services) {
				switch kind, start := v["type"].number(), v["start"].number(); {
				case (kind == 1 || kind == 2) && start == 0:
					want = append(want, key+" true")
				case kind > 2 && kind&0x30 != 0 && start == 2:
					want = append(want, key+" false")
				}
			}
			same(t, "services", started, want)
		})
	}
}

// The hive is the key Software of a user, saved on its own.
func TestProgramsOfAUserAreReadAsOthersReadThem(t *testing.T) {
	alone(t)
	t.Parallel()
	user := corpusHive(t, "regipy-ntuser_software_partial")
	r := &reader{ctx: context.Background(), fs: fstest.MapFS{"NTUSER.DAT": {Data: user}}, inv: &Inventory{}}
	h := r.open(`\NTUSER.DAT`)
	defer h.close()
	r.source("user", "", func(g *gathering) { g.programs(h, uninstall, Program{Scope: "user"}) })
	var lines []string
	for _, p := range r.inv.Programs {
		lines = append(lines, p.Key+"|"+p.Name+"|"+p.Version+"|"+p.Publisher)
	}
	if s := r.inv.Sources[0]; len(lines) != 5 || s.State != Read || s.Count != 5 {
		t.Errorf("%d programs, %+v", len(lines), s)
	}
	at := onDisk(t, user)
	for name, read := range readers {
		t.Run(name, func(t *testing.T) {
			var want []string
			for key, v := range read(t, at, uninstall).below(uninstall) {
				if v["displayname"].text() != "" {
					want = append(want, key+"|"+v["displayname"].text()+"|"+v["displayversion"].text()+"|"+v["publisher"].text())
				}
			}
			same(t, "programs", lines, want)
		})
	}
}
