// Package inventory reads what the Windows on a drive is made of, while it is switched off:
// the system and its build, packages of servicing and updates, programs of the machine and
// of its users, .NET, apps, server roles, drivers, services that start by themselves and
// PowerShell modules. Nothing is mounted and nothing is written.
//
// Each place that is read is a Source, which says how that went. A place that cannot be
// read is never taken for an empty one.
package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// Inventory is what a Windows is made of, in the order in which it was found.
type Inventory struct {
	OS OS
	// Written is when Windows last wrote the hive SOFTWARE, by the guest's clock; zero
	// where the hive does not say.
	Written time.Time
	// Sources are all places where something is looked for, with what came of it.
	Sources    []Source
	Packages   []Package
	Updates    []Update
	Programs   []Program
	Frameworks []Framework
	Apps       []App
	Roles      []Role
	Drivers    []Driver
	Services   []Service
	Modules    []Module
}

// State says how reading a source went.
type State string

// States of a source.
const (
	Read       State = "read"
	Absent     State = "absent"     // the place is not there, as on another version of Windows
	Unreadable State = "unreadable" // at least a part could not be read
	NotRead    State = "not read"   // it is known, and this package does not read it
)

// Source is one place where something is looked for.
type Source struct {
	ID    string // for programs: "packages"
	Where string // for people: the key or the folder
	State State
	// Count is how many entries were found there.
	Count int
	// Reasons say what could not be read, or why it was not tried.
	Reasons []string
}

// Unreadable are the sources that could not be read to their end.
func (i *Inventory) Unreadable() (list []Source) {
	for _, s := range i.Sources {
		if s.State == Unreadable {
			list = append(list, s)
		}
	}
	return list
}

// What is read at most. A Windows with years of updates needs less than a tenth of each
// number. What exceeds one is said in the source.
const (
	maxHive      = 64 << 20 // bytes read of one hive
	hiveBlock    = 16 << 10
	hiveBlocks   = 1536 // 24 MiB
	maxHiveItems = 1_000_000
	maxHiveLog   = 16 << 20
	maxKept      = 24 << 20 // bytes of all texts together
	maxText      = 1 << 10  // bytes of one text
	maxUsers     = 64
	maxReasons   = 4
	maxReason    = 300
)

// maxEntries is how many keys or folders of one place are read. A variable, so that tests
// need not so many.
var maxEntries = 20_000

// errNoWindows is for a drive whose SOFTWARE says no product and no build.
var errNoWindows = errors.New(`the registry hive SOFTWARE names no product and no build (Microsoft\Windows NT\CurrentVersion)`)

// reader reads one drive.
type reader struct {
	ctx              context.Context
	fs               fs.FS
	inv              *Inventory
	kept             *budget.Budget
	system, software *hive
}

// ReadDrive takes stock of the Windows on a drive, whatever keeps its files: they are read
// at an offset (io.ReaderAt). The error is for a drive whose Windows cannot be named at
// all; what is lost beside it is said by the sources.
func ReadDrive(ctx context.Context, files fs.FS) (*Inventory, error) {
	r := &reader{ctx: ctx, fs: files, inv: &Inventory{}}
	r.kept = budget.New(ctx, budget.Limits{Bytes: maxKept, Of: "text"})
	r.software, r.system = r.open(configHive("SOFTWARE"), ".LOG1", ".LOG2"), r.open(configHive("SYSTEM"), ".LOG1", ".LOG2")
	defer r.software.close()
	defer r.system.close()
	if r.software.err != nil {
		return nil, fmt.Errorf("reading the registry hive SOFTWARE: %w", r.software.err)
	}
	r.readOS()
	if r.inv.OS.ProductName == "" && r.inv.OS.Version == "" {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if lost := r.inv.Unreadable(); len(lost) > 0 {
			return nil, fmt.Errorf("%w: %s", errNoWindows, lost[0].Reasons[0])
		}
		return nil, errNoWindows
	}
	r.readPackages()
	r.readPrograms()
	r.readFrameworks()
	r.readApps()
	r.readRoles()
	r.readDrivers()
	r.readServices()
	r.readModules()
	r.inv.Sources = append(r.inv.Sources, notRead()...)
	return r.inv, ctx.Err()
}

// notRead are places that are known and not read, each with the reason.
func notRead() []Source {
	return []Source{
		{ID: "optional-features", Where: `SOFTWARE\` + windows.PackagesKey + `\*\Updates`, State: NotRead, Reasons: []string{"what its values mean is not documented; the packages of features are among the packages"}},
		{ID: "rollup-updates", Where: `SOFTWARE\` + windows.PackagesKey + `\` + windows.RollupPackage + `*`, State: NotRead, Reasons: []string{"a cumulative update has no KB number in its name; the revision of the build says which one it is"}},
		{ID: "user-apps", Where: `\ProgramData\Microsoft\Windows\AppRepository`, State: NotRead, Reasons: []string{"apps that users installed for themselves are in a database"}},
		{ID: "files", Where: `\`, State: NotRead, Reasons: []string{"programs that were copied without an installer leave no trace that is looked for"}},
	}
}
