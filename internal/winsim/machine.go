package winsim

import (
	"path/filepath"
	"strings"
)

// ComputerName is the name of every simulated machine.
const ComputerName = "WIN-PACKER"

// Registry keys and files the guest works with. The paths name no drive: where one
// is told, g.full gives it that of Windows.
const (
	keyState       = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State`
	keySysprepMode = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\Sysprep`
	keyVersion     = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`
	keySetup       = `HKLM\SYSTEM\Setup`
	keyStatus      = `HKLM\SYSTEM\Setup\Status`
	keySysprep     = `HKLM\SYSTEM\Setup\Status\SysprepStatus`
	keyCompletion  = `HKLM\SYSTEM\Setup\Status\ChildCompletion`
	keyPasses      = `HKLM\SYSTEM\Setup\Status\UnattendPasses`
	keyServices    = `HKLM\SYSTEM\CurrentControlSet\Services`

	keyHardware = `HKLM\HARDWARE\DESCRIPTION\System`

	keyUninstall      = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall`
	keyRebootPending  = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending`
	keyRebootRequired = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired`

	folderWindows  = `\Windows`
	folderSystem32 = `\Windows\System32`
	folderSysprep  = `\Windows\System32\Sysprep`
	folderPanther  = `\Windows\System32\Sysprep\Panther`
	folderTasks    = `\Windows\System32\Tasks`
	folderEvents   = `\Windows\System32\winevt\Logs`
	fileTag        = `\Windows\System32\Sysprep\Sysprep_succeeded.tag`
	fileState      = `\Windows\Setup\State\State.ini`
	fileActLog     = folderPanther + `\setupact.log`
	fileErrLog     = folderPanther + `\setuperr.log`
	fileAnswers    = `\Windows\Panther\unattend.xml`
)

// Values of ImageState (Microsoft, "Windows Setup States").
const (
	imageComplete         = "IMAGE_STATE_COMPLETE"
	imageUndeployable     = "IMAGE_STATE_UNDEPLOYABLE"
	imageGeneralizedOOBE  = "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"
	imageGeneralizedAudit = "IMAGE_STATE_GENERALIZE_RESEAL_TO_AUDIT"
	imageSpecializedOOBE  = "IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE"
	imageSpecializedAudit = "IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT"
)

func (g *Guest) imageState() string { return g.reg.GetString(keyState, "ImageState") }

// setImageState writes the state where Windows has it, twice.
func (g *Guest) setImageState(state string) error {
	g.reg.SetString(keyState, "ImageState", state)
	return g.drive.WriteFile(fileState, []byte("[State]\r\nImageState=\""+state+"\"\r\n"))
}

// full is a path with the drive of Windows.
func (g *Guest) full(path string) string { return g.drive.Name() + path }

func (g *Guest) profile() string { return g.full(`\Users\`) + g.opt.User }

// isAdmin says whether a user is an administrator; filtered: as the session of
// one whose token UAC has filtered, which the built-in Administrator's is not.
func (g *Guest) isAdmin(user string, filtered bool) bool {
	if filtered && !isSystem(user) && !strings.EqualFold(account(user), "Administrator") {
		return false
	}
	name := account(user)
	_, known := g.password(user)
	return known || isSystem(user) || strings.EqualFold(name, "Administrator")
}

// password returns that of a local account, in which the case of the name and
// the machine's own name before it make no difference.
func (g *Guest) password(user string) (password string, known bool) {
	match := func(name string) bool {
		return strings.EqualFold(user, name) || strings.EqualFold(user, ComputerName+`\`+name) || strings.EqualFold(user, `.\`+name)
	}
	if match(g.opt.User) {
		return g.opt.Password, true
	}
	for name, password := range g.opt.Accounts {
		if match(name) {
			return password, true
		}
	}
	return "", false
}

// account is a user name without its domain.
func account(user string) string { return user[strings.LastIndexByte(user, '\\')+1:] }

func isSystem(user string) bool {
	user = strings.ToUpper(account(user))
	return user == "SYSTEM" || user == "S-1-5-18" || user == "LOCALSYSTEM"
}

// Host returns the host path of a path of the guest, for tests.
func (g *Guest) Host(path string) string {
	host, err := g.drive.Path(path)
	if err != nil {
		return filepath.Join(g.opt.Root, "C", "invalid")
	}
	return host
}
