package inventory

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// Package is a package of Component Based Servicing.
type Package struct {
	Identity string // the whole name
	// The parts of the name; of one that has not five of them only Name, which is the whole.
	Name, Token, Architecture, Language, Version string
	State                                        string
	// Present: Windows has what is in it. A superseded or staged package is not in use.
	Present bool
	// Installed is when servicing installed it; zero where it does not say.
	Installed time.Time
}

// Update is a KB number in the names of packages.
type Update struct {
	ID    string // KB2533552
	State string // of the package that is nearest to being in use
	// Present: at least one of its packages is.
	Present  bool
	Packages int
}

// ParsePackage takes a package's name apart: name~token~architecture~language~version.
func ParsePackage(identity string) Package {
	p := Package{Identity: identity, Name: identity}
	if parts := strings.Split(identity, "~"); len(parts) == 5 && parts[0] != "" {
		p.Name, p.Token, p.Architecture, p.Language, p.Version = parts[0], parts[1], parts[2], parts[3], parts[4]
	}
	return p
}

var kbNumber = lazyregexp.New(`(?i)KB\d{6,8}`)

// KB is the number of the update that a package is of; empty where its name has none, as
// those of cumulative updates (belief rollup-without-kb).
func (p Package) KB() string { return strings.ToUpper(kbNumber.FindString(p.Identity)) }

func (r *reader) readPackages() {
	const path = windows.PackagesKey
	updates := map[string]*Update{}
	r.source("packages", `SOFTWARE\`+path, func(g *gathering) {
		g.each(r.software, path, func(k *regf.Key) {
			p := ParsePackage(g.keep(k.Name()))
			if p.Identity == "" {
				return
			}
			v := g.values(k)
			state, known := g.number(v, "CurrentState")
			s, named := windows.PackageStates[state]
			switch {
			case !known:
				p.State, p.Present = "unknown", true
			case !named: // listed rather than left out
				p.State, p.Present = fmt.Sprintf("0x%x", state), true
			default:
				p.State, p.Present = s.Name, s.Present
			}
			high, _ := g.number(v, "InstallTimeHigh")
			low, _ := g.number(v, "InstallTimeLow")
			p.Installed = filetime(uint64(high)<<32 | uint64(low))
			g.Count++
			r.inv.Packages = append(r.inv.Packages, p)
			if id := p.KB(); id != "" {
				u := updates[id]
				if u == nil {
					u = &Update{ID: id, State: p.State, Present: p.Present}
					updates[id] = u
				}
				if u.Packages++; p.Present && !u.Present {
					u.State, u.Present = p.State, true
				}
			}
		})
	})
	for _, u := range updates {
		r.inv.Updates = append(r.inv.Updates, *u)
	}
	slices.SortFunc(r.inv.Updates, func(a, b Update) int { return strings.Compare(a.ID, b.ID) })
}

// filetime is a time in units of 100 ns since 1601; zero for one that no Windows writes.
func filetime(units uint64) time.Time {
	const (
		unix  = 116444736000000000 // 1970
		early = 119600064000000000 // 1980
		late  = 157469184000000000 // 2100
	)
	if units < early || units >= late {
		return time.Time{}
	}
	return time.Unix(0, int64(units-unix)*100).UTC()
}
