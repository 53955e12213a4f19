package inventory

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// Program is an entry of "Programs and Features", or one that is hidden there.
type Program struct {
	Key       string // its name below Uninstall
	Name      string
	Version   string
	Publisher string
	// Scope is machine, machine-32bit (below WOW6432Node) or user.
	Scope string
	// Profile is the folder of the user's profile, without its path: Default.
	Profile string
	// Hidden: SystemComponent is set, and Windows does not list it.
	Hidden bool
	// Parent is the key of the program that it is an update of.
	Parent string
}

const uninstall = windows.UninstallKey

func (r *reader) readPrograms() {
	r.source("programs", `SOFTWARE\`+uninstall, func(g *gathering) {
		g.programs(r.software, uninstall, Program{Scope: "machine"})
	})
	r.source("programs-32bit", `SOFTWARE\`+windows.WOW64Key+`\`+uninstall, func(g *gathering) {
		g.programs(r.software, windows.WOW64Key+`\`+uninstall, Program{Scope: "machine-32bit"})
	})
	// What was installed for the account that services and elevated scripts run as.
	r.userPrograms("LocalSystem", configHive("DEFAULT"), ".LOG1", ".LOG2")
	profiles := r.profiles()
	for _, path := range profiles {
		r.userPrograms(path[strings.LastIndexByte(path, '\\')+1:], path+`\NTUSER.DAT`, ".LOG1", ".LOG2")
	}
}

// userPrograms reads the hive of one user, where there is one.
func (r *reader) userPrograms(profile, path string, logs ...string) {
	r.source("programs-of-user:"+profile, path, func(g *gathering) {
		h := r.open(path, logs...)
		defer h.close()
		if errors.Is(h.err, fs.ErrNotExist) {
			return
		}
		for _, below := range []string{`Software\`, `Software\` + windows.WOW64Key + `\`} {
			g.programs(h, below+uninstall, Program{Scope: "user", Profile: profile})
		}
		g.there = h.err == nil
	})
}

// programs reads the entries of one key; like says what they have in common.
func (g *gathering) programs(h *hive, path string, like Program) {
	g.each(h, path, func(k *regf.Key) {
		v := g.values(k)
		p := like
		// Without a name Windows does not list an entry: it is a part of another one.
		if p.Name = g.text(v, "DisplayName"); p.Name == "" {
			return
		}
		p.Key, p.Version, p.Publisher, p.Parent = g.keep(k.Name()), g.text(v, "DisplayVersion"), g.text(v, "Publisher"), g.text(v, "ParentKeyName")
		hidden, _ := g.number(v, "SystemComponent")
		p.Hidden = hidden == 1
		g.Count++
		g.r.inv.Programs = append(g.r.inv.Programs, p)
	})
}

// profiles are the folders of all profiles, those that Windows knows and those that lie
// beside them.
func (r *reader) profiles() (paths []string) {
	const list = windows.ProfilesKey
	r.source("users", `SOFTWARE\`+list+` and \Users`, func(g *gathering) {
		add := func(path string) {
			switch {
			case slices.ContainsFunc(paths, func(p string) bool { return strings.EqualFold(p, path) }):
			case len(paths) == maxUsers:
				g.fail("", errors.New("more than 64 profiles: the rest was not read"))
			default:
				paths = append(paths, path)
			}
		}
		known := func(path string) {
			if path == "" {
				return
			}
			if on, ok := onSystemDrive(path); ok {
				add(on)
				return
			}
			g.fail(path, errors.New("this profile is on another drive, which is not read"))
		}
		if k := g.key(r.software, list); k != nil {
			known(g.text(g.values(k), "Default"))
			g.eachOf(k, func(k *regf.Key) { known(g.text(g.values(k), "ProfileImagePath")) })
		}
		g.folders(`\Users`, func(name string) {
			// One that cannot be opened is there, and is told by whoever reads it.
			if _, err := fs.Stat(r.fs, named(`\Users\`+name+`\NTUSER.DAT`)); !errors.Is(err, fs.ErrNotExist) {
				add(`\Users\` + name)
			}
		})
		g.Count = len(paths)
	})
	slices.SortFunc(paths, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	return paths
}

// onSystemDrive turns C:\x or %SystemRoot%\x into a path of the drive.
func onSystemDrive(path string) (string, bool) {
	lower := strings.ToLower(path)
	for _, p := range []struct{ prefix, with string }{{"%systemroot%", `\Windows`}, {"%windir%", `\Windows`}, {"%systemdrive%", ""}, {"c:", ""}} {
		if strings.HasPrefix(lower, p.prefix) {
			return p.with + strings.TrimRight(path[len(p.prefix):], `\`), true
		}
	}
	return "", false
}
