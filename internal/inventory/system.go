package inventory

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// OS is what SOFTWARE\Microsoft\Windows NT\CurrentVersion says.
type OS struct {
	ProductName      string
	EditionID        string
	InstallationType string // Client, Server, Server Core
	DisplayVersion   string // 22H2; before Windows 10 20H2 the value ReleaseId
	ServicePack      string // before Windows 8
	BuildLab         string
	// Version is the whole number, with the revision (UBR) that the last cumulative update
	// set: 10.0.20348.2340.
	Version      string
	Build        string
	Architecture string // amd64, x86, arm64
}

// Server tells a server from a client.
func (o OS) Server() bool {
	return strings.HasPrefix(strings.ToLower(o.InstallationType), "server") || strings.Contains(o.ProductName, "Server")
}

func (r *reader) readOS() {
	_, current := windows.CurrentBuild.Offline()
	o := &r.inv.OS
	r.source("windows", `SOFTWARE\`+current, func(g *gathering) {
		r.inv.Written = r.software.Written()
		k := g.key(r.software, current)
		if k == nil {
			return
		}
		v := g.values(k)
		o.ProductName, o.EditionID, o.InstallationType = g.text(v, "ProductName"), g.text(v, "EditionID"), g.text(v, "InstallationType")
		o.DisplayVersion = cmp.Or(g.text(v, "DisplayVersion"), g.text(v, "ReleaseId"))
		o.ServicePack, o.BuildLab = g.text(v, "CSDVersion"), g.text(v, "BuildLabEx")
		o.Build = g.text(v, windows.CurrentBuild.Name())
		// CurrentVersion stays 6.3 on Windows 10 and later, whose builds have five digits.
		kernel := g.text(v, "CurrentVersion")
		if major, ok := g.number(v, "CurrentMajorVersionNumber"); ok {
			minor, _ := g.number(v, "CurrentMinorVersionNumber")
			kernel = fmt.Sprintf("%d.%d", major, minor)
		} else if isNumber(o.Build) && len(o.Build) >= 5 {
			kernel = "10.0"
		}
		// 7601.17727.x86fre.win7sp1_gdr.111118-2330: Windows 7 and 8 have no UBR.
		lab := strings.Split(o.BuildLab, ".")
		if o.Build != "" && kernel != "" {
			o.Version = kernel + "." + o.Build
			if revision, ok := g.number(v, "UBR"); ok {
				o.Version += fmt.Sprintf(".%d", revision)
			} else if len(lab) > 2 && lab[0] == o.Build && isNumber(lab[1]) {
				o.Version += "." + lab[1]
			}
		}
		if len(lab) > 2 {
			o.Architecture = strings.TrimSuffix(strings.TrimSuffix(lab[2], "fre"), "chk")
		}
		if o.ProductName != "" || o.Version != "" {
			g.Count = 1
		}
	})
	r.source("processor", `SYSTEM\...\Control\Session Manager\Environment`, func(g *gathering) {
		if k := g.key(r.system, r.controlSet(g)+`\Control\Session Manager\Environment`); k != nil {
			if s := g.text(g.values(k), "PROCESSOR_ARCHITECTURE"); s != "" {
				o.Architecture, g.Count = strings.ToLower(s), 1
			}
		}
	})
}

// controlSet is the key that CurrentControlSet stands for when Windows runs.
func (r *reader) controlSet(g *gathering) string {
	if k := g.key(r.system, "Select"); k != nil {
		if n, ok := g.number(g.values(k), "Current"); ok {
			return fmt.Sprintf("ControlSet%03d", n)
		}
	}
	return "ControlSet001"
}

func isNumber(s string) bool {
	return s != "" && len(s) < 10 && strings.Trim(s, "0123456789") == ""
}
