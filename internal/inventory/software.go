package inventory

import (
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// Framework is a version of .NET.
type Framework struct {
	Name    string // .NET Framework, Microsoft.NETCore.App
	Version string
	// Key is the key or the folder that says so: v4\Full.
	Key     string
	Release uint32 // of .NET Framework 4.5 and later
}

// App is a package of the Microsoft Store that is there for all users.
type App struct {
	FullName string
	// The parts of the full name; of one that has not five of them only Name.
	Name, Version, Architecture, Resource, Publisher string
	// Kept are the parts of AppxAllUserStore that name it.
	Kept []string
}

// Role is a role or a feature of a server that is installed.
type Role struct {
	Name  string
	State uint32 // InstallState
}

// Module is a folder with a PowerShell module.
type Module struct {
	Name    string
	Version string // where the module has folders of versions
	Folder  string
}

func (r *reader) readFrameworks() {
	const path = windows.FrameworksKey
	r.source("dotnet-framework", `SOFTWARE\`+path, func(g *gathering) {
		add := func(k *regf.Key, name string) bool {
			v := g.values(k)
			installed, _ := g.number(v, "Install")
			f := Framework{Name: ".NET Framework", Version: g.text(v, "Version"), Key: name}
			if f.Version == "" || installed != 1 {
				return false
			}
			f.Release, _ = g.number(v, "Release")
			g.Count++
			r.inv.Frameworks = append(r.inv.Frameworks, f)
			return true
		}
		g.each(r.software, path, func(k *regf.Key) {
			if !strings.HasPrefix(strings.ToLower(k.Name()), "v") || add(k, g.keep(k.Name())) {
				return
			}
			for _, part := range []string{"Full", "Client"} { // Client is a part of Full
				sub, err := k.Key(part)
				g.fail(path, err)
				if err == nil && add(sub, g.keep(k.Name()+`\`+part)) {
					return
				}
			}
		})
	})
	r.source("dotnet", strings.Join(windows.RuntimeFolders, ", "), func(g *gathering) {
		for _, root := range windows.RuntimeFolders {
			g.folders(root, func(name string) {
				g.folders(root+`\`+name, func(version string) {
					g.Count++
					r.inv.Frameworks = append(r.inv.Frameworks, Framework{Name: g.keep(name), Version: g.keep(version), Key: root + `\` + name})
				})
			})
		}
	})
}

// ParseApp takes the full name of a package apart:
// name_version_architecture_resource_publisher.
func ParseApp(fullName string) App {
	a := App{FullName: fullName, Name: fullName}
	if parts := strings.Split(fullName, "_"); len(parts) == 5 && parts[0] != "" {
		a.Name, a.Version, a.Architecture, a.Resource, a.Publisher = parts[0], parts[1], parts[2], parts[3], parts[4]
	}
	return a
}

func (r *reader) readApps() {
	const path = windows.AppsKey
	r.source("apps", `SOFTWARE\`+path, func(g *gathering) {
		at := map[string]int{}
		add := func(name, kept string) {
			i, known := at[strings.ToLower(name)]
			if !known {
				if name = g.keep(name); name == "" {
					return
				}
				i = len(r.inv.Apps)
				at[strings.ToLower(name)] = i
				r.inv.Apps = append(r.inv.Apps, ParseApp(name))
				g.Count++
			}
			if a := &r.inv.Apps[i]; !slices.Contains(a.Kept, kept) {
				a.Kept = append(a.Kept, kept)
			}
		}
		for _, part := range []string{"Applications", "InboxApplications"} {
			g.each(r.software, path+`\`+part, func(k *regf.Key) { add(k.Name(), part) })
		}
		// Family name, then full name.
		g.each(r.software, path+`\Staged`, func(k *regf.Key) {
			g.eachOf(k, func(k *regf.Key) { add(k.Name(), "Staged") })
		})
	})
}

func (r *reader) readRoles() {
	const path = windows.RolesKey
	r.source("roles", `SOFTWARE\`+path, func(g *gathering) {
		g.each(r.software, path, func(k *regf.Key) {
			// 0 is one that is not installed.
			if state, ok := g.number(g.values(k), "InstallState"); ok && state != 0 {
				g.Count++
				r.inv.Roles = append(r.inv.Roles, Role{g.keep(k.Name()), state})
			}
		})
	})
}

var versionFolder = lazyregexp.New(`^\d{1,9}(\.\d{1,9}){1,3}$`)

func (r *reader) readModules() {
	r.source("powershell-modules", strings.Join(windows.ModuleFolders, ", "), func(g *gathering) {
		for _, root := range windows.ModuleFolders {
			g.folders(root, func(name string) {
				versions := 0
				add := func(version string) {
					g.Count++
					r.inv.Modules = append(r.inv.Modules, Module{g.keep(name), g.keep(version), root})
				}
				g.folders(root+`\`+name, func(version string) {
					if versionFolder.MatchString(version) {
						versions++
						add(version)
					}
				})
				if versions == 0 {
					add("")
				}
			})
		}
	})
}
