package answerfile

import "strings"

// Components whose settings are known here (Windows Unattend reference).
const (
	compDeployment    = "Microsoft-Windows-Deployment"
	compPnp           = "Microsoft-Windows-PnpSysprep"
	compSPP           = "Microsoft-Windows-Security-SPP"
	compSPPUX         = "Microsoft-Windows-Security-SPP-UX"
	compShell         = "Microsoft-Windows-Shell-Setup"
	compInternational = "Microsoft-Windows-International-Core"
	compJoin          = "Microsoft-Windows-UnattendedJoin"
)

// setting is what the Windows Unattend reference says about one setting.
type setting struct {
	component, path string
	// passes are the configuration passes the setting is valid in.
	passes []string
	// values are the accepted texts; nil accepts any.
	values []string
	// longest is the limit in UTF-16 units, as Windows counts; 0 is none.
	longest int
	// list marks an item that may repeat, with wcm:action="add".
	list bool
	// command marks a command line.
	command bool
	// vmMode marks a setting that takes effect only with /mode:vm.
	vmMode bool
	// deprecated says what to do instead.
	deprecated string
}

var (
	truth       = []string{"true", "false"}
	modes       = []string{"OOBE", "Audit"}
	ownerPasses = []string{AuditUser, Generalize, OfflineServicing, OOBESystem, Specialize}
	runPasses   = []string{AuditUser, Specialize}
	resetPasses = []string{AuditSystem, AuditUser, OOBESystem}
	logonPasses = []string{AuditSystem, OOBESystem, Specialize}
	oobeOnly    = []string{OOBESystem}
)

// settings is the table behind the lint rules. A container stands for what is
// below it; settings of these components that are not listed get a note.
var settings = []setting{
	{component: compDeployment, path: `Generalize`, passes: []string{AuditUser}},
	{component: compDeployment, path: `Generalize\Mode`, passes: []string{AuditUser}, values: modes},
	{component: compDeployment, path: `Generalize\ForceShutdownNow`, passes: []string{AuditUser}, values: truth},
	{component: compDeployment, path: `Reseal`, passes: resetPasses},
	{component: compDeployment, path: `Reseal\Mode`, passes: resetPasses, values: modes},
	{component: compDeployment, path: `Reseal\ForceShutdownNow`, passes: resetPasses, values: truth},
	{component: compDeployment, path: `RunSynchronous`, passes: runPasses},
	{component: compDeployment, path: `RunSynchronous\RunSynchronousCommand`, passes: runPasses, list: true},
	{component: compDeployment, path: `RunSynchronous\RunSynchronousCommand\Path`, passes: runPasses, longest: 259, command: true},
	{component: compDeployment, path: `RunSynchronous\RunSynchronousCommand\Description`, passes: runPasses, longest: 259},
	{component: compDeployment, path: `RunSynchronous\RunSynchronousCommand\WillReboot`, passes: runPasses, values: []string{"Always", "OnRequest", "Never"}},
	{component: compDeployment, path: `RunAsynchronous`, passes: runPasses},
	{component: compDeployment, path: `RunAsynchronous\RunAsynchronousCommand`, passes: runPasses, list: true},
	{component: compDeployment, path: `RunAsynchronous\RunAsynchronousCommand\Path`, passes: runPasses, longest: 259, command: true},
	{component: compDeployment, path: `RunAsynchronous\RunAsynchronousCommand\Description`, passes: runPasses, longest: 259},
	{component: compDeployment, path: `ExtendOSPartition`, passes: []string{Specialize}},
	{component: compDeployment, path: `ExtendOSPartition\Extend`, passes: []string{Specialize}, values: truth},
	{component: compDeployment, path: `AuditComputerName`, passes: []string{AuditUser}},

	{component: compPnp, path: `PersistAllDeviceInstalls`, passes: []string{Generalize}, values: truth},
	{component: compPnp, path: `DoNotCleanUpNonPresentDevices`, passes: []string{Generalize}, values: truth},
	{component: compSPP, path: `SkipRearm`, passes: []string{Generalize}, values: []string{"0", "1"}},
	{component: compSPPUX, path: `SkipAutoActivation`, passes: []string{Specialize}, values: truth},

	{component: compShell, path: `CopyProfile`, passes: []string{Specialize}, values: truth},
	{component: compShell, path: `ComputerName`, passes: []string{Specialize, OfflineServicing}},
	{component: compShell, path: `ProductKey`, passes: []string{Specialize}},
	{component: compShell, path: `TimeZone`, passes: []string{AuditSystem, OOBESystem, Specialize}, longest: 256},
	{component: compShell, path: `RegisteredOwner`, passes: ownerPasses},
	{component: compShell, path: `RegisteredOrganization`, passes: ownerPasses},
	{component: compShell, path: `OOBE`, passes: oobeOnly},
	{component: compShell, path: `OOBE\HideEULAPage`, passes: oobeOnly, values: truth},
	{component: compShell, path: `OOBE\HideLocalAccountScreen`, passes: oobeOnly, values: truth},
	{component: compShell, path: `OOBE\HideOEMRegistrationScreen`, passes: oobeOnly, values: truth},
	{component: compShell, path: `OOBE\HideOnlineAccountScreens`, passes: oobeOnly, values: truth},
	{component: compShell, path: `OOBE\HideWirelessSetupInOOBE`, passes: oobeOnly, values: truth},
	{component: compShell, path: `OOBE\NetworkLocation`, passes: oobeOnly, values: []string{"Home", "Work", "Other"},
		deprecated: "Windows 10 and later ignore it: remove it, or keep it for older Windows"},
	{component: compShell, path: `OOBE\ProtectYourPC`, passes: oobeOnly, values: []string{"1", "2", "3"}},
	{component: compShell, path: `OOBE\SkipMachineOOBE`, passes: oobeOnly, values: truth,
		deprecated: "use the Hide... settings, an account and ProtectYourPC"},
	{component: compShell, path: `OOBE\SkipUserOOBE`, passes: oobeOnly, values: truth,
		deprecated: "use the Hide... settings, an account and ProtectYourPC"},
	{component: compShell, path: `OOBE\VMModeOptimizations`, passes: oobeOnly, vmMode: true},
	{component: compShell, path: `OOBE\VMModeOptimizations\SkipAdministratorProfileRemoval`, passes: oobeOnly, values: truth},
	{component: compShell, path: `OOBE\VMModeOptimizations\SkipNotifyUILanguageChange`, passes: oobeOnly, values: truth},
	{component: compShell, path: `OOBE\VMModeOptimizations\SkipWinREInitialization`, passes: oobeOnly, values: truth},
	{component: compShell, path: `UserAccounts`, passes: []string{AuditSystem, OOBESystem}},
	{component: compShell, path: `UserAccounts\AdministratorPassword`, passes: []string{AuditSystem, OOBESystem}},
	{component: compShell, path: `UserAccounts\AdministratorPassword\PlainText`, passes: []string{AuditSystem, OOBESystem}, values: truth},
	{component: compShell, path: `UserAccounts\LocalAccounts`, passes: oobeOnly},
	{component: compShell, path: `UserAccounts\LocalAccounts\LocalAccount`, passes: oobeOnly, list: true},
	{component: compShell, path: `UserAccounts\LocalAccounts\LocalAccount\Password\PlainText`, passes: oobeOnly, values: truth},
	{component: compShell, path: `AutoLogon`, passes: logonPasses},
	{component: compShell, path: `AutoLogon\Enabled`, passes: logonPasses, values: truth},
	{component: compShell, path: `AutoLogon\Password\PlainText`, passes: logonPasses, values: truth},
	{component: compShell, path: `FirstLogonCommands`, passes: oobeOnly},
	{component: compShell, path: `FirstLogonCommands\SynchronousCommand`, passes: oobeOnly, list: true},
	{component: compShell, path: `FirstLogonCommands\SynchronousCommand\CommandLine`, passes: oobeOnly, longest: 1024, command: true},
	{component: compShell, path: `FirstLogonCommands\SynchronousCommand\RequiresUserInput`, passes: oobeOnly, values: truth},

	{component: compInternational, path: `InputLocale`, passes: []string{Specialize, OOBESystem}},
	{component: compInternational, path: `SystemLocale`, passes: []string{Specialize, OOBESystem}},
	{component: compInternational, path: `UILanguage`, passes: []string{Specialize, OOBESystem}},
	{component: compInternational, path: `UILanguageFallback`, passes: []string{Specialize, OOBESystem}},
	{component: compInternational, path: `UserLocale`, passes: []string{Specialize, OOBESystem}},
}

// known looks a setting up by component and path without regard to case:
// component names are written in more than one way in production
// (PnpSysprep, PnPSysprep). exact is false when the path differs in case.
func known(component, path string) (s *setting, exact bool) {
	s = settingIndex[strings.ToLower(component+`\`+path)]
	return s, s != nil && s.path == path
}

var settingIndex, componentIndex = func() (map[string]*setting, map[string]bool) {
	index, components := map[string]*setting{}, map[string]bool{}
	for i := range settings {
		s := &settings[i]
		index[strings.ToLower(s.component+`\`+s.path)] = s
		components[strings.ToLower(s.component)] = true
	}
	return index, components
}()
