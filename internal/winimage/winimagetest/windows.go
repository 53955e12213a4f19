package winimagetest

import (
	"encoding/binary"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
)

const (
	reseal   = "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"
	complete = "IMAGE_STATE_COMPLETE"
)

// windows are the files of the installation.
func (s Spec) windows() map[string]string {
	files := map[string]string{
		`\Windows\System32\Sysprep\sysprep.exe`:           "MZ",
		`\Windows\System32\oobe\windeploy.exe`:            "MZ",
		`\Windows\System32\Tasks\Microsoft\Windows\x\Job`: "<Task/>",
		`\Windows\Temp\setup.log`:                         "nothing of Packer\r\n",
		`\pagefile.sys`:                                   strings.Repeat("page", 256<<10),
		State:                                             "[State]\r\nImageState=\"" + complete + "\"\r\n",
	}
	for _, name := range s.Drivers {
		files[`\Windows\System32\drivers\`+name+".sys"] = "MZ"
	}
	s.addHive(files, "SYSTEM", s.system, s.System)
	s.addHive(files, "SOFTWARE", s.software, s.Software)
	if !s.GPT && !s.NoBootFiles {
		device := binary.LittleEndian.AppendUint64(nil, head)
		files[`\bootmgr`], files[`\Boot\BCD`] = s.loader(), s.bootStore(append(device, make([]byte, 8)...), 1)
	}
	if s.Generalized {
		files[State] = "[State]\r\nImageState=" + reseal + "\r\n"
		files[Tag] = ""
		files[Log] = GoodLog
		files[Cached] = AnswerFile
	}
	return files
}

// AnswerFile is a small answer file without secrets.
const AnswerFile = `<?xml version="1.0" encoding="utf-8"?>
<unattend xmlns="urn:schemas-microsoft-com:unattend">
  <settings pass="oobeSystem">
    <component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">
      <TimeZone>UTC</TimeZone>
    </component>
  </settings>
</unattend>
`

// Logs of sysprep, in the form of Windows Server 2022.
var (
	// GoodLog is a run that succeeded.
	GoodLog = logText(
		"Info       [0x0f00d7] SYSPRP WinMain:Pre-validing 'generalize' internal providers.",
		"Info                  SYSPRP SysprepSession::Validate: Beginning action execution from C:\\Windows\\System32\\Sysprep\\ActionFiles\\Generalize.xml",
		"Info       [0x0f0080] SYSPRP WinMain:Processing 'generalize' internal providers.",
		"Info       [0x0f0080] SYSPRP FCreateTagFile:Successfully created tag file C:\\Windows\\System32\\Sysprep\\Sysprep_succeeded.tag",
		"Info       [0x0f0052] SYSPRP Shutting down SysPrep log",
	)
	// RefusedLog is a run that validation refused, over an app package.
	RefusedLog = logText(
		"Info       [0x0f00d7] SYSPRP WinMain:Pre-validing 'generalize' internal providers.",
		"Info                  SYSPRP SysprepSession::Validate: Beginning action execution from C:\\Windows\\System32\\Sysprep\\ActionFiles\\Generalize.xml",
		"Error                 SYSPRP Package Contoso.Notes_1.0.0.0_x64__8wekyb3d8bbwe was installed for a user, but not provisioned for all users. This package will not function properly in the sysprep image.",
		"Error                 SYSPRP Failed to remove apps for the current user: 0x80073cf2.",
		"Error                 SYSPRP ActionPlatform::LaunchModule: Failure occurred while executing 'SysprepGeneralizeValidate' from C:\\Windows\\System32\\AppxSysprep.dll; dwRet = 0x3cf2",
		"Error      [0x0f00d8] SYSPRP WinMain:Hit failure while pre-validate sysprep generalize internal providers; hr = 0x80073cf2",
		"Info       [0x0f0052] SYSPRP Shutting down SysPrep log",
	)
	// CutLog is a run that ends in the middle.
	CutLog = logText(
		"Info       [0x0f0080] SYSPRP WinMain:Processing 'generalize' internal providers.",
		"Info                  SYSPRP ActionPlatform::LaunchModule: Executing method 'GeneralizeForImaging' from C:\\Windows\\System32\\wuaueng.dll",
	)
)

func logText(lines ...string) string {
	var b strings.Builder
	b.WriteString("\ufeff")
	for _, line := range append([]string{
		"Info                  SYSPRP ===          Beginning of a new sysprep run          ===",
		"Info       [0x0f005f] SYSPRP ParseCommands:Found supported command line option 'OOBE'",
		"Info       [0x0f005f] SYSPRP ParseCommands:Found supported command line option 'GENERALIZE'",
		"Info       [0x0f005f] SYSPRP ParseCommands:Found supported command line option 'SHUTDOWN'",
	}, lines...) {
		b.WriteString("2026-11-23 12:00:00, " + line + "\r\n")
	}
	return b.String()
}

// addHive adds a hive, and its log where there is to be one.
func (s Spec) addHive(files map[string]string, name string, build func() *hivewrite.Key, change func(*hivewrite.Key)) {
	path, inside := `\Windows\System32\config\`+name, `\SystemRoot\System32\Config\`+name
	root := build()
	if change != nil {
		change(root)
	}
	if s.DirtyHive == name && s.HiveLog {
		hive, log := hivewrite.BuildDirty(build(), root, inside)
		files[path], files[path+".LOG1"] = string(hive), string(log)
		return
	}
	b := hivewrite.Build(root, inside)
	if s.DirtyHive == name {
		unflushed(b)
	}
	files[path] = string(b)
}

// unflushed makes the sequence numbers of a hive unequal.
func unflushed(b []byte) {
	le := binary.LittleEndian
	le.PutUint32(b[4:], le.Uint32(b[8:])+1)
	// The checksum of the base block is the exclusive or of its first 127
	// words ("Windows registry file format specification", "Base block").
	var sum uint32
	for i := 0; i < 508; i += 4 {
		sum ^= le.Uint32(b[i:])
	}
	le.PutUint32(b[508:], sum)
}

// System is the hive SYSTEM of a disk before Spec.System changes it.
func System(generalized bool) *hivewrite.Key { return Spec{Generalized: generalized}.system() }

func (s Spec) system() *hivewrite.Key {
	root := hivewrite.NewKey("ROOT")
	root.Path("Select").SetDWord("Current", 1)
	set := root.Path("ControlSet001")
	set.Path(`Control\Session Manager\Environment`).SetString("PROCESSOR_ARCHITECTURE", "AMD64")
	services := set.Path("Services")
	for name, start := range map[string]uint32{
		"storahci": 0, "stornvme": 0, "atapi": 0, "intelide": 0, "pciide": 0, "LSI_SAS": 3, "E1G60": 3, "e1iexpress": 3,
	} {
		services.Path(name).SetDWord("Start", start)
	}
	for _, name := range s.Drivers {
		services.Path(name).SetDWord("Start", 0).SetString("ImagePath", `System32\drivers\`+name+".sys")
	}
	for _, id := range s.Devices {
		root.Path(`DriverDatabase\DeviceIds\`+id).SetBinary("x.inf", []byte{1, 0xff, 0, 0})
	}
	setup := root.Path("Setup")
	setup.SetDWord("SetupType", 0).SetString("CmdLine", "").SetDWord("SystemSetupInProgress", 0).SetDWord("OOBEInProgress", 0)
	status := setup.Path("Status")
	status.Path("ChildCompletion").SetDWord("setup.exe", 3)
	status.Path("SysprepStatus").SetDWord("GeneralizationState", 7)
	if s.Generalized {
		setup.SetDWord("SetupType", 2).SetString("CmdLine", `oobe\windeploy.exe`).SetDWord("SystemSetupInProgress", 1).SetDWord("OOBEInProgress", 1)
		status.Path("SysprepStatus").SetDWord("GeneralizationState", 4).SetDWord("CleanupState", 2)
	}
	return root
}

func (s Spec) software() *hivewrite.Key {
	root := hivewrite.NewKey("ROOT")
	current := root.Path(`Microsoft\Windows NT\CurrentVersion`)
	current.SetString("ProductName", "Windows Server 2022 Standard").SetString("EditionID", "ServerStandard")
	current.SetString("InstallationType", "Server").SetString("DisplayVersion", "21H2").SetString("CurrentBuildNumber", "20348").SetDWord("UBR", 2340)
	current.Path("Winlogon").SetString("AutoAdminLogon", "0")
	state := complete
	if s.Generalized {
		state = reseal
	}
	root.Path(`Microsoft\Windows\CurrentVersion\Setup\State`).SetString("ImageState", state)
	return root
}
