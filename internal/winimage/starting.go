package winimage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// Wanted is what somebody asks about where Windows starts. It costs more reading
// than a proof needs, so nothing of it is read unasked.
type Wanted struct {
	// Services are drivers, by the names of their keys below Services.
	Services []string
	// Devices are hardware ids: `PCI\VEN_1AF4&DEV_1001`.
	Devices []string
	// Programs are paths below the system drive: `\Program Files\x.exe`.
	Programs []string
}

// Presence is how a key or a file was found.
type Presence string

// Presences. Unread is what could not be looked for: it may be there.
const (
	There  Presence = "there"
	Absent Presence = "absent"
	Zeros  Presence = "zeros" // a file without a byte that is not 0, as one that was never flushed
	Unread Presence = "unread"
)

// Starting is what decides on which machines Windows starts.
type Starting struct {
	// Services are the drivers that were asked for, in the order of Wanted.
	Services []Service `json:"services"`
	// Devices are the hardware ids that were asked for.
	Devices []Device `json:"devices"`
	// Database is where they were looked up: DriverDatabase, before Windows 8
	// CriticalDeviceDatabase; empty where neither could be read.
	Database string `json:"device_database,omitempty"`
	// Filters are the filter drivers of the classes of storage.
	Filters []Filter `json:"filters,omitempty"`
	// FiltersUnread: some of those may be missing from the list.
	FiltersUnread bool `json:"filters_unread,omitempty"`
	// SANPolicy says which new disks come online by themselves: 1 is all of them.
	// Nil where the value is absent.
	SANPolicy *uint32 `json:"san_policy,omitempty"`
	// KeptBy are answer files that set PersistAllDeviceInstalls: generalize leaves
	// the settings of the drivers then.
	KeptBy []string `json:"drivers_kept_by,omitempty"`
	// Programs are those of Wanted that are there.
	Programs []string `json:"programs,omitempty"`
}

// Service is a driver as the registry has it.
type Service struct {
	Name     string   `json:"name"`
	Presence Presence `json:"presence"` // of its key
	Start    *uint32  `json:"start,omitempty"`
	// Overrides are the values of StartOverride, which since Windows 8 beat Start.
	Overrides []Override `json:"start_overrides,omitempty"`
	// File is what is loaded, on the system drive; FileIs is how it was found.
	File   string   `json:"file,omitempty"`
	FileIs Presence `json:"file_presence,omitempty"`
}

// Override is a value of the key StartOverride.
type Override struct {
	Name  string `json:"name"`
	Start uint32 `json:"start"`
}

// Overridden is the override that keeps a driver from starting at boot; nil where
// none does.
func (s Service) Overridden() *Override {
	for i, o := range s.Overrides {
		if o.Start != windows.StartBoot {
			return &s.Overrides[i]
		}
	}
	return nil
}

// Device is a hardware id and what Windows binds to it.
type Device struct {
	ID string `json:"id"`
	// Presence is that of a binding.
	Presence Presence `json:"presence"`
	// Bound are the ids that are bound, which may name a revision or a subsystem as
	// well, each with its INF or service: `PCI\VEN_1AF4&DEV_1001&REV_00: oem3.inf`.
	Bound []string `json:"bound,omitempty"`
}

// Filter is a filter driver of a class of devices.
type Filter struct {
	Class    string   `json:"class"`
	Position string   `json:"position"` // UpperFilters or LowerFilters
	Service  string   `json:"service"`
	Presence Presence `json:"presence"` // of its key
	File     string   `json:"file,omitempty"`
	FileIs   Presence `json:"file_presence,omitempty"`
	// InBox: Windows is shipped with it.
	InBox bool `json:"in_box"`
}

const (
	maxOverrides = 16
	maxBound     = 4
	maxFilters   = 64
	// maxDatabase is how many ids are looked through; a Windows 10 has 3,000 of PCI.
	maxDatabase = 50_000

	deviceDatabase   = "DriverDatabase"
	criticalDatabase = "CriticalDeviceDatabase"
	driversHive      = "DRIVERS"
)

// readStarting gathers what was asked for.
func (d *drive) readStarting(system *registry, wanted Wanted, answers []AnswerFile) *Starting {
	set := controlSet(system)
	s := &Starting{Services: []Service{}, Devices: []Device{}}
	for _, name := range wanted.Services {
		s.Services = append(s.Services, d.service(system, set, name))
	}
	d.readDevices(s, system, set, wanted.Devices)
	d.readFilters(s, system, set)
	s.SANPolicy = system.number(set+`\Services\partmgr\Parameters`, "SanPolicy")
	for _, a := range answers {
		if a.KeepsDrivers {
			s.KeptBy = append(s.KeptBy, a.Path)
		}
	}
	for _, path := range wanted.Programs {
		if d.exists(path) {
			s.Programs = append(s.Programs, path)
		}
	}
	return s
}

// look finds a key and tells one that is absent from one that cannot be read.
func (r *registry) look(path string) (*regf.Key, Presence) {
	if r.hive == nil {
		return nil, Unread
	}
	k, err := r.hive.Key(path)
	switch {
	case err == nil:
		return k, There
	case errors.Is(err, regf.ErrNotExist):
		return nil, Absent
	}
	r.note(path, err)
	return nil, Unread
}

func (d *drive) service(system *registry, set, name string) Service {
	path := set + `\Services\` + name
	k, is := system.look(path)
	s := Service{Name: name, Presence: is}
	switch is {
	case Absent: // its file may be there all the same
		s.File, s.FileIs = d.loaded(name, "")
		return s
	case Unread:
		return s
	}
	s.Start = system.number(path, "Start")
	if o, is := system.look(path + `\StartOverride`); is == There {
		values, err := o.Values()
		system.note(path+`\StartOverride`, err)
		for _, v := range values[:min(len(values), maxOverrides)] {
			n, err := v.AsDWord()
			system.note(path+`\StartOverride\`+v.Name, err)
			if err != nil {
				s.Presence = Unread // it may be one that keeps the driver from starting
				continue
			}
			s.Overrides = append(s.Overrides, Override{budget.Cut(v.Name, maxSetting), n})
		}
		if err != nil || len(values) > maxOverrides {
			s.Presence = Unread
		}
	} else if is == Unread {
		s.Presence = Unread
	}
	image := ""
	if _, err := k.Value("ImagePath"); !errors.Is(err, regf.ErrNotExist) {
		if image = system.text(path, "ImagePath"); image == "" {
			s.FileIs = Unread
			return s
		}
	}
	s.File, s.FileIs = d.loaded(name, image)
	return s
}

// loaded is the file of a driver; without an ImagePath it is that of its name
// (Microsoft, "CreateServiceW": drivers are loaded from System32\drivers).
func (d *drive) loaded(name, image string) (string, Presence) {
	path, ok := imagePath(name, image)
	if !ok {
		return budget.Cut(image, maxSetting), Unread
	}
	return budget.Cut(path, maxSetting), d.presence(path)
}

func imagePath(name, image string) (path string, ok bool) {
	if image == "" {
		return `\Windows\System32\drivers\` + name + ".sys", true
	}
	image = strings.Trim(image, `" `)
	lower := strings.ToLower(image)
	switch {
	case strings.HasPrefix(lower, `\systemroot\`):
		return `\Windows` + image[len(`\systemroot`):], true
	case strings.HasPrefix(lower, `system32\`):
		return `\Windows\` + image, true
	case strings.HasPrefix(lower, `\??\`):
		image = image[len(`\??\`):]
	}
	return onSystemDrive(image)
}

// presence looks whether a file is there and holds more than zeros.
func (d *drive) presence(path string) Presence {
	f, err := d.open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Absent
	}
	if err != nil {
		d.problem(path, err)
		return Unread
	}
	defer f.Close()
	head := make([]byte, 4096)
	n, err := f.ReadAt(head[:min(int64(len(head)), f.size)], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		d.problem(path, reason(err))
		return Unread
	}
	// A driver begins with "MZ": its first page is not all zeros.
	if !slices.ContainsFunc(head[:n], func(b byte) bool { return b != 0 }) {
		return Zeros
	}
	return There
}

// readDevices looks hardware ids up in the database of the Windows. An id of the
// database may be longer than the one that is asked for: the driver of virtio binds
// a revision.
func (d *drive) readDevices(s *Starting, system *registry, set string, ids []string) {
	found := map[string][]string{}
	unread := map[string]bool{} // by the enumerator
	visit := func(r *registry, folder, enumerator, separator string, k *regf.Key, bound func(*regf.Key) string) {
		left := maxDatabase
		err := k.EachSubkey(func(sub *regf.Key) bool {
			name := enumerator + strings.ReplaceAll(sub.Name(), separator, `\`)
			for _, id := range ids {
				if len(found[id]) < maxBound && covers(id, name) {
					if with := bound(sub); with != "" {
						found[id] = append(found[id], budget.Cut(name+": "+with, maxSetting))
					}
				}
			}
			left--
			return left > 0
		})
		r.note(folder, err)
		if err != nil || left <= 0 {
			unread[enumerator] = true
		}
	}
	inDatabase := func(r *registry, root string) bool {
		if _, is := r.look(root); is != There {
			return false
		}
		for _, enumerator := range enumerators(ids) {
			folder := root + `\` + strings.TrimSuffix(enumerator, `\`)
			k, is := r.look(folder)
			if unread[enumerator] = unread[enumerator] || is == Unread; is == There {
				// Its values have the names of the INF files.
				visit(r, folder, enumerator, `\`, k, func(sub *regf.Key) string { return firstName(r, sub) })
			}
		}
		return true
	}
	const deviceIDs = `DriverDatabase\DeviceIds`
	if inDatabase(system, deviceIDs) {
		s.Database = deviceDatabase
	}
	if d.exists(hivePath(driversHive)) { // newer ones keep it in a hive of its own
		drivers := d.openHive(driversHive)
		if inDatabase(drivers, deviceIDs) || inDatabase(drivers, `DeviceIds`) {
			s.Database = deviceDatabase
		}
		drivers.close()
	}
	if s.Database == "" {
		folder := set + `\Control\` + criticalDatabase
		if k, is := system.look(folder); is == There {
			s.Database = criticalDatabase
			visit(system, folder, "", "#", k, func(sub *regf.Key) string {
				return system.text(folder+`\`+sub.Name(), "Service")
			})
		}
	}
	for _, id := range ids {
		device := Device{ID: id, Presence: Absent, Bound: found[id]}
		switch enumerator, _, _ := strings.Cut(id, `\`); {
		case len(device.Bound) > 0:
			device.Presence = There
		case s.Database == "", unread[""], unread[enumerator+`\`]:
			device.Presence = Unread
		}
		s.Devices = append(s.Devices, device)
	}
}

// covers reports whether an id of the database is that of a device, or of one kind
// of it (Microsoft, "Identifiers for PCI devices").
func covers(id, bound string) bool {
	return len(bound) >= len(id) && strings.EqualFold(bound[:len(id)], id) && (len(bound) == len(id) || bound[len(id)] == '&')
}

// enumerators are the parts of ids before the backslash, with it.
func enumerators(ids []string) []string {
	seen := map[string]bool{}
	for _, id := range ids {
		if enumerator, _, ok := strings.Cut(id, `\`); ok {
			seen[enumerator+`\`] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

func firstName(r *registry, k *regf.Key) string {
	values, err := k.Values()
	r.note(k.Name(), err)
	for _, v := range values {
		if v.Name != "" {
			return v.Name
		}
	}
	return ""
}

// readFilters notes the filters of all devices of the classes of storage.
func (d *drive) readFilters(s *Starting, system *registry, set string) {
	for _, class := range slices.Sorted(maps.Keys(windows.StorageClasses)) {
		path := set + `\Control\Class\` + class
		k, is := system.look(path)
		if is != There {
			s.FiltersUnread = s.FiltersUnread || is == Unread
			continue
		}
		for _, position := range []string{"UpperFilters", "LowerFilters"} {
			names, err := texts(k, position)
			system.note(path+`\`+position, err)
			s.FiltersUnread = s.FiltersUnread || err != nil
			for _, name := range names {
				if len(s.Filters) == maxFilters {
					s.FiltersUnread = true
					return
				}
				service := d.service(system, set, name)
				s.Filters = append(s.Filters, Filter{
					windows.StorageClasses[class], position, budget.Cut(name, maxSetting), service.Presence, service.File, service.FileIs,
					slices.ContainsFunc(windows.ClassFilters, func(own string) bool { return strings.EqualFold(own, name) }),
				})
			}
		}
	}
}

// texts are those of a REG_MULTI_SZ value, or of a REG_SZ that stands for one.
func texts(k *regf.Key, name string) (list []string, err error) {
	v, err := k.Value(name)
	if errors.Is(err, regf.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	const multi = 7
	if v.Type != multi && v.Type != regf.TypeString || v.Size() > maxText {
		return nil, fmt.Errorf("%d bytes of type %d are no list of texts", v.Size(), v.Type)
	}
	b, err := v.Data()
	if err != nil {
		return nil, err
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	for _, text := range strings.Split(string(utf16.Decode(units)), "\x00") {
		if text = strings.TrimSpace(text); text != "" {
			list = append(list, text)
		}
	}
	return list, nil
}

// Found is a service of those that were asked for; one that was not is unread.
func (s *Starting) Found(name string) Service {
	for _, one := range s.Services {
		if strings.EqualFold(one.Name, name) {
			return one
		}
	}
	return Service{Name: name, Presence: Unread}
}

// Bound is a hardware id of those that were asked for; one that was not is unread.
func (s *Starting) Bound(id string) Device {
	for _, one := range s.Devices {
		if strings.EqualFold(one.ID, id) {
			return one
		}
	}
	return Device{ID: id, Presence: Unread}
}
