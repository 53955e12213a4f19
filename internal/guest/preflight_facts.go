package guest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// providerPhases are the keys of SysPrepExternal.
var providerPhases = []string{"Cleanup", "Generalize", "Specialize"}

type provider struct{ phase, name, data, dll string }

// providers are the DLLs that software has registered with sysprep.
func (f *cmdFacts) providers() (list []provider) {
	for _, phase := range providerPhases {
		key := hklmCurrent + `\Setup\SysPrepExternal\` + phase
		for _, id := range sorted(f.keys[strings.ToLower(key)]) {
			name := f.keys[strings.ToLower(key)][id].name
			data, _ := f.value(key, name).(string)
			dll, _, _ := strings.Cut(data, ",")
			dll = f.expanded(strings.Trim(strings.TrimSpace(dll), `"`))
			if len(dll) < 2 || dll[1] != ':' {
				dll = f.windir + `\System32\` + dll
			}
			list = append(list, provider{phase, name, data, dll})
		}
	}
	return list
}

type profile struct{ sid, path string }

func (f *cmdFacts) profiles() (list []profile) {
	key := hklmNT + `\ProfileList`
	for _, sid := range f.below(key) {
		path, _ := f.value(key+`\`+sid, "ProfileImagePath").(string)
		list = append(list, profile{sid, path})
	}
	return list
}

// paths are those that the registry names.
func (f *cmdFacts) paths() (paths []string) {
	for _, p := range f.providers() {
		paths = append(paths, p.dll)
	}
	for _, p := range f.profiles() {
		if p.path != "" {
			paths = append(paths, p.path)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// file is a file of which is known whether it is there.
func (f *cmdFacts) file(mark string) map[string]any {
	return map[string]any{"path": f.windir + `\` + filesThere[mark], "exists": f.marks[mark]}
}

// facts are those that can be told.
func (f *cmdFacts) facts() (map[string]json.RawMessage, error) {
	facts := map[string]any{
		"sysprep":           map[string]any{"exe": f.file("file-exe"), "tag": f.file("file-tag"), "log": f.file("file-log"), "errorLog": f.file("file-errors")},
		"imageState":        map[string]any{"registry": f.value(hklmCurrent+`\Setup\State`, "ImageState")},
		"setup":             f.setup(),
		"os":                f.os(),
		"computer":          f.computer(),
		"rebootPending":     f.rebootPending(),
		"reservedStorage":   f.values(hklmCurrent+`\ReserveManager`, "ActiveScenario", "ShippedWithReserves"),
		"services":          f.services(),
		"nps":               map[string]any{"installed": f.marks["key-ias"]},
		"cluster":           map[string]any{"key": f.marks["key-cluster"]},
		"defender":          map[string]any{"senseGuid": f.marks["value-sense"], "onboardingState": f.value(hklmSense+`\Status`, "OnboardingState"), "tamperProtection": f.value(`HKLM\SOFTWARE\Microsoft\Windows Defender\Features`, "TamperProtection")},
		"dsc":               map[string]any{"key": f.marks["key-dsc"], "AgentId": f.value(hklmDSC, "AgentId"), "currentMof": f.file("file-current"), "pendingMof": f.file("file-mof")},
		"autologon":         f.autologon(),
		"externalProviders": f.externalProviders(),
		"profiles":          f.profileList(),
		"licensingRegistry": map[string]any{"SkipRearm": f.value(hklmNT+`\SoftwareProtectionPlatform`, "SkipRearm")},
		"storePolicy": map[string]any{
			"autoDownload":   f.value(`HKLM\SOFTWARE\Policies\Microsoft\WindowsStore`, "AutoDownload"),
			"turnOffCopilot": f.value(`HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsCopilot`, "TurnOffWindowsCopilot"), "hiberbootEnabled": f.value(hklmControl+`\Session Manager\Power`, "HiberbootEnabled"),
		},
		"packerLeftovers": map[string]any{"tasks": append([]string{}, f.parts["leftovers"]...)},
		"pageFile":        f.pageFile(),
		"clock": map[string]any{
			"zone": f.value(hklmControl+`\TimeZoneInformation`, "TimeZoneKeyName"), "bias": f.value(hklmControl+`\TimeZoneInformation`, "ActiveTimeBias"),
			"universal": f.value(hklmControl+`\TimeZoneInformation`, "RealTimeIsUniversal"), "ntp": f.value(hklmServices+`\W32Time\Parameters`, "Type"),
		},
		"winrm": f.winrm(),
	}
	if identity := f.identity(); identity != nil {
		facts["identity"] = identity
	}
	if f.marks["listed"] {
		facts["processes"] = map[string]any{"list": f.processes()}
	}
	if f.answers != nil {
		facts["answerFiles"] = f.answerFiles()
	}
	raw := map[string]json.RawMessage{}
	for name, value := range facts {
		text, err := json.Marshal(map[string]any{"value": value, "ms": 0})
		if err != nil {
			return nil, fmt.Errorf("writing the fact %s: %w", name, err)
		}
		raw[name] = text
	}
	return raw, nil
}

func (f *cmdFacts) setup() any {
	children := map[string]any{}
	for _, v := range f.keys[strings.ToLower(hklmSetup+`\Status\ChildCompletion`)] {
		children[v.name] = f.value(hklmSetup+`\Status\ChildCompletion`, v.name)
	}
	upgraded := []string{}
	for _, name := range f.below(hklmSetup) {
		if strings.HasPrefix(strings.ToLower(name), "source os") || strings.EqualFold(name, "upgrade") {
			upgraded = append(upgraded, name)
		}
	}
	return map[string]any{
		"status":    f.values(hklmSetup+`\Status\SysprepStatus`, "GeneralizationState", "CleanupState", "SysprepCleanupRequired"),
		"setup":     f.values(hklmSetup, "SystemSetupInProgress", "OOBEInProgress", "SetupType", "CmdLine", "UnattendFile"),
		"auditBoot": f.value(hklmSetup+`\Status`, "AuditBoot"), "childCompletion": children, "sysprepMode": f.value(hklmCurrent+`\Setup\Sysprep`, "SysprepMode"),
		"upgradedFrom": upgraded,
	}
}

func (f *cmdFacts) os() any {
	m := f.values(hklmNT, "ProductName", "CurrentBuildNumber", "UBR", "EditionID", "InstallationType", "DisplayVersion", "ReleaseId")
	m["architecture"] = f.value(hklmControl+`\Session Manager\Environment`, "PROCESSOR_ARCHITECTURE")
	// Microsoft, "Product Options": what GetProductInfo's callers tested before it.
	switch f.value(hklmControl+`\ProductOptions`, "ProductType") {
	case "WinNT":
		m["productType"] = 1
	case "LanmanNT":
		m["productType"] = 2
	case "ServerNT":
		m["productType"] = 3
	}
	return m
}

func (f *cmdFacts) computer() any {
	m := map[string]any{}
	if names := f.parts["names"]; len(names) == 3 {
		m["name"] = names[0]
	}
	for member, name := range map[string]string{"manufacturer": "SystemManufacturer", "model": "SystemProductName"} {
		if text, ok := f.value(hklmBIOS, name).(string); ok {
			m[member] = text
		}
	}
	return m
}

func (f *cmdFacts) rebootPending() any {
	renames, _ := f.value(hklmControl+`\Session Manager`, "PendingFileRenameOperations").([]string)
	return map[string]any{
		"cbsRebootPending": f.marks["key-cbs"], "cbsPackagesPending": f.marks["key-packages"], "cbsRebootInProgress": f.marks["key-progress"],
		"updateRebootRequired": f.marks["key-update"], "pendingXml": f.file("file-pending"), "fileRenames": len(renames),
		"fileRenameSample": append([]string{}, renames[:min(10, len(renames))]...),
	}
}

// What sc.exe prints of a service, whatever the guest's language: its name, and the
// number of its state with its name in English.
var (
	scName  = lazyregexp.New(`^\S*:\s+(\S+)\s*$`)
	scState = lazyregexp.New(`^\s+\S.*:\s+([1-7])\s+(STOPPED|START_PENDING|STOP_PENDING|RUNNING|CONTINUE_PENDING|PAUSE_PENDING|PAUSED)\b`)
)

var scStates = map[string]string{
	"1": "Stopped", "2": "StartPending", "3": "StopPending", "4": "Running", "5": "ContinuePending", "6": "PausePending", "7": "Paused",
}

func (f *cmdFacts) services() any {
	status, name := map[string]string{}, ""
	for _, line := range f.parts["running"] {
		if m := scName.FindStringSubmatch(line); m != nil {
			name = strings.ToLower(m[1])
		} else if m := scState.FindStringSubmatch(line); m != nil {
			status[name] = scStates[m[1]]
		}
	}
	list := map[string]any{}
	for _, service := range preflightServices {
		key := hklmServices + `\` + service
		if _, there := f.keys[strings.ToLower(key)]; !there {
			continue
		}
		m := map[string]any{"start": f.value(key, "Start"), "delayed": f.value(key, "DelayedAutoStart")}
		if state, told := status[strings.ToLower(service)]; told && service != "cdrom" { // a driver, of which the script does not tell it
			m["status"] = state
		}
		list[service] = m
	}
	return list
}

func (f *cmdFacts) autologon() any {
	m := map[string]any{"defaultPasswordPresent": f.marks["value-password"]}
	for _, name := range []string{"AutoAdminLogon", "AutoLogonCount", "DefaultUserName", "DefaultDomainName"} {
		m[name] = f.value(hklmNT+`\Winlogon`, name)
	}
	return m
}

func (f *cmdFacts) externalProviders() any {
	list := []any{}
	for _, p := range f.providers() {
		m := map[string]any{"phase": p.phase, "name": p.name, "data": p.data, "dll": p.dll}
		if exists := f.exists(p.dll); exists != nil {
			m["exists"] = exists
		}
		list = append(list, m)
	}
	return map[string]any{"list": list}
}

func (f *cmdFacts) profileList() any {
	list := []any{}
	for _, p := range f.profiles() {
		m := map[string]any{"sid": p.sid, "path": p.path}
		if exists := f.exists(p.path); exists != nil {
			m["exists"] = exists
		}
		list = append(list, m)
	}
	return map[string]any{"list": list}
}

func (f *cmdFacts) pageFile() any {
	key := hklmControl + `\Session Manager\Memory Management`
	files, _ := f.value(key, "PagingFiles").([]string)
	return map[string]any{"files": append([]string{}, files...), "clearAtShutdown": f.value(key, "ClearPageFileAtShutdown")}
}

func (f *cmdFacts) winrm() any {
	listeners, rules := []any{}, []any{}
	key := hklmCurrent + `\WSMAN\Listener`
	for _, name := range f.below(key) {
		listeners = append(listeners, map[string]any{"name": name, "port": f.value(key+`\`+name, "Port"), "certificate": f.value(key+`\`+name, "certThumbprint")})
	}
	for _, line := range f.parts["firewall"] {
		if m := regLine.FindStringSubmatch(line); m != nil {
			rules = append(rules, map[string]any{"name": m[1], "rule": m[3]})
		}
	}
	return map[string]any{
		"service": f.values(hklmCurrent+`\WSMAN\Service`, "allow_unencrypted", "auth_basic", "auth_credssp"),
		"client":  f.values(hklmCurrent+`\WSMAN\Client`, "allow_unencrypted", "auth_basic", "trusted_hosts"),
		"policy":  f.values(hklmWinRM, "AllowBasic", "AllowUnencryptedTraffic", "AllowAutoConfig"), "listeners": listeners, "firewall": rules,
	}
}

var (
	sidText   = lazyregexp.New(`S-1-[0-9-]+`)
	sidColumn = lazyregexp.New(`"(S-1-[0-9-]+)"`)
	rightName = lazyregexp.New(`"(Se[A-Za-z]+)"`)
)

// identity is nil where whoami.exe tells nothing.
func (f *cmdFacts) identity() any {
	user := sidText.FindAllString(strings.Join(f.parts["user"], "\n"), -1)
	words := func(part string, pattern *lazyregexp.Regexp) []string {
		list := []string{}
		for _, m := range pattern.FindAllStringSubmatch(strings.Join(f.parts[part], "\n"), -1) {
			list = append(list, m[1])
		}
		return list
	}
	groups, names := words("groups", sidColumn), f.parts["names"]
	if len(user) == 0 || len(groups) == 0 || len(names) != 3 {
		return nil
	}
	slices.Sort(groups)
	groups = slices.Compact(groups)
	integrity := ""
	for _, sid := range groups {
		if strings.HasPrefix(sid, "S-1-16-") {
			integrity = sid
		}
	}
	return map[string]any{
		"domain": names[1], "name": names[2], "sid": user[len(user)-1], "integritySid": integrity, "groupSids": groups, "privileges": words("rights", rightName),
		"policy": f.values(hklmCurrent+`\Policies\System`, "EnableLUA", "LocalAccountTokenFilterPolicy", "FilterAdministratorToken"),
	}
}

// preflightProcesses are those that preflight.ps1 lists.
var preflightProcesses = strings.Fields(`sysprep setup SetupHost windeploy oobeldr msoobe audit TiWorker TrustedInstaller MoUsoCoreWorker UsoClient wuauclt msiexec Dism DismHost wusa`)

var taskLine = lazyregexp.New(`^"([^"]+)\.exe","(\d{1,10})","[^"]*","(\d{1,10})"`)

func (f *cmdFacts) processes() any {
	list := []any{}
	for _, line := range f.parts["tasks"] {
		m := taskLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		i := slices.IndexFunc(preflightProcesses, func(name string) bool { return strings.EqualFold(name, m[1]) })
		id, err := strconv.Atoi(m[2])
		session, err2 := strconv.Atoi(m[3])
		if i < 0 || err != nil || err2 != nil {
			continue
		}
		list = append(list, map[string]any{"name": preflightProcesses[i], "id": id, "session": session, "start": nil})
	}
	return list
}

// answerFiles leaves out which drives were looked at, and of a file on another drive
// what kind of drive that is.
func (f *cmdFacts) answerFiles() any {
	found := []any{}
	for _, file := range f.answers.Files() {
		found = append(found, map[string]any{"path": file, "exists": true, "media": "fixed"})
	}
	for _, file := range f.answers.Media {
		found = append(found, map[string]any{"path": file, "exists": true})
	}
	var pointer any
	if f.answers.Pointer != "" {
		pointer = f.answers.Pointer
	}
	return map[string]any{"registryPointer": pointer, "found": found}
}
