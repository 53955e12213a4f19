package winsim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/console"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// release is one Windows, as far as a client notices.
type release struct {
	product, edition, display string
	kernel                    string // 6.1, 6.3 or 10.0
	build, update             int
	client                    bool
	powershell                string
	oldMore                   bool // more.com fails under code page 65001
	limits                    wsman.Limits
}

// defaultRelease is Windows Server 2022.
const defaultRelease = "2022"

const (
	serverEdition = "ServerStandardEval"
	clientEdition = "Professional"
)

// shells25 are the quotas of Windows Server 2012 R2 to 2019.
var shells25 = wsman.Limits{MaxShellsPerUser: 25}

// releases by the name in a scenario: build numbers from Microsoft's release
// histories, quotas from its page on WinRM's, both in docs/simulated-guest.md. Windows
// 11 calls itself Windows 10 in the registry.
var releases = map[string]release{
	"2008r2": {product: "Windows Server 2008 R2 Standard", edition: "ServerStandard", kernel: "6.1", build: 7601, powershell: "2", oldMore: true,
		limits: wsman.Limits{MaxEnvelopeSizekb: 150, MaxConcurrentOperationsPerUser: 15, MaxConcurrentUsers: 5, MaxShellsPerUser: 5, MaxProcessesPerShell: 15, IdleTimeout: 3 * time.Minute}},
	"2012r2":  {product: "Windows Server 2012 R2 Standard Evaluation", edition: serverEdition, kernel: "6.3", build: 9600, powershell: "4", limits: shells25},
	"2016":    {product: "Windows Server 2016 Standard Evaluation", edition: serverEdition, display: "1607", kernel: "10.0", build: 14393, update: 7426, powershell: "5.1", limits: shells25},
	"2019":    {product: "Windows Server 2019 Standard Evaluation", edition: serverEdition, display: "1809", kernel: "10.0", build: 17763, update: 6414, powershell: "5.1", limits: shells25},
	"2022":    {product: "Windows Server 2022 Standard Evaluation", edition: serverEdition, display: "21H2", kernel: "10.0", build: 20348, update: 2700, powershell: "5.1"},
	"2025":    {product: "Windows Server 2025 Standard Evaluation", edition: serverEdition, display: "24H2", kernel: "10.0", build: 26100, update: 2314, powershell: "5.1"},
	"10":      {product: "Windows 10 Pro", edition: clientEdition, display: "22H2", kernel: "10.0", build: 19045, update: 5011, client: true, powershell: "5.1"},
	"11-24h2": {product: "Windows 10 Pro", edition: clientEdition, display: "24H2", kernel: "10.0", build: 26100, update: 2314, client: true, powershell: "5.1"},
	"11-25h2": {product: "Windows 10 Pro", edition: clientEdition, display: "25H2", kernel: "10.0", build: 26200, update: 6584, client: true, powershell: "5.1"},
}

func (s Scenario) release() release {
	r := releases[cmp.Or(s.Windows, defaultRelease)]
	r.powershell = cmp.Or(s.PowerShellVersion, r.powershell)
	return r
}

// version is what VER prints and Identify answers.
func (r release) version() string { return fmt.Sprintf("%s.%d", r.kernel, r.build) }

// Limits are the quotas of the guest's Windows, where they are not given, in the
// guest's time.
func (g *Guest) Limits(l wsman.Limits) wsman.Limits {
	r := g.scenario.release().limits
	number := func(p *int, of int) {
		if *p == 0 {
			*p = of
		}
	}
	number(&l.MaxEnvelopeSizekb, r.MaxEnvelopeSizekb)
	number(&l.MaxConcurrentOperationsPerUser, r.MaxConcurrentOperationsPerUser)
	number(&l.MaxConcurrentUsers, r.MaxConcurrentUsers)
	number(&l.MaxShellsPerUser, r.MaxShellsPerUser)
	number(&l.MaxProcessesPerShell, r.MaxProcessesPerShell)
	if l.IdleTimeout == 0 {
		l.IdleTimeout = r.IdleTimeout
	}
	if g.opt.Clock != nil {
		l.MaxTimeoutms = g.clock.Real(cmp.Or(l.MaxTimeoutms, time.Minute))
		l.IdleTimeout = g.clock.Real(cmp.Or(l.IdleTimeout, 2*time.Hour))
	}
	return l
}

// Version is the version that the WinRM service tells, such as 10.0.20348.
func (g *Guest) Version() string { return g.scenario.release().version() }

func (g *Guest) seedVersion() {
	r := g.scenario.release()
	kind := "Server"
	if r.client {
		kind = "Client"
	}
	build := strconv.Itoa(r.build)
	for name, text := range map[string]string{
		"ProductName": r.product, "CurrentBuildNumber": build, "CurrentBuild": build, "EditionID": r.edition, "InstallationType": kind,
		"DisplayVersion": r.display,
	} {
		if text != "" {
			g.reg.SetString(keyVersion, name, text)
		}
	}
	// What every Windows has of updates and programs, one each.
	g.reg.SetDWord(keyCBS+`\Packages\Package_for_RollupFix~31bf3856ad364e35~amd64~~`+build+`.2700.1.12`, "CurrentState", 0x70)
	g.reg.SetString(keyUninstall+`\Contoso Agent`, "DisplayName", "Contoso Agent")
	g.reg.SetString(keyUninstall+`\Contoso Agent`, "DisplayVersion", "1.2.3")
	product := "ServerNT"
	if r.client {
		product = "WinNT"
	}
	g.reg.SetString(keyProduct, "ProductType", product)
	if r.kernel == "10.0" {
		g.reg.SetString(keyVersion, "ReleaseId", "2009")
		g.reg.SetDWord(keyVersion, "UBR", uint32(r.update))
		g.reg.SetDWord(keyVersion, "CurrentMajorVersionNumber", 10)
	}
}

func (u Unkind) checkVersion() (errs []error) {
	if _, ok := releases[cmp.Or(u.Windows, defaultRelease)]; !ok {
		errs = append(errs, fmt.Errorf("unknown windows %q, known are %q", u.Windows, slices.Sorted(maps.Keys(releases))))
	}
	if u.Language != "" && !slices.Contains(console.Languages(), u.Language) {
		errs = append(errs, fmt.Errorf("unknown language %q, known are %q", u.Language, console.Languages()))
	}
	if !slices.Contains([]string{"", "2", "4", "5.1"}, u.PowerShellVersion) {
		errs = append(errs, fmt.Errorf("unknown powershell_version %q", u.PowerShellVersion))
	}
	return errs
}
