package inventory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// Driver is a package of the driver store.
type Driver struct {
	Package string // stornvme.inf_amd64_822f29bfb80b20e8
	// Inf is the name under which Windows keeps it (oem3.inf), OriginalInf the one it came
	// with, where that differs.
	Inf, OriginalInf string
	Provider         string
	Class            string // GUID of the class of devices
	Version          string
	Date             time.Time
	// Kept are the places that name it: SYSTEM, DRIVERS, FileRepository.
	Kept []string
}

// Service is a driver that starts with the disk, or a service that starts by itself.
type Service struct {
	Name   string
	Driver bool
	// Image is the file, without arguments, which may hold a password; empty for one that
	// Windows finds by its name.
	Image string
}

// driverVersion reads the value Version of a driver package: the class at 8, the date as a
// FILETIME at 24, the version at 32 with its last part first (seen in a SYSTEM hive of
// Windows 10 1709). A shorter value says nothing.
func driverVersion(b []byte) (version, class string, date time.Time) {
	if len(b) < 40 {
		return "", "", time.Time{}
	}
	le := binary.LittleEndian
	if v := b[32:40]; le.Uint64(v) != 0 {
		version = fmt.Sprintf("%d.%d.%d.%d", le.Uint16(v[6:]), le.Uint16(v[4:]), le.Uint16(v[2:]), le.Uint16(v))
	}
	if c := b[8:24]; slices.ContainsFunc(c, func(x byte) bool { return x != 0 }) {
		class = fmt.Sprintf("{%08x-%04x-%04x-%x-%x}", le.Uint32(c), le.Uint16(c[4:]), le.Uint16(c[6:]), c[8:10], c[10:16])
	}
	return version, class, filetime(le.Uint64(b[24:]))
}

func (r *reader) readDrivers() {
	at := map[string]int{}
	find := func(g *gathering, name, kept string) *Driver {
		lower := strings.ToLower(name)
		i, known := at[lower]
		if !known {
			if name = g.keep(name); name == "" {
				return nil
			}
			i = len(r.inv.Drivers)
			at[lower] = i
			r.inv.Drivers = append(r.inv.Drivers, Driver{Package: name})
		}
		d := &r.inv.Drivers[i]
		if !slices.Contains(d.Kept, kept) {
			d.Kept = append(d.Kept, kept)
			g.Count++
		}
		return d
	}
	const path = windows.DriverPackagesKey
	from := func(g *gathering, h *hive, kept string) {
		g.each(h, path, func(k *regf.Key) {
			d := find(g, k.Name(), kept)
			if d == nil {
				return
			}
			v := g.values(k)
			d.Inf, d.OriginalInf, d.Provider = g.text(v, ""), g.text(v, "InfName"), g.text(v, "Provider")
			if strings.EqualFold(d.Inf, d.OriginalInf) {
				d.OriginalInf = ""
			}
			if blob := v["version"]; blob != nil && blob.Size() <= maxText {
				b, err := blob.Data()
				g.fail("Version", err)
				d.Version, d.Class, d.Date = driverVersion(b)
			}
		})
	}
	r.source("drivers", `SYSTEM\`+path, func(g *gathering) { from(g, r.system, "SYSTEM") })
	r.source("drivers-hive", `DRIVERS\`+path, func(g *gathering) {
		h := r.open(configHive("DRIVERS"), ".LOG1", ".LOG2")
		defer h.close()
		if !errors.Is(h.err, fs.ErrNotExist) {
			from(g, h, "DRIVERS")
		}
	})
	repository := windows.DriverStore.OnVolume()
	r.source("driver-store", repository, func(g *gathering) {
		g.folders(repository, func(name string) { find(g, name, "FileRepository") })
	})
}

func (r *reader) readServices() {
	r.source("services", `SYSTEM\...\Services`, func(g *gathering) {
		g.each(r.system, r.controlSet(g)+`\Services`, func(k *regf.Key) {
			v := g.values(k)
			kind, ok := g.number(v, "Type")
			start, starts := g.number(v, "Start")
			if !ok || !starts {
				return
			}
			s := Service{Driver: kind&windows.DriverTypes != 0}
			if boot := s.Driver && start == windows.StartBoot; !boot && (kind&windows.ProcessTypes == 0 || start != windows.StartAutomatic) {
				return
			}
			s.Name, s.Image = g.keep(k.Name()), program(g.text(v, "ImagePath"))
			g.Count++
			r.inv.Services = append(r.inv.Services, s)
		})
	})
}

// program is the file of a command line, without its arguments.
func program(line string) string {
	if rest, quoted := strings.CutPrefix(line, `"`); quoted {
		file, _, _ := strings.Cut(rest, `"`)
		return file
	}
	// A path without quotation marks may have spaces.
	lower := strings.ToLower(line)
	for _, end := range []string{".exe", ".sys"} {
		if i := strings.Index(lower, end); i >= 0 && len(lower) == len(line) {
			return line[:i+len(end)]
		}
	}
	file, _, _ := strings.Cut(line, " ")
	return file
}
