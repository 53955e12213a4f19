package preflight

import (
	"slices"
	"strconv"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// AppxPackages are the app packages of all users.
type AppxPackages struct {
	Available *bool     `json:"available"`
	Packages  []Package `json:"packages"`
}

// AppxProvisioned are those that every new user gets.
type AppxProvisioned struct {
	Available *bool         `json:"available"`
	Packages  []Provisioned `json:"packages"`
}

// Package is an app package that is installed for users.
type Package struct {
	Name            string        `json:"name"`
	FullName        string        `json:"fullName"`
	Version         string        `json:"version"`
	SignatureKind   string        `json:"signatureKind"`
	Framework       bool          `json:"framework"`
	Resource        bool          `json:"resource"`
	Bundle          bool          `json:"bundle"`
	NonRemovable    *bool         `json:"nonRemovable"` // nil before Windows 10 1709
	InstallLocation string        `json:"installLocation"`
	Users           []PackageUser `json:"users"`
}

// PackageUser is a user's copy.
type PackageUser struct {
	SID   string `json:"sid"`
	Name  string `json:"name"`
	State string `json:"state"`
}

// Provisioned is a package that is installed for every new user.
type Provisioned struct {
	DisplayName string `json:"displayName"`
	PackageName string `json:"packageName"`
	Version     string `json:"version"`
}

// secHealthUI cannot be removed, and is provisioned all the same.
const secHealthUI = "Microsoft.SecHealthUI"

// app reports whether sysprep asks that the package is provisioned: no frameworks,
// resources and bundles, nothing that belongs to Windows.
func (p Package) app() bool {
	if p.Framework || p.Resource || p.Bundle || notAnApp.MatchString(p.FullName) || strings.EqualFold(p.SignatureKind, "System") || p.NonRemovable != nil && *p.NonRemovable {
		return false
	}
	return !belowWindows.MatchString(p.InstallLocation)
}

// notAnApp is the full name (Name_Version_Architecture_ResourceId_PublisherId) of a bundle
// or of a resource package of one. Parts of Windows have the resource id "neutral".
var notAnApp = lazyregexp.New(`(?i)^[^_]+_[^_]+_[^_]*_(~|split\.[^_]*)_[^_]+$`)

// belowWindows begins the places of packages that belong to Windows, such as SystemApps and
// PrintDialog. Before Windows 10 1709 nothing else tells them: they have no SignatureKind
// and no NonRemovable, and are not provisioned. Apps are in WindowsApps on some drive.
var belowWindows = lazyregexp.New(`(?i)^[a-z]:\\windows\\`)

// installed are the users that have the package; Staged and others are not counted.
func (p Package) installed() (users []PackageUser) {
	for _, u := range p.Users {
		if strings.HasPrefix(strings.ToLower(u.State), "installed") { // NotInstalled is another one
			users = append(users, u)
		}
	}
	return users
}

// Stray is a package that is installed for users and not provisioned, for which
// sysprep refuses to run.
type Stray struct {
	Package
	// Gone: none of its users has a profile any more, so the package cannot be
	// removed the usual way.
	Gone bool
	// Provisioned are the packages of that name that are provisioned, by their full
	// names: of the stray ones of one that has another version.
	Provisioned []string
}

// Strays lists them. known is false where the guest did not say enough, which why
// explains. Where profiles are not known nobody counts as gone.
func (f Facts) Strays() (strays []Stray, known bool, why string) {
	packages, ok := f.Appx.Get()
	if !ok {
		return nil, false, f.Appx.Why()
	}
	provisioned, ok := f.AppxProvisioned.Get()
	if !ok {
		return nil, false, f.AppxProvisioned.Why()
	}
	if no(provisioned.Available) && len(packages.Packages) > 0 {
		return nil, false, "the guest has no Get-AppxProvisionedPackage"
	}
	for _, p := range packages.Packages {
		users := p.installed()
		if !p.app() || len(users) == 0 || len(provisioned.named(p.Name)) > 0 {
			continue
		}
		strays = append(strays, Stray{Package: p, Gone: f.gone(users)})
	}
	return strays, true, ""
}

// named are the full names of the provisioned packages of that name.
func (a AppxProvisioned) named(name string) (full []string) {
	for _, p := range a.Packages {
		if strings.EqualFold(p.DisplayName, name) {
			full = append(full, p.PackageName)
		}
	}
	return full
}

// gone reports whether none of the users has a profile. SYSTEM and its like have none
// of the kind that is deleted.
func (f Facts) gone(users []PackageUser) bool {
	profiles, ok := f.Profiles.Get()
	if !ok {
		return false
	}
	for _, u := range users {
		if !strings.HasPrefix(u.SID, "S-1-5-21-") && !strings.HasPrefix(u.SID, "S-1-12-1-") {
			return false
		}
		if slices.ContainsFunc(profiles.List, func(p Profile) bool { return strings.EqualFold(p.SID, u.SID) && !no(p.Exists) }) {
			return false
		}
	}
	return true
}

// Doubles lists apps that are there in several versions, of which one is installed for a
// user and one is provisioned: each with its packages, of all versions and architectures.
// One version for several architectures is one version.
func (f Facts) Doubles() (doubles [][]Package, known bool, why string) {
	packages, ok := f.Appx.Get()
	if !ok {
		return nil, false, f.Appx.Why()
	}
	provisioned, ok := f.AppxProvisioned.Get()
	if !ok {
		return nil, false, f.AppxProvisioned.Why()
	}
	byFamily := map[string][]Package{}
	for _, p := range packages.Packages {
		if p.app() && len(p.Users) > 0 {
			of := strings.ToLower(family(p.FullName))
			byFamily[of] = append(byFamily[of], p)
		}
	}
	for _, list := range byFamily {
		other := func(p Package) bool { return p.Version != list[0].Version }
		used := func(p Package) bool { return len(p.installed()) > 0 }
		if slices.ContainsFunc(list, other) && slices.ContainsFunc(list, used) && len(provisioned.named(list[0].Name)) > 0 {
			doubles = append(doubles, list)
		}
	}
	slices.SortFunc(doubles, func(a, b []Package) int { return strings.Compare(a[0].FullName, b[0].FullName) })
	return doubles, true, ""
}

// Newer lists apps that users have in a newer version than is provisioned. A bundle may be
// numbered otherwise than what is in it, and then seems older.
func (f Facts) Newer() (newer []Package, known bool, why string) {
	packages, ok := f.Appx.Get()
	if !ok {
		return nil, false, f.Appx.Why()
	}
	provisioned, ok := f.AppxProvisioned.Get()
	if !ok {
		return nil, false, f.AppxProvisioned.Why()
	}
	for _, p := range packages.Packages {
		if !p.app() || len(p.installed()) == 0 {
			continue
		}
		older := 0
		for _, q := range provisioned.Packages {
			if !strings.EqualFold(q.DisplayName, p.Name) {
				continue
			}
			if order, ok := compareVersions(p.Version, q.Version); !ok || order <= 0 {
				older = -1
				break
			}
			older++
		}
		if older > 0 {
			newer = append(newer, p)
		}
	}
	return newer, true, ""
}

// compareVersions compares versions of up to four numbers.
func compareVersions(a, b string) (order int, ok bool) {
	x, okA := numbers(a)
	y, okB := numbers(b)
	return slices.Compare(x[:], y[:]), okA && okB
}

func numbers(version string) (n [4]int, ok bool) {
	parts := strings.Split(version, ".")
	if len(parts) > len(n) {
		return n, false
	}
	for i, p := range parts {
		v, err := strconv.Atoi(p)
		if err != nil || v < 0 {
			return n, false
		}
		n[i] = v
	}
	return n, true
}
