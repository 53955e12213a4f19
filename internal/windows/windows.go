// Package windows holds what we believe about Windows, each fact once: the
// states of an installation and their meaning, registry values, paths, logs,
// the search order of answer files, the firmware of a partition table. It was
// written without access to a machine with Windows, so every fact names the
// belief that it rests on, and the ledger (beliefs.go) says where that comes from
// and how well it is supported.
//
// The room is a leaf. A constant, a row of a table and an exported function
// carry the id of their belief in brackets, in a comment; a test sees to that.
package windows

import (
	"path/filepath"
	"strings"
)

// Path is a path below the Windows folder, which is C:\Windows as a rule.
type Path string

// In is the path in the Windows folder of a guest, e.g. `D:\Windows`.
func (p Path) In(windir string) string { return windir + string(p) }

// OnVolume is the path on the volume of an offline Windows.
func (p Path) OnVolume() string { return p.In(`\Windows`) }

// Folders and files of sysprep and Windows Setup.
const (
	SysprepFolder Path = `\System32\Sysprep`                  // [sysprep-folder]
	SysprepExe         = SysprepFolder + `\sysprep.exe`       // [sysprep-folder]
	Tag                = SysprepFolder + `\` + TagName        // [tag]
	TagName            = `Sysprep_succeeded.tag`              // [tag]
	StateINI      Path = `\Setup\State\State.ini`             // [state-ini]
	ScriptsFolder Path = `\Setup\Scripts`                     // [setup-complete]
	SetupComplete      = ScriptsFolder + `\SetupComplete.cmd` // [setup-complete]
	TasksFolder   Path = `\System32\Tasks`                    // [tasks]
	ConfigFolder  Path = `\System32\config`                   // [hives]
)

// Process is the program that a run is: while it lives no other one starts.
const Process = "sysprep.exe" // [one-instance]

// Logs of one folder, in the order of their worth.
const (
	ActLog  = "setupact.log" // [log-names]
	ErrLog  = "setuperr.log" // [log-names]
	DiagErr = "diagerr.xml"  // [log-names]
	DiagWrn = "diagwrn.xml"  // [log-names]
)

var logNames = []string{
	ActLog, ErrLog, // [log-names]
	DiagErr, DiagWrn, // [log-names]
}

// Where sysprep logs, where Windows Setup does in specialize, and where in OOBE.
const (
	SysprepLogs      = SysprepFolder + `\Panther` // [sysprep-logs]
	SetupLogs   Path = `\Panther`                 // [setup-logs]
	OOBELogs         = SetupLogs + `\UnattendGC`  // [oobe-logs]
)

// logFolders are all of them, and the parts of a deployment that they are of.
var logFolders = []struct {
	path Path
	of   string
}{
	{SysprepLogs, "sysprep"}, // [sysprep-logs]
	{SetupLogs, "setup"},     // [setup-logs]
	{OOBELogs, "oobe"},       // [oobe-logs]
}

// Log is a log of a deployment.
type Log struct {
	Path Path
	Of   string // the part that it is of
	Name string
}

// OnHost is where a copy is kept below a folder of the host, whether it was
// fetched from a guest or read from its disk.
func (l Log) OnHost(folder string) string { return filepath.Join(folder, l.Of, l.Name) }

// Logs are all that explain a run of sysprep or a deployment, sysprep's own
// first. [log-names] [sysprep-logs] [setup-logs] [oobe-logs]
func Logs() (logs []Log) {
	for _, folder := range logFolders {
		for _, name := range logNames {
			logs = append(logs, Log{folder.path + `\` + Path(name), folder.of, name})
		}
	}
	return logs
}

// SysprepLog is the log of a run.
const SysprepLog = SysprepLogs + `\` + ActLog // [sysprep-logs]

// Logs of servicing, which sysprep asks before it begins. [servicing-logs]
const (
	CBSLog  Path = `\Logs\CBS\CBS.log`   // [servicing-logs]
	DISMLog Path = `\Logs\DISM\dism.log` // [servicing-logs]
)

// AppEvents is the event log of app deployment. [app-events]
const AppEvents = "Microsoft-Windows-AppXDeploymentServer/Operational" // [app-events]

// OptionGeneralize is /generalize as the log names it.
const OptionGeneralize = "GENERALIZE" // [log-options]

// BlackScreenFrom is the first build, of Windows 11 24H2 and Server 2025, whose
// images show a black screen after OOBE if sysprep ran as SYSTEM.
const BlackScreenFrom = 26100 // [not-as-system]

// Value is a value in the registry of the machine: hive, key and name.
type Value string

// Values that are read. %v shows one as a person looks it up.
const (
	ImageState            Value = `SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State\ImageState`                  // [image-state]
	SysprepMode           Value = `SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\Sysprep\SysprepMode`               // [sysprep-mode]
	GeneralizationState   Value = `SYSTEM\Setup\Status\SysprepStatus\GeneralizationState`                             // [generalization-state]
	CleanupState          Value = `SYSTEM\Setup\Status\SysprepStatus\CleanupState`                                    // [cleanup-state]
	AuditBoot             Value = `SYSTEM\Setup\Status\AuditBoot`                                                     // [audit-boot]
	SetupCompletion       Value = `SYSTEM\Setup\Status\ChildCompletion\setup.exe`                                     // [child-completion]
	SetupType             Value = `SYSTEM\Setup\SetupType`                                                            // [setup-type]
	CmdLine               Value = `SYSTEM\Setup\CmdLine`                                                              // [setup-command]
	SystemSetupInProgress Value = `SYSTEM\Setup\SystemSetupInProgress`                                                // [in-progress]
	OOBEInProgress        Value = `SYSTEM\Setup\OOBEInProgress`                                                       // [in-progress]
	UnattendFile          Value = `SYSTEM\Setup\UnattendFile`                                                         // [answer-files]
	CurrentBuild          Value = `SOFTWARE\Microsoft\Windows NT\CurrentVersion\CurrentBuildNumber`                   // [build-number]
	ActiveTimeBias        Value = `SYSTEM\CurrentControlSet\Control\TimeZoneInformation\ActiveTimeBias`               // [time-zone]
	AutoAdminLogon        Value = `SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon\AutoAdminLogon`              // [autologon]
	DefaultPassword       Value = `SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon\DefaultPassword`             // [autologon]
	SkipRearm             Value = `SOFTWARE\Microsoft\Windows NT\CurrentVersion\SoftwareProtectionPlatform\SkipRearm` // [skip-rearm]
)

// ThisBoot is in a key that Windows makes anew at each start: a value that was put
// into it is gone after a restart, and never on a disk. [volatile-hardware]
const ThisBoot = `HARDWARE\DESCRIPTION\System` // [volatile-hardware]

// UpgradedFrom begins the names of the keys, below SYSTEM\Setup, that only an
// in-place upgrade leaves.
const UpgradedFrom = "Source OS " // [upgraded]

// String is the value as a person looks it up.
func (v Value) String() string { return v.Key() + `\` + v.Name() }

// Key is the key on a running Windows.
func (v Value) Key() string { return `HKLM\` + string(v[:strings.LastIndexByte(string(v), '\\')]) }

// Name is the name of the value in its key.
func (v Value) Name() string { return string(v[strings.LastIndexByte(string(v), '\\')+1:]) }

// Offline is the hive of the value, and its key there.
func (v Value) Offline() (hive, key string) {
	hive, key, _ = strings.Cut(strings.TrimPrefix(v.Key(), `HKLM\`), `\`)
	return hive, key
}

// Start of a driver or service.
const (
	StartBoot     = 0 // [driver-start]
	StartDisabled = 4 // [driver-start]
)
