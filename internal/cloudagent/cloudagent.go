// Package cloudagent says how the agents of clouds run sysprep: a leaf of facts,
// each from the agent's own source or documentation. None of it was run on a
// cloud.
package cloudagent

import (
	"slices"
	"strings"
)

// Agent is a program of a cloud that runs sysprep with an answer file of its own,
// and prepares the image's first boot around that. Its paths are below the system
// drive and begin with a backslash.
type Agent struct {
	Name string // as the option agent has it
	// Program shows that the agent is in a guest.
	Program string
	// AnswerFile is what it gives to sysprep. Whoever wants other settings changes
	// that file.
	AnswerFile string
	// Logs are the agent's own; none: it writes to its standard output only.
	Logs []string
	// Reboots: it can end with a restart as well.
	Reboots bool
	// Source is what all of it rests on.
	Source string

	quit, shutdown, reboot []string
}

// End is what an agent is to do when sysprep is done.
type End uint8

// Ends.
const (
	Quit End = iota
	Shutdown
	Reboot
)

const (
	powershell = `"%SystemRoot%\System32\WindowsPowerShell\v1.0\powershell.exe" -NoProfile -NonInteractive -ExecutionPolicy Bypass -File `
	// stop ends a batch file with the exit code of the line before.
	stop = `if errorlevel 1 exit /b %errorlevel%`

	ec2launchV2 = `"%ProgramFiles%\Amazon\EC2Launch\EC2Launch.exe" sysprep --block`
	ec2launch   = powershell + `"%ProgramData%\Amazon\EC2-Windows\Launch\Scripts\`
	gce         = `call "%ProgramFiles%\Google\Compute Engine\sysprep\gcesysprep.bat"`
	cloudbase   = `\Program Files\Cloudbase Solutions\Cloudbase-Init`
)

// agents are in the order in which "auto" looks for them: an image that was
// migrated has EC2Launch v1 beside v2, and cloudbase-init is what runs on clouds
// whose agent is another one.
var agents = []Agent{
	{
		// ec2launch sysprep resets the agent's state, completes its unattend.xml, runs
		// BeforeSysprep.cmd (which turns RDP off) and then sysprep.exe /oobe /generalize
		// without /quiet. --block waits for the agent's service, --shutdown powers off.
		Name: "ec2launch-v2", Program: `\Program Files\Amazon\EC2Launch\EC2Launch.exe`, AnswerFile: `\ProgramData\Amazon\EC2Launch\sysprep\unattend.xml`,
		Logs: []string{`\ProgramData\Amazon\EC2Launch\log\agent.log`, `\ProgramData\Amazon\EC2Launch\log\error.log`},
		quit: []string{ec2launchV2}, shutdown: []string{ec2launchV2 + " --shutdown"},
		Source: `Amazon EC2 User Guide, "EC2Launch v2 settings" (CLI, sysprep) and "Create an AMI using Windows Sysprep with EC2Launch v2"`,
	},
	{
		// InitializeInstance.ps1 -Schedule lets the agent run at the next boot.
		// SysprepInstance.ps1 completes Unattend.xml, calls BeforeSysprep.cmd, starts
		// sysprep.exe /oobe /generalize with /quit or /shutdown, without /quiet, and waits
		// for it. Its exit code is not that of sysprep.
		Name: "ec2launch", Program: `\ProgramData\Amazon\EC2-Windows\Launch\Scripts\SysprepInstance.ps1`, AnswerFile: `\ProgramData\Amazon\EC2-Windows\Launch\Sysprep\Unattend.xml`,
		Logs:     []string{`\ProgramData\Amazon\EC2-Windows\Launch\Log\Ec2Launch.log`},
		quit:     []string{ec2launch + `InitializeInstance.ps1" -Schedule`, stop, ec2launch + `SysprepInstance.ps1" -NoShutdown`},
		shutdown: []string{ec2launch + `InitializeInstance.ps1" -Schedule`, stop, ec2launch + `SysprepInstance.ps1"`},
		Source:   `EC2Launch v1, Scripts\SysprepInstance.ps1 (2016 and 2022); Amazon EC2 User Guide, "Use the EC2Launch v1 agent"`,
	},
	{
		// It empties \Windows\Temp and the users' temporary folders and all event logs,
		// deletes the tag, runs sysprep.exe /generalize /oobe /quit without /quiet, waits
		// without a limit for the tag, stops Google's agents, puts its windeploy.cmd into
		// CmdLine, writes SetupComplete.cmd, deletes self-signed certificates (those of a
		// WinRM listener too) and powers off, unless -no_shutdown. Exit code 1 after a
		// failure. Without the elevated token it starts itself anew and ends with 0.
		Name: "gcesysprep", Program: `\Program Files\Google\Compute Engine\sysprep\gcesysprep.bat`, AnswerFile: `\Program Files\Google\Compute Engine\sysprep\unattended.xml`,
		quit: []string{gce + " -no_shutdown"}, shutdown: []string{gce},
		Source: "GoogleCloudPlatform/compute-image-windows 9a92794, google-compute-engine-sysprep 3.27.0, sysprep/sysprep.ps1",
	},
	{
		// What its installer does where "Run Sysprep" is ticked: SetSetupComplete.cmd,
		// which writes SetupComplete.cmd anew and lets the agent's service start there
		// only, then sysprep with conf\Unattend.xml. We add /quiet.
		Name: "cloudbase-init", Program: cloudbase + `\bin\SetSetupComplete.cmd`, AnswerFile: cloudbase + `\conf\Unattend.xml`,
		Logs: []string{cloudbase + `\log\cloudbase-init.log`}, Reboots: true,
		quit: cloudbaseInit("quit"), shutdown: cloudbaseInit("shutdown"), reboot: cloudbaseInit("reboot"),
		Source: "cloudbase/cloudbase-init-installer 798df5e, CloudbaseInitSetup/Actions/SysprepActions.js",
	},
}

// cloudbaseInit ends with 0: SetSetupComplete.cmd fails where a folder is there
// already, and the exit code of sysprep proves nothing.
func cloudbaseInit(end string) []string {
	return []string{
		`call "%SystemDrive%` + cloudbase + `\bin\SetSetupComplete.cmd"`,
		`"%SystemRoot%\System32\Sysprep\sysprep.exe" /generalize /oobe /` + end + ` /quiet "/unattend:%SystemDrive%` + cloudbase + `\conf\Unattend.xml"`,
		`exit /b 0`,
	}
}

// All lists the agents, in the order in which they are looked for.
func All() []Agent { return slices.Clone(agents) }

// Names lists them by their names.
func Names() (names []string) {
	for _, a := range agents {
		names = append(names, a.Name)
	}
	return names
}

// ByName finds an agent.
func ByName(name string) (Agent, bool) {
	for _, a := range agents {
		if a.Name == name {
			return a, true
		}
	}
	return Agent{}, false
}

// Lines are the lines of a batch file that runs the agent; nil: it has no such
// end.
func (a Agent) Lines(end End) []string {
	return slices.Clone([][]string{a.quit, a.shutdown, a.reboot}[end])
}

// OnDrive is a path of the agent on a drive such as "C:".
func OnDrive(drive, path string) string { return strings.TrimSuffix(drive, `\`) + path }

// AzureServices have to run before a virtual machine of Azure is generalized, or
// an image of it is not set up (hashicorp/packer-plugin-azure, docs of azure-arm,
// "Deprovision" for Windows; kubernetes-sigs/image-builder,
// packer/azure/scripts/sysprep.ps1).
var AzureServices = []string{"RdAgent", "WindowsAzureGuestAgent"}
