package winsim

import (
	"fmt"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/registry"
)

// seed makes a minimal Windows Server 2022 in a workgroup that has been set
// up and waits for work.
func (g *Guest) seed() error {
	for name, p := range programs {
		if name == "scp.exe" || name == "ec2launch.exe" || name == "tar.exe" && g.scenario.release().build < 17134 {
			continue
		}
		if err := g.drive.WriteFile(p.folder+`\`+name, []byte("MZ")); err != nil {
			return fmt.Errorf("seeding the drive: %w", err)
		}
	}
	for _, folder := range []string{
		folderPanther, folderTasks, folderWindows + `\Temp`, folderWindows + `\Panther`, folderSystem32 + `\config\systemprofile`,
		g.profile() + `\AppData\Local\Temp`, `\Users\Administrator`, `\ProgramData`, `\Program Files`,
	} {
		if err := g.drive.MkdirAll(folder); err != nil {
			return fmt.Errorf("seeding the drive: %w", err)
		}
	}
	for _, name := range []string{"Application", "Security", "System"} {
		if err := g.drive.WriteFile(folderEvents+`\`+name+".evtx", append([]byte("ElfFile\x00"), make([]byte, 65536)...)); err != nil {
			return fmt.Errorf("seeding the drive: %w", err)
		}
	}
	g.seedRegistry()
	if err := g.seedDrivers(); err != nil {
		return err
	}
	if err := g.seedAgents(); err != nil {
		return err
	}
	return g.setImageState(imageComplete)
}

func (g *Guest) seedRegistry() {
	r := g.reg
	g.seedVersion()
	r.SetDWord(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System`, "EnableLUA", 1)
	r.SetDWord(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System`, "LocalAccountTokenFilterPolicy", 1)
	r.SetString(keyVersion+`\Winlogon`, "AutoAdminLogon", "0")
	for _, phase := range []string{"Cleanup", "Generalize", "Specialize"} {
		r.Create(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\SysPrepExternal\` + phase)
	}
	r.Set(keyVersion+`\ProfileList\S-1-5-18`, registry.ExpandValue("ProfileImagePath", `%SystemRoot%\System32\config\systemprofile`))

	// As every running Windows 10 and later has them.
	r.SetString(keySetup, "CloneTag", "Sat May  8 08:23:01 2021")
	r.SetString(keySetup, "CmdLine", "")
	r.SetString(keySetup, "OsLoaderPath", `\`)
	r.SetString(keySetup, "RespecializeCmdLine", `Sysprep\sysprep.exe /respecialize /quiet`)
	r.SetString(keySetup, "SystemPartition", `\Device\HarddiskVolume1`)
	g.seedFolders()
	for _, name := range []string{"OOBEInProgress", "RestartSetup", "SetupPhase", "SetupType", "SystemSetupInProgress"} {
		r.SetDWord(keySetup, name, 0)
	}
	r.SetDWord(keySetup, "SetupSupported", 1)
	r.SetDWord(keyStatus, "AuditBoot", 0)
	r.SetDWord(keySysprep, "GeneralizationState", 7)
	r.SetDWord(keySysprep, "CleanupState", 2)
	for _, name := range []string{"setup.exe", "oobeldr.exe", "SetupFinalTasks"} {
		r.SetDWord(keyCompletion, name, 3)
	}
	r.SetDWord(keyPasses, "oobeSystem", 2)
	for name, n := range map[string]uint32{"Current": 1, "Default": 1, "Failed": 0, "LastKnownGood": 1} {
		r.SetDWord(`HKLM\SYSTEM\Select`, name, n)
	}
	r.SetString(`HKLM\SYSTEM\CurrentControlSet\Control\ComputerName\ComputerName`, "ComputerName", ComputerName)
	for _, s := range services {
		r.SetDWord(keyServices+`\`+s.name, "Start", s.start)
	}
	if g.scenario.release().client {
		r.SetDWord(keyServices+`\dmwappushservice`, "Start", 3)
	}
	r.SetString(keySessions+`\Environment`, "PROCESSOR_ARCHITECTURE", "AMD64")
	r.Set(keySessions+`\Memory Management`, registry.MultiValue("PagingFiles", `?:\pagefile.sys`))
	r.Set(keyProfiles+`\`+userSID, registry.ExpandValue("ProfileImagePath", `%SystemDrive%\Users\`+g.opt.User))
}

// seedFolders says where Windows is.
func (g *Guest) seedFolders() {
	g.reg.SetString(keyVersion, "SystemRoot", g.full(folderWindows))
	g.reg.SetString(keySetup, "WorkingDirectory", g.full(folderWindows)+`\Panther`)
}
