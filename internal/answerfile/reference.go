package answerfile

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Components that rules know by their names.
const (
	compDeployment    = "Microsoft-Windows-Deployment"
	compPnp           = "Microsoft-Windows-PnpSysprep"
	compSPP           = "Microsoft-Windows-Security-SPP"
	compSLC           = "Microsoft-Windows-Security-Licensing-SLC" // of Windows Vista
	compSPPUX         = "Microsoft-Windows-Security-SPP-UX"
	compShell         = "Microsoft-Windows-Shell-Setup"
	compInternational = "Microsoft-Windows-International-Core"
	compJoin          = "Microsoft-Windows-UnattendedJoin"
	compTCPIP         = "Microsoft-Windows-TCPIP"
	compDNS           = "Microsoft-Windows-DNS-Client"
	compFirewall      = "Networking-MPSSVC-Svc"
	compWinPELocale   = "Microsoft-Windows-International-Core-WinPE"
)

// setting is what Microsoft's reference says of one setting, or of a container
// of settings. A component is a setting with an empty path.
type setting struct {
	component, path string
	// passes are the configuration passes the setting is valid in.
	passes []string
	// values are the accepted texts; a range is written 1-100. None accepts any.
	values []string
	// longest is the limit in UTF-16 units, as Windows counts; 0 is none.
	longest int
	// nonempty: Windows does not support an empty element; text: it holds a text,
	// and no elements.
	nonempty, text bool
	// list marks an item that may repeat, with wcm:action="add"; key is the
	// child that tells the items apart, or the attribute wcm:keyValue.
	list bool
	key  string
	// deprecated says since which Windows, "yes" where the reference names none.
	deprecated string
	// instead is what to do instead of a deprecated setting.
	instead string
	// command marks a command line, vmMode what takes effect only with /mode:vm.
	command, vmMode bool
	// source is where a setting is documented that Microsoft's reference of 2017
	// does not hold; empty for all others.
	source string
	// children by their names.
	children map[string]*setting
}

func (s *setting) name() string { return s.path[strings.LastIndexByte(s.path, '\\')+1:] }

// container reports whether the setting has settings below it.
func (s *setting) container() bool { return s != nil && len(s.children) > 0 }

// child returns the setting of this name below s, nil where there is none.
func (s *setting) child(name string) *setting {
	if s == nil {
		return nil
	}
	return s.children[name]
}

// at returns the setting at a path below s, nil where there is none.
func (s *setting) at(path string) *setting {
	for _, step := range strings.Split(path, `\`) {
		s = s.child(step)
	}
	return s
}

// reference is all that is known of settings.
type reference struct {
	// components by their names in small letters: production spells them in more
	// than one way (PnpSysprep, PnPSysprep).
	components map[string]*setting
	// named are the settings of a name, in the order of the table.
	named map[string][]*setting
	rows  []*setting
}

//go:embed settings.tsv
var settingsTable string

// known is Microsoft's reference with what is missing from it.
var known = sync.OnceValue(func() *reference {
	r := &reference{components: map[string]*setting{}, named: map[string][]*setting{}}
	for line := range strings.Lines(settingsTable) {
		if line = strings.TrimRight(line, "\n"); !strings.HasPrefix(line, "#") {
			r.add(parseRow(line))
		}
	}
	for i := range missing {
		s := missing[i]
		r.add(&s)
	}
	for _, use := range passesInUse {
		s := r.component(use.component).at(use.path)
		s.passes = append(slices.Clone(s.passes), use.pass)
	}
	for path, instead := range insteadOf {
		r.components[strings.ToLower(compShell)].at(path).instead = instead
	}
	r.components[strings.ToLower(compShell)].at(`OOBE\VMModeOptimizations`).vmMode = true
	return r
})

// parseRow reads a line of settings.tsv, which tools/settings has written.
func parseRow(line string) *setting {
	cells := strings.Split(line, "\t")
	if len(cells) != 7 {
		panic(fmt.Sprintf("settings.tsv has a line of %d columns", len(cells)))
	}
	s := &setting{component: cells[0], path: cells[1], passes: strings.Split(cells[2], ","), deprecated: cells[6]}
	if cells[3] != "" {
		s.values = strings.Split(cells[3], "|")
	}
	s.longest, _ = strconv.Atoi(cells[4])
	for mark := range strings.SplitSeq(cells[5], ",") {
		kind, key, _ := strings.Cut(mark, ":")
		s.nonempty, s.text = s.nonempty || kind == "nonempty", s.text || kind == "text"
		if kind == "list" {
			s.list, s.key = true, key
		}
	}
	return s
}

// add puts a setting into its place. Containers that the reference does not
// list are made of what is in them.
func (r *reference) add(s *setting) {
	parent := r.components[strings.ToLower(s.component)]
	if parent == nil {
		parent = &setting{component: s.component, children: map[string]*setting{}}
		r.components[strings.ToLower(s.component)] = parent
	}
	steps := strings.Split(s.path, `\`)
	for i, step := range steps[:len(steps)-1] {
		next := parent.children[step]
		if next == nil {
			next = &setting{component: s.component, path: strings.Join(steps[:i+1], `\`), passes: s.passes}
			r.put(parent, next)
		}
		parent = next
	}
	last := s.name()
	if have := parent.children[last]; have != nil { // it was made for a child, which came first
		children := have.children
		*have = *s
		have.children = children
		r.rows = append(r.rows, have)
		return
	}
	r.put(parent, s)
	r.rows = append(r.rows, s)
}

func (r *reference) put(parent, s *setting) {
	if parent.children == nil {
		parent.children = map[string]*setting{}
	}
	name := s.name()
	parent.children[name] = s
	s.command = name == "CommandLine" || name == "Path" && slices.Contains([]string{"RunSynchronousCommand", "RunAsynchronousCommand"}, parent.name())
	r.named[name] = append(r.named[name], s)
}

// component returns what is known of a component, nil for an unknown one.
func (r *reference) component(name string) *setting { return r.components[strings.ToLower(name)] }

// insteadOf says what to do instead of deprecated settings of
// Microsoft-Windows-Shell-Setup.
var insteadOf = map[string]string{
	`OOBE\NetworkLocation`:          "Windows 10 and later ignore it: remove it, or keep it for older Windows",
	`OOBE\SkipMachineOOBE`:          "use the Hide... settings, an account and ProtectYourPC",
	`OOBE\SkipUserOOBE`:             "use the Hide... settings, an account and ProtectYourPC",
	`Themes\CustomDefaultThemeFile`: "use Themes\\DesktopBackground and Themes\\ThemeName",
}

const (
	aikReference = "Unattended Windows Setup Reference for Windows 7, Windows Automated Installation Kit"
	oemPage      = "https://learn.microsoft.com/windows-hardware/customize/desktop/unattend/microsoft-windows-shell-setup-oeminformation"
	ieFeatures   = "https://learn.microsoft.com/windows-hardware/customize/desktop/unattend/microsoft-windows-shell-setup-windowsfeatures-showinternetexplorer"
	inUse        = "published answer files that are in use"
)

var oemPasses = []string{OfflineServicing, Generalize, Specialize, AuditUser, OOBESystem}

// missing are settings that Microsoft's reference of 2017 does not hold: those
// of older Windows that are still in use, and newer ones. One whose passes are
// not documented is accepted in all.
var missing = []setting{
	{component: compShell, path: `OOBE\SkipMachineOOBE`, passes: []string{OOBESystem}, values: truth, deprecated: "Windows 8", source: aikReference},
	{component: compShell, path: `OOBE\SkipUserOOBE`, passes: []string{OOBESystem}, values: truth, deprecated: "Windows 8", source: aikReference},
	{component: compShell, path: `OEMInformation\SupportProvider`, passes: oemPasses, source: oemPage},
	{component: compShell, path: `OEMInformation\TradeinURL`, passes: oemPasses, source: oemPage},
	{component: compShell, path: `OEMInformation\RecycleURL`, passes: oemPasses, source: oemPage},
	{component: compShell, path: `WindowsFeatures\ShowWindowsMail`, passes: []string{Specialize, AuditSystem, AuditUser, OOBESystem}, values: truth, source: ieFeatures},
	{component: compShell, path: `ShowWindowsLive`, passes: passNames, values: truth, source: inUse},
	{component: compShell, path: `DoNotCleanTaskBar`, passes: passNames, values: truth, source: inUse},
	{component: compSLC, path: `SkipRearm`, passes: []string{Generalize}, values: []string{"0", "1"}, source: aikReference},
	{component: "Microsoft-Windows-Security-Licensing-SLC-UX", path: `SkipAutoActivation`, passes: []string{Specialize}, values: truth, source: aikReference},
	{component: "Microsoft-Windows-IE-InternetExplorer", path: `DisableWelcomePage`, passes: passNames, values: truth, source: inUse},
}

// passesInUse are passes in which settings work that the reference does not
// name: dockur/windows installs Windows with them.
var passesInUse = []struct{ component, path, pass string }{
	{"Microsoft-Windows-EnhancedStorage-Adm", "TCGSecurityActivationDisabled", OOBESystem},
	{"Microsoft-Windows-IE-InternetExplorer", "Home_Page", OOBESystem},
	{"Microsoft-Windows-SQMApi", "CEIPEnabled", OOBESystem},
}

var (
	truth = []string{"true", "false"}
	modes = []string{"OOBE", "Audit"}
	// resetPasses are those that Reseal is valid in.
	resetPasses = []string{AuditSystem, AuditUser, OOBESystem}
)
