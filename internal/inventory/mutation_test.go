package inventory

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// reseal makes the checksum of a base block right again, so that damage gets further than
// the first check.
func reseal(b []byte) {
	var sum uint32
	for i := 0; i < 508; i += 4 {
		sum ^= binary.LittleEndian.Uint32(b[i:])
	}
	binary.LittleEndian.PutUint32(b[508:], sum)
}

func TestDamagedHivesNeitherPanicNorPassForEmptyOnes(t *testing.T) {
	r := rand.New(rand.NewPCG(18, 18))
	sound := take(t, whole())
	hives := []string{config + "SOFTWARE", config + "SYSTEM", config + "DRIVERS", "Users/Administrator/NTUSER.DAT"}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	refused, told, silent := 0, 0, 0
	n := testutil.Fewer(800)
	for range n {
		drive := whole()
		path := hives[r.IntN(len(hives))]
		b := slices.Clone(drive[path].Data)
		for range 1 + r.IntN(16) {
			b[r.IntN(len(b))] = byte(r.Uint32())
		}
		reseal(b)
		drive[path] = &fstest.MapFile{Data: b}
		inv, err := ReadDrive(context.Background(), drive)
		switch {
		case err != nil:
			refused++
		case len(inv.Unreadable()) > 0:
			told++
		case len(inv.Packages) < len(sound.Packages) || len(inv.Drivers) < len(sound.Drivers):
			silent++ // a changed count or name of a key, which has no checksum
		}
	}
	runtime.ReadMemStats(&after)
	t.Logf("%d damaged: %d refused, %d told, %d with less in it", n, refused, told, silent)
	if grown := int64(after.Sys) - int64(before.Sys); grown > 256<<20 {
		t.Errorf("%d MiB of memory were taken", grown>>20)
	}
	if refused == 0 || told < n/8 || silent > n/20 {
		t.Errorf("of %d damaged drives %d were refused, %d told, %d passed for ones with less", n, refused, told, silent)
	}
}

// FuzzNames takes apart what others wrote: names of packages and apps, command lines of
// services, and the value Version of a driver.
func FuzzNames(f *testing.F) {
	f.Add("Package_for_KB5005039~31bf3856ad364e35~amd64~~10.0.1.2", versionOf(1, 0, 0x7c, 0x4f, 0, 0, 10, 0))
	f.Add("Package_for_RollupFix~31bf3856ad364e35~amd64~de-DE~20348.2340.1.9", []byte{})
	f.Add("Microsoft.VCLibs_14.0.1.0_x64__8wekyb3d8bbwe", make([]byte, 39))
	f.Add(`"C:\Program Files\x.exe" -p y`, make([]byte, 48))
	f.Add(`C:\İ.exe kb1234567`, versionOf(255, 255, 255, 255, 255, 255, 255, 255))
	f.Fuzz(func(t *testing.T, name string, blob []byte) {
		p := ParsePackage(name)
		if p.Token != "" && strings.Join([]string{p.Name, p.Token, p.Architecture, p.Language, p.Version}, "~") != name {
			t.Errorf("%q: %+v", name, p)
		}
		if kb := p.KB(); kb != "" && (!strings.HasPrefix(kb, "KB") || len(kb) < 8 || len(kb) > 10) {
			t.Errorf("%q: %s", name, kb)
		}
		if a := ParseApp(name); a.FullName != name || len(a.Name) > len(name) {
			t.Errorf("%q: %+v", name, a)
		}
		if file := program(name); !strings.Contains(name, file) {
			t.Errorf("%q: %q", name, file)
		}
		version, class, date := driverVersion(blob)
		if len(blob) < 40 && version+class != "" || strings.Count(version, ".") > 3 || !date.IsZero() && (date.Year() < 1980 || date.Year() > 2099) {
			t.Errorf("% x: %s %s %s", blob, version, class, date)
		}
	})
}
