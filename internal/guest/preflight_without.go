package guest

import (
	"context"
	"encoding/json"

	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// What cmd.exe and its programs tell of the facts of preflight.ps1, in the same
// names and shapes. A member that they cannot tell is left out: it is not known,
// where null would say that the registry has no such value.

const (
	hklmSetup    = `HKLM\SYSTEM\Setup`
	hklmControl  = `HKLM\SYSTEM\CurrentControlSet\Control`
	hklmServices = `HKLM\SYSTEM\CurrentControlSet\Services`
	hklmCurrent  = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion`
	hklmNT       = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`
	hklmSense    = `HKLM\SOFTWARE\Microsoft\Windows Advanced Threat Protection`
	hklmDSC      = `HKLM\SOFTWARE\Microsoft\DesiredStateConfiguration`
	hklmBIOS     = `HKLM\HARDWARE\DESCRIPTION\System\BIOS`
	hklmWinRM    = `HKLM\SOFTWARE\Policies\Microsoft\Windows\WinRM\Service`
	hklmFirewall = hklmServices + `\SharedAccess\Parameters\FirewallPolicy\FirewallRules`
)

// wholeKeys are listed with all their values. None has a secret.
var wholeKeys = []string{
	hklmSetup, hklmSetup + `\Status\SysprepStatus`, hklmSetup + `\Status\ChildCompletion`, hklmCurrent + `\Setup\State`,
	hklmControl + `\ProductOptions`, hklmBIOS, hklmCurrent + `\Policies\System`, hklmCurrent + `\ReserveManager`,
	hklmSense + `\Status`, hklmCurrent + `\Setup\SysPrepExternal\Cleanup`, hklmCurrent + `\Setup\SysPrepExternal\Generalize`, hklmCurrent + `\Setup\SysPrepExternal\Specialize`,
	hklmControl + `\Session Manager\Memory Management`, hklmControl + `\TimeZoneInformation`, hklmCurrent + `\WSMAN\Service`, hklmCurrent + `\WSMAN\Client`, hklmWinRM,
}

// deepKeys are listed with the keys below them.
var deepKeys = []string{hklmNT + `\ProfileList`, hklmCurrent + `\WSMAN\Listener`}

// oneValue are single values of keys that hold more, among it secrets: passwords,
// and what a product key can be made of.
var oneValue = [][2]string{
	{hklmNT, "ProductName"}, {hklmNT, "CurrentBuildNumber"}, {hklmNT, "UBR"}, {hklmNT, "EditionID"}, {hklmNT, "InstallationType"}, {hklmNT, "DisplayVersion"}, {hklmNT, "ReleaseId"},
	{hklmNT + `\Winlogon`, "AutoAdminLogon"}, {hklmNT + `\Winlogon`, "AutoLogonCount"}, {hklmNT + `\Winlogon`, "DefaultUserName"}, {hklmNT + `\Winlogon`, "DefaultDomainName"},
	{hklmSetup + `\Status`, "AuditBoot"}, {hklmCurrent + `\Setup\Sysprep`, "SysprepMode"}, {hklmControl + `\Session Manager\Environment`, "PROCESSOR_ARCHITECTURE"},
	{hklmControl + `\Session Manager`, "PendingFileRenameOperations"}, {hklmControl + `\Session Manager\Power`, "HiberbootEnabled"},
	{hklmNT + `\SoftwareProtectionPlatform`, "SkipRearm"}, {hklmDSC, "AgentId"}, {hklmServices + `\W32Time\Parameters`, "Type"},
	{`HKLM\SOFTWARE\Microsoft\Windows Defender\Features`, "TamperProtection"}, {`HKLM\SOFTWARE\Policies\Microsoft\WindowsStore`, "AutoDownload"},
	{`HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsCopilot`, "TurnOffWindowsCopilot"},
}

// keysThere are asked for only: whether they are there, by a mark.
var keysThere = map[string]string{
	"key-cbs": hklmCurrent + `\Component Based Servicing\RebootPending`, "key-packages": hklmCurrent + `\Component Based Servicing\PackagesPending`,
	"key-progress": hklmCurrent + `\Component Based Servicing\RebootInProgress`, "key-update": hklmCurrent + `\WindowsUpdate\Auto Update\RebootRequired`,
	"key-ias": hklmServices + `\IAS`, "key-cluster": `HKLM\Cluster`, "key-dsc": hklmDSC,
}

// valuesThere are values of which nothing but that they are there may be told.
var valuesThere = map[string][2]string{"value-password": {hklmNT + `\Winlogon`, "DefaultPassword"}, "value-sense": {hklmSense, "senseGuid"}}

// filesThere are asked for by marks, with their paths below the Windows folder.
var filesThere = map[string]string{
	"file-exe": `System32\Sysprep\sysprep.exe`, "file-tag": `System32\Sysprep\Sysprep_succeeded.tag`, "file-log": `System32\Sysprep\Panther\setupact.log`,
	"file-errors": `System32\Sysprep\Panther\setuperr.log`, "file-pending": `WinSxS\pending.xml`, "file-current": `System32\Configuration\Current.mof`,
	"file-mof": `System32\Configuration\Pending.mof`,
}

// preflightServices are those that preflight.ps1 asks for.
var preflightServices = strings.Fields(`AppXSvc WSearch sppsvc TrustedInstaller wuauserv UsoSvc BITS DoSvc cdrom MSDTC WMPNetworkSvc StateRepository ClipSVC
	InstallService Sense WinDefend ClusSvc IAS EventLog Schedule Winmgmt WinRM RdAgent WindowsAzureGuestAgent WindowsAzureTelemetryService AmazonSSMAgent
	GCEAgent cloudbase-init sshd dmwappushservice`)

// question is one of those that can be asked together: its answer is behind a mark,
// or is marks.
type question struct {
	part string
	c    command
}

// askFacts are the questions. Those of one part follow each other.
func askFacts() (asks []question) {
	add := func(part string, c command) { asks = append(asks, question{part, c}) }
	for _, key := range wholeKeys {
		add("registry", call("reg query ?"+native, key))
	}
	for _, key := range deepKeys {
		add("registry", call("reg query ? /s"+native, key))
	}
	for _, v := range oneValue {
		add("registry", call("reg query ? /v "+v[1]+native, v[0]))
	}
	const each = "(for %D in ("
	services := strings.Join(preflightServices, " ") + ") do ("
	add("registry", command{text: each + services + `reg query "` + hklmServices + `\%D"` + native + "))"})
	add("running", command{text: each + services + "sc query %D))"})
	for _, mark := range sorted(keysThere) {
		add("", call("reg query ?"+native+quiet, keysThere[mark]).then(echo(mark)))
	}
	for _, mark := range sorted(valuesThere) {
		v := valuesThere[mark]
		add("", call("reg query ? /v "+v[1]+native+quiet, v[0]).then(echo(mark)))
	}
	for _, mark := range sorted(filesThere) {
		add("", when(`%windir%\`+filesThere[mark], echo(mark)))
	}
	add("user", call("whoami /user /fo csv /nh"))
	add("groups", call("whoami /groups /fo csv /nh"))
	add("rights", call("whoami /priv /fo csv /nh"))
	add("names", all(call("echo %COMPUTERNAME%"), call("echo %USERDOMAIN%"), call("echo %USERNAME%")))
	add("tasks", call("tasklist /fo csv /nh").then(echo("listed")))
	add("leftovers", command{text: `dir /b "%windir%\System32\Tasks\packer-*" 2>nul`})
	add("firewall", call("reg query ?"+native+` | findstr /l /c:"|LPort=22|" /c:"|LPort=5985|" /c:"|LPort=5986|"`, hklmFirewall))
	add("", askAnswerFiles())
	return asks
}

func sorted[V any](m map[string]V) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// inLines makes as few lines of the questions as there must be. A question is never
// divided.
func inLines(asks []question) (lines []command) {
	room, part := mostLine-len("& ")-len(echo("end").text), ""
	for _, q := range asks {
		marked := q.c
		if q.part != "" {
			marked = all(echo(q.part), q.c)
		}
		next := marked
		if q.part != "" && q.part == part {
			next = q.c
		}
		part = q.part
		if n := len(lines); n > 0 {
			if joined := all(lines[n-1], next); joined.err != nil || len(joined.text) <= room {
				lines[n-1] = joined
				continue
			}
		}
		lines = append(lines, marked)
	}
	return lines
}

// preflightWithout asks cmd.exe for what it can tell of the groups.
func (s *Session) preflightWithout(ctx context.Context, ask []Group, why error) (PreflightAnswer, error) {
	all := PreflightAnswer{WithoutPowerShell: true, Reason: why.Error()}
	for _, group := range ask {
		g := GroupFacts{Group: group, Err: why, Facts: map[string]json.RawMessage{}}
		if group == GroupBase {
			facts, err := s.factsByCmd(ctx)
			if err != nil {
				return all, fmt.Errorf("asking for the facts of group %s without PowerShell (%w): %w", group, why, err)
			}
			g.Facts = facts
		}
		all.Groups = append(all.Groups, g)
	}
	return all, nil
}

// factsByCmd asks, by as few lines as there must be.
func (s *Session) factsByCmd(ctx context.Context) (map[string]json.RawMessage, error) {
	told := cmdFacts{windir: s.Windir(), keys: map[string]map[string]regValue{}, names: map[string]string{}, marks: map[string]bool{}, parts: map[string][]string{}}
	for _, line := range inLines(askFacts()) {
		a, err := s.ask(ctx, line, 2*CommandLimit)
		if err != nil {
			return nil, err
		}
		told.take(a)
	}
	if len(told.keys[strings.ToLower(hklmNT)]) == 0 { // which every Windows has
		return nil, fmt.Errorf("%w: reg.exe does not list %s", ErrUnreadable, hklmNT)
	}
	// What the registry names is looked for by one line more.
	paths := told.paths()
	var asks []question
	for i, path := range paths {
		if c := when(path, echo("there="+strconv.Itoa(i))); c.err == nil {
			asks = append(asks, question{"", c})
			told.looked = append(told.looked, path)
		}
	}
	for _, line := range inLines(asks) {
		a, err := s.ask(ctx, line, CommandLimit)
		if err != nil {
			return nil, err
		}
		there, err := a.numbers("there", len(paths))
		if err != nil {
			return nil, err
		}
		for _, i := range there {
			told.there = append(told.there, paths[i])
		}
	}
	return told.facts()
}

// regValue is a value as reg.exe prints it.
type regValue struct{ name, kind, text string }

// cmdFacts is what the programs have said.
type cmdFacts struct {
	windir string
	keys   map[string]map[string]regValue // by key and value, in lower case
	names  map[string]string              // of those keys, as they are written
	marks  map[string]bool
	parts  map[string][]string
	// answers that look for answer files
	answers *AnswerFiles
	// looked are the paths that were looked for, there those of them that are there.
	looked, there []string
}

var (
	regLine = lazyregexp.New(`^ {4}(\S.*?) {4}(REG_[A-Z_]+)(?: {4}(.*))?$`)
	regKey  = lazyregexp.New(`^HKEY_LOCAL_MACHINE\\\S.*$`)
)

// take reads an answer. Each line of the registry's part is a key, or a value of the
// key before it.
func (f *cmdFacts) take(a answer) {
	for mark := range a.parts {
		f.marks[mark] = true
	}
	for _, part := range []string{"user", "groups", "rights", "names", "tasks", "leftovers", "firewall", "running"} {
		f.parts[part] = append(f.parts[part], a.parts[part]...)
	}
	if found, err := readAnswerFiles(a, f.windir); err == nil {
		f.answers = &found
	}
	var values map[string]regValue
	for _, line := range a.parts["registry"] {
		if regKey.MatchString(line) {
			name := `HKLM\` + strings.TrimPrefix(line, `HKEY_LOCAL_MACHINE\`)
			key := strings.ToLower(name)
			f.names[key] = name
			if values = f.keys[key]; values == nil {
				values = map[string]regValue{}
				f.keys[key] = values
			}
			continue
		}
		if m := regLine.FindStringSubmatch(line); m != nil && values != nil {
			values[strings.ToLower(m[1])] = regValue{m[1], m[2], m[3]}
		}
	}
}

// value is the data of a value as the script writes it; null: it is not there.
func (f *cmdFacts) value(key, name string) any {
	v, ok := f.keys[strings.ToLower(key)][strings.ToLower(name)]
	if !ok {
		return nil
	}
	switch v.kind {
	case "REG_DWORD":
		n, err := strconv.ParseUint(strings.TrimPrefix(v.text, "0x"), 16, 32)
		if err != nil {
			return nil
		}
		return int32(n)
	case "REG_MULTI_SZ":
		list := []string{}
		for _, text := range strings.Split(v.text, `\0`) {
			if text != "" {
				list = append(list, text)
			}
		}
		return list
	case "REG_EXPAND_SZ":
		return f.expanded(v.text)
	}
	return v.text
}

// expanded replaces the variables that name the system's folders.
func (f *cmdFacts) expanded(text string) string {
	for name, path := range map[string]string{"%SystemRoot%": f.windir, "%windir%": f.windir, "%SystemDrive%": f.windir[:2]} {
		if n := len(name); len(text) >= n && strings.EqualFold(text[:n], name) {
			return path + text[n:]
		}
	}
	return text
}

// values is what Get-RegistryMap of the script makes. Of a key without values
// reg.exe does not tell whether it is there.
func (f *cmdFacts) values(key string, names ...string) map[string]any {
	m := map[string]any{}
	if _, there := f.keys[strings.ToLower(key)]; there {
		m["key"] = true
	}
	for _, name := range names {
		m[name] = f.value(key, name)
	}
	return m
}

// below are the names of the keys right below a key, in order.
func (f *cmdFacts) below(key string) (names []string) {
	prefix := strings.ToLower(key) + `\`
	for k := range f.keys {
		if name, ok := strings.CutPrefix(k, prefix); ok && !strings.Contains(name, `\`) {
			names = append(names, f.names[k][len(prefix):])
		}
	}
	slices.Sort(names)
	return names
}

// exists says whether a path that was looked for is there; nil: it was not.
func (f *cmdFacts) exists(path string) any {
	if !slices.Contains(f.looked, path) {
		return nil
	}
	return slices.Contains(f.there, path)
}
