// Package setuplog writes the lines of sysprep's setupact.log as Windows
// does: a complete refused run of Server 2022 and its failure chains are
// known line by line; what a successful run says between them is put together
// from the lines of partial logs.
package setuplog

import (
	"fmt"
	"strings"
	"time"
)

// Level of a line.
type Level string

// The levels sysprep uses.
const (
	Info    Level = "Info"
	Warning Level = "Warning"
	Error   Level = "Error"
)

// Line is one line without its time.
type Line struct {
	Level     Level
	Code      uint32 // 0: none
	Component string // empty: SYSPRP
	Text      string
}

// Format returns the line as the file has it, with its end. The component
// begins in column 43, counted from 0, whether there is a code or not.
func (l Line) Format(now time.Time) string {
	code := strings.Repeat(" ", 10)
	if l.Code != 0 {
		code = fmt.Sprintf("[0x%06x]", l.Code)
	}
	component := l.Component
	if component == "" {
		component = "SYSPRP"
	}
	return fmt.Sprintf("%s, %-10s %s %-6s %s\r\n", Stamp(now), l.Level, code, component, l.Text)
}

// BOM begins every log file.
const BOM = "\ufeff"

// Stamp is how the log writes a time.
func Stamp(t time.Time) string { return t.Format("2006-01-02 15:04:05") }

func info(text string) Line               { return Line{Level: Info, Text: text} }
func infoCode(code uint32, t string) Line { return Line{Level: Info, Code: code, Text: t} }
func fail(text string) Line               { return Line{Level: Error, Text: text} }
func failCode(code uint32, t string) Line { return Line{Level: Error, Code: code, Text: t} }
func csi(number int, rest string) Line {
	return Line{Level: Info, Component: "CSI", Text: fmt.Sprintf("%08x %s", number, rest)}
}
func option(name string) Line {
	return infoCode(0x0f005f, "ParseCommands:Found supported command line option '"+name+"'")
}
func launch(entry, dll string) Line {
	return info("ActionPlatform::LaunchModule: Executing method '" + entry + "' from " + dll)
}
func launched(entry, dll string) Line {
	return info("ActionPlatform::LaunchModule: Successfully executed '" + entry + "' from " + dll)
}

const (
	system32 = `C:\Windows\System32\`
	tagFile  = system32 + `Sysprep\Sysprep_succeeded.tag`
	cleanup  = system32 + `Sysprep\ActionFiles\Cleanup.xml`
	general  = system32 + `Sysprep\ActionFiles\Generalize.xml`
)

// Run is what a run was asked to do.
type Run struct {
	Options    []string // in the order of the command line, upper case
	Privileged bool     // the user may run sysprep
	TagDeleted bool     // an old tag was there
	VM         bool     // /mode:vm
}

func (r Run) mode() string {
	if r.VM {
		return "vm"
	}
	return "<null>"
}

// Begin is the head of a run up to the command line.
func (r Run) Begin(now time.Time) []Line {
	rule := strings.Repeat("=", 56)
	lines := []Line{
		info(rule), info("===          Beginning of a new sysprep run          ==="), info(rule),
		infoCode(0x0f004d, "The time is now "+Stamp(now)),
		infoCode(0x0f004e, `Initialized SysPrep log at C:\Windows\System32\Sysprep\Panther`),
	}
	if r.Privileged {
		lines = append(lines, infoCode(0x0f0054, "ValidatePrivileges:User has required privileges to sysprep machine"))
	}
	return lines
}

// Tag reports what became of an older tag.
func (r Run) Tag() Line {
	if r.TagDeleted {
		return infoCode(0x0f007c, "FCreateTagFile:Successfully deleted tag file "+tagFile)
	}
	return infoCode(0x0f007e, "FCreateTagFile:Tag file "+tagFile+" does not already exist, no need to delete anything")
}

// CommandLine lists the options found.
func (r Run) CommandLine() []Line {
	var lines []Line
	for _, o := range r.Options {
		lines = append(lines, option(o))
	}
	if r.VM {
		lines = append(lines, infoCode(0x0f00b7, "WinMain:Sysprep mode [vm]; was specified"))
	}
	return lines
}

// Malformed is the end of a command line that cannot be parsed.
func Malformed() []Line {
	return []Line{
		fail("ParseCommands:Malformed command line detected; no dash or slash present in option"),
		fail("WinMain: Unable to parse command-line arguments to sysprep; GLE = 0x0"),
	}
}

// InvalidAnswerFile is what sysprep says about an answer file it cannot use.
func InvalidAnswerFile(hr uint32) []Line {
	return []Line{
		fail(fmt.Sprintf("The provided unattend file is not valid; hrResult = 0x%08x", hr)),
		fail("WinMain: Unable to parse command-line arguments to sysprep; GLE = 0x0"),
	}
}

// End closes the log of a run.
func End(now time.Time) []Line {
	return []Line{infoCode(0x0f0052, "Shutting down SysPrep log"), infoCode(0x0f004d, "The time is now "+Stamp(now))}
}

func (r Run) session(verb, file string) []Line {
	return []Line{
		info("SysprepSession::CreateSession: Successfully created instance with action file " + file + ", and mode <null>"),
		info("SysprepSession::" + verb + ": Beginning action execution from " + file),
		info("SysprepSession::CreateXPathForSelection: Sysprep mode in registry is " + r.mode()),
		info("SysprepSession::CreateXPathForSelection: Processor architecture in registry is AMD64"),
	}
}

// stack is the servicing stack of Server 2022 that the CSI lines name.
const stack = `amd64_microsoft-windows-servicingstack_31bf3856ad364e35_10.0.20348.169_none_f1e4d7c85165fb10\wcp.dll`

// ValidateCleanup is the pre-validation of the cleanup phase up to the
// provider's own words, CleanupValid the rest of it.
func (r Run) ValidateCleanup() []Line {
	lines := []Line{
		infoCode(0x0f00d7, "WinMain:Pre-validing 'cleanup' internal providers."),
		info("RunDlls:Running platform actions specified in action file for phase 3"),
	}
	lines = append(lines, r.session("Validate", cleanup)...)
	return append(lines,
		launch("Sysprep_Clean_Validate_Opk", system32+"spopk.dll"),
		csi(1, `Shim considered [l:125]'\??\C:\Windows\Servicing\`+stack+`' : got STATUS_OBJECT_PATH_NOT_FOUND`),
		csi(2, `Shim considered [l:122]'\??\C:\Windows\WinSxS\`+stack+`' : got STATUS_SUCCESS`),
	)
}

// CleanupValid ends a good pre-validation of the cleanup phase.
func (r Run) CleanupValid() []Line {
	return []Line{
		info("Sysprep_Clean_Validate_Opk: Successfully validated reserves state on the machine for entering audit mode."),
		launched("Sysprep_Clean_Validate_Opk", system32+"spopk.dll"),
	}
}

// ValidateGeneralize is the head of the pre-validation of generalize.
func (r Run) ValidateGeneralize() []Line {
	return append([]Line{
		infoCode(0x0f00d7, "WinMain:Pre-validing 'generalize' internal providers."),
		info("RunDlls:Running platform actions specified in action file for phase 1"),
	}, r.session("Validate", general)...)
}

const appxEnter = "Entering SysprepGeneralizeValidate (Appx) - validating whether all apps are also provisioned."

// GeneralizeValid is what the validators of generalize say when they are
// content.
func (r Run) GeneralizeValid() []Line {
	appx, bde := system32+"AppxSysprep.dll", system32+"BdeSysprep.dll"
	return []Line{
		launch("SysprepGeneralizeValidate", appx), info(appxEnter), launched("SysprepGeneralizeValidate", appx),
		launch("ValidateBitLockerState", bde), launched("ValidateBitLockerState", bde),
	}
}

// Cleanup is the cleanup phase, each element one provider's lines.
func (r Run) Cleanup() [][]Line {
	head := []Line{info("RunDlls:Running platform actions specified in action file for phase 3")}
	head = append(head, r.session("Execute", cleanup)...)
	if !r.VM {
		head = append(head,
			infoCode(0x0f00b8, "SysprepSession::Execute: Sysprep mode was not specified, deleting it from registry"),
			infoCode(0x0f00c6, `ActionPlatform::DeleteValue: Deleting registry value SysprepMode under key HKEY_LOCAL_MACHINE\Software\Microsoft\Windows\CurrentVersion\Setup\Sysprep`))
	}
	return append([][]Line{head}, providers([][2]string{
		{"Sysprep_Clean_Opk", "spopk.dll"}, {"SysPrepDtcCleanup", "msdtcprx.dll"}, {"MSSrch_SysPrep_Cleanup", "mssrch.dll"}, {"EvtIntSysprepCleanup", "wevtapi.dll"},
	})...)
}

// GeneralizePhase is the generalize phase, each element one provider's lines.
// In VM mode the devices stay.
func (r Run) GeneralizePhase() [][]Line {
	head := append([]Line{info("RunDlls:Running platform actions specified in action file for phase 1")}, r.session("Execute", general)...)
	list := [][2]string{
		{"SysprepGeneralize", "AppxSysprep.dll"}, {"SysPrepDtcGeneralize", "msdtcprx.dll"}, {"SceSysPrep", "scecli.dll"},
		{"CryptoSysPrep_Generalize", "capisp.dll"}, {"SLReArmWindows", "slc.dll"}, {"Sysprep_Generalize_Bcd", "spbcd.dll"},
	}
	if !r.VM {
		list = append(list, [2]string{"Sysprep_Generalize_Pnp", "sppnp.dll"})
	}
	return append([][]Line{head}, providers(list)...)
}

func providers(list [][2]string) [][]Line {
	var all [][]Line
	for _, p := range list {
		all = append(all, []Line{launch(p[0], system32+p[1])}, []Line{launched(p[0], system32+p[1])})
	}
	return all
}

// TagCreated is the line every successful run has.
func TagCreated() Line { return info("FCreateTagFile:Successfully created tag file " + tagFile) }

// ShutdownCalled is the line before the machine goes down.
func ShutdownCalled(reboot bool) Line {
	if reboot {
		return info("ProcessShutdown:Successfully called InitiateSystemShutdownEx to reboot the computer")
	}
	return info("ProcessShutdown:Successfully called InitiateSystemShutdownEx to shutdown the computer")
}
