package winsim

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/registry"
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

// seed makes a minimal Windows Server 2022 in a workgroup that has been set
// up and waits for work.
func (g *Guest) seed() error {
	for name, p := range programs {
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
	// What starts the disks and cards of the machines that the builder makes.
	for _, name := range []string{"storahci", "atapi", "intelide", "stornvme"} {
		r.SetDWord(keyServices+`\`+name, "Start", 0)
	}
	for _, name := range []string{"E1G60", "e1iexpress"} {
		r.SetDWord(keyServices+`\`+name, "Start", 3)
	}
	for _, s := range services {
		r.SetDWord(keyServices+`\`+s.name, "Start", s.start)
	}
}

// seedFolders says where Windows is.
func (g *Guest) seedFolders() {
	g.reg.SetString(keyVersion, "SystemRoot", g.full(folderWindows))
	g.reg.SetString(keySetup, "WorkingDirectory", g.full(folderWindows)+`\Panther`)
}

// keyStart remembers which state a machine was brought into, so that a reboot
// does not do it again.
const keyStart = `HKLM\SOFTWARE\Simulated guest`

// setStart brings a machine into the state the scenario begins with. One that
// has been generalized meanwhile stays as it is.
func (g *Guest) setStart() error {
	r := g.reg
	id := fmt.Sprintf("%s %v %v %s %s", g.scenario.Start, g.scenario.StaleTag, g.scenario.StaleLog, g.scenario.Windows, g.drive.Name())
	if g.inSetup() || r.GetString(keyStart, "Start") == id {
		return nil
	}
	r.SetString(keyStart, "Start", id)
	if g.scenario.Windows != "" { // the disk was made before it was known which
		g.seedVersion()
	}
	if g.scenario.SystemDrive != "" { // or where
		g.seedFolders()
	}
	if g.scenario.StaleTag {
		host, err := g.drive.Path(fileTag)
		if err != nil {
			return err
		}
		if err := g.drive.WriteFile(fileTag, nil); err != nil {
			return err
		}
		old := time.Now().AddDate(-1, 0, 0)
		if err := os.Chtimes(host, old, old); err != nil {
			return err
		}
	}
	if g.scenario.StaleLog {
		if err := g.staleLog(); err != nil {
			return err
		}
	}
	switch g.scenario.Start {
	case Generalized:
		g.markGeneralized(false)
		if err := g.drive.WriteFile(fileTag, nil); err != nil {
			return err
		}
		return g.setImageState(imageGeneralizedOOBE)
	case SetupRunning:
		r.SetDWord(keySetup, "SystemSetupInProgress", 1)
		r.SetDWord(keySetup, "OOBEInProgress", 1)
		r.SetDWord(keyCompletion, "setup.exe", 1)
		ctx := g.session()
		g.goDo(func() {
			if !g.sleep(ctx, orElse(g.scenario.SetupFor, time.Minute)) {
				return
			}
			r.SetDWord(keySetup, "SystemSetupInProgress", 0)
			r.SetDWord(keySetup, "OOBEInProgress", 0)
			r.SetDWord(keyCompletion, "setup.exe", 3)
			if err := g.setImageState(imageComplete); err != nil {
				g.logf("ending first boot: %v", err)
			}
		})
		return g.setImageState(imageUndeployable)
	case Audit:
		r.SetDWord(keyStatus, "AuditBoot", 1)
		g.addProcess("sysprep.exe", `"`+g.full(folderSysprep)+`\sysprep.exe"`, "Administrator", 1)
		return g.setImageState(imageSpecializedAudit)
	case SysprepOpen:
		g.addProcess("sysprep.exe", `"`+g.full(folderSysprep)+`\sysprep.exe"`, "Administrator", 1)
	case Unfinished:
		r.SetDWord(keySysprep, "GeneralizationState", 3)
	case Undeployable:
		r.SetDWord(keySysprep, "GeneralizationState", 3)
		return g.setImageState(imageUndeployable)
	case NoSysprep:
		return g.drive.Remove(folderSysprep + `\sysprep.exe`)
	case RunningUpdate:
		r.Create(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending`)
		r.Create(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired`)
	}
	return nil
}

// hives are the files of the registry with the name in their base block.
var hives = []string{"SYSTEM", "SOFTWARE"}

func hivePath(name string) string { return folderSystem32 + `\config\` + name }

// Flush writes the registry to its hive files.
func (g *Guest) Flush() error {
	g.flushing.Lock()
	defer g.flushing.Unlock()
	for _, name := range hives {
		if err := g.drive.WriteFile(hivePath(name), g.reg.Hive(name)); err != nil {
			return fmt.Errorf("writing hive %s: %w", name, err)
		}
	}
	return nil
}

func (g *Guest) load() error {
	for _, name := range hives {
		content, err := g.drive.ReadFile(hivePath(name))
		if err != nil {
			return fmt.Errorf("reading hive %s: %w", name, err)
		}
		if err := g.reg.Load(name, content); err != nil {
			return fmt.Errorf("reading hive %s: %w", name, err)
		}
	}
	return g.loadTasks()
}

// Boot starts a new Windows session: after New, and after a reboot. A
// generalized image goes into specialize and stops in the first-boot dialogs.
func (g *Guest) Boot() error {
	g.mu.Lock()
	g.boot, g.halt = context.WithCancel(context.Background())
	g.procs = map[int]*process{}
	g.nextPID = 4000
	g.shutdown, g.down, g.atOOBE = nil, false, false
	g.pressed = 0
	g.mu.Unlock()
	g.setTimeZone()
	// What an update waited for has happened now.
	g.reg.DeleteKey(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending`)
	g.reg.DeleteKey(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired`)
	if kind, _ := g.reg.GetDWord(keySetup, "SetupType"); kind != 2 {
		return nil
	}
	g.logf("booting a generalized image: specialize, then the first-boot dialogs")
	if g.scenario.WinRMInSetup {
		return g.slowFirstBoot()
	}
	g.reg.SetDWord(keySysprep, "GeneralizationState", 7)
	if g.scenario.FirstBoot == FirstBootDone {
		if err := g.passFirstBoot(); err != nil {
			return err
		}
		return g.Flush()
	}
	return g.waitInDialogs()
}

// session is the context that ends with the present Windows session.
func (g *Guest) session() context.Context {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.boot
}

func (g *Guest) end() {
	g.mu.Lock()
	halt := g.halt
	g.mu.Unlock()
	halt()
}

// goDo runs f on a goroutine that Close waits for.
func (g *Guest) goDo(f func()) {
	g.wg.Add(1)
	go func() {
		defer g.wg.Done()
		f()
	}()
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
