package answerfile

// Secret is a text that must not be printed. Formatting it shows a
// placeholder.
type Secret string

// String hides the value from %s and %v.
func (Secret) String() string { return "<sensitive>" }

// GoString hides the value from %#v.
func (Secret) GoString() string { return "<sensitive>" }

// Spec is an answer file as a user describes it. Empty texts and nil pointers
// leave a setting out. The texts of the fields' comments name the settings as
// the Windows Unattend reference does.
type Spec struct {
	Generalize GeneralizeSpec
	Specialize SpecializeSpec
	OOBE       OOBESpec
	Audit      AuditSpec
	// Reseal is Microsoft-Windows-Deployment\Reseal, at most once for a pass.
	Reseal []Reseal
	// Components holds settings that Spec has no field for. They are laid on
	// top of the others.
	Components []ExtraComponent
}

// GeneralizeSpec is pass generalize.
type GeneralizeSpec struct {
	// PnpSysprep\PersistAllDeviceInstalls, \DoNotCleanUpNonPresentDevices
	PersistAllDeviceInstalls, DoNotCleanUpNonPresentDevices *bool
	// Security-SPP\SkipRearm
	SkipRearm *bool
}

// SpecializeSpec is pass specialize.
type SpecializeSpec struct {
	// Shell-Setup\ComputerName, "*" is random
	ComputerName string
	// Shell-Setup\CopyProfile
	CopyProfile *bool
	// Shell-Setup\ProductKey, either literal or that of an edition of Editions
	ProductKey        Secret
	ProductKeyEdition string
	// Shell-Setup\TimeZone, \RegisteredOwner, \RegisteredOrganization
	TimeZone, RegisteredOwner, RegisteredOrganization string
	// Security-SPP-UX\SkipAutoActivation
	SkipAutoActivation *bool
	// Deployment\ExtendOSPartition\Extend
	ExtendOSPartition *bool
	// Deployment\RunSynchronous, run as SYSTEM
	RunSynchronous []RunCommand
}

// OOBESpec is pass oobeSystem.
type OOBESpec struct {
	Locale                Locale
	Pages                 Pages
	VMModeOptimizations   VMModeOptimizations
	AdministratorPassword Secret
	LocalAccounts         []LocalAccount
	AutoLogon             *AutoLogon
	FirstLogonCommands    []FirstLogonCommand
}

// AuditSpec is passes auditSystem (password, logon) and auditUser (commands,
// Generalize). Windows runs no commands in auditSystem.
type AuditSpec struct {
	AdministratorPassword Secret
	AutoLogon             *AutoLogon
	RunSynchronous        []RunCommand
	// DeploymentGeneralize is Deployment\Generalize: the machine generalizes
	// itself in audit mode.
	DeploymentGeneralize *Reset
}

// Locale is International-Core.
type Locale struct {
	InputLocale, SystemLocale, UILanguage, UILanguageFallback, UserLocale string
}

// Pages is Shell-Setup\OOBE.
type Pages struct {
	HideEULAPage, HideLocalAccountScreen, HideOEMRegistrationScreen *bool
	HideOnlineAccountScreens, HideWirelessSetupInOOBE               *bool
	// NetworkLocation is Home, Work or Other; Windows 10 and later ignore it.
	NetworkLocation string
	// ProtectYourPC is 1, 2 or 3; 0 leaves it out, and Windows asks.
	ProtectYourPC int
}

// VMModeOptimizations is Shell-Setup\OOBE\VMModeOptimizations, which needs
// /mode:vm.
type VMModeOptimizations struct {
	SkipAdministratorProfileRemoval, SkipNotifyUILanguageChange, SkipWinREInitialization *bool
}

// LocalAccount is Shell-Setup\UserAccounts\LocalAccounts\LocalAccount.
type LocalAccount struct {
	Name, Group, DisplayName, Description string
	Password                              Secret
}

// AutoLogon is Shell-Setup\AutoLogon. Windows logs on once more than
// LogonCount says; 0 stands for 1, as the setting is mandatory.
type AutoLogon struct {
	Username, Domain string
	Password         Secret
	LogonCount       int
}

// RunCommand is Deployment\RunSynchronous\RunSynchronousCommand; the order is
// that of the list.
type RunCommand struct {
	// Path is the command line, at most 259 characters.
	Path, Description string
	// WillReboot is Always, OnRequest or Never.
	WillReboot string
}

// FirstLogonCommand is Shell-Setup\FirstLogonCommands\SynchronousCommand; the
// order is that of the list.
type FirstLogonCommand struct {
	// CommandLine has at most 1024 characters.
	CommandLine, Description string
	RequiresUserInput        *bool
}

// Reset is the content of Deployment\Generalize and Deployment\Reseal.
type Reset struct {
	// Mode is OOBE or Audit, in any case of letters.
	Mode             string
	ForceShutdownNow *bool
}

// Reseal is Deployment\Reseal in one pass: auditSystem, auditUser or
// oobeSystem.
type Reseal struct {
	Pass string
	Reset
}

// ExtraComponent is any other component, or any other setting of a known one.
type ExtraComponent struct {
	Pass, Name string
	// Settings are values by path, for example
	// {`Display\ColorDepth`: "32"}.
	Settings map[string]string
	// XML is the text inside of <component>, for what a path cannot say. The
	// prefix wcm is declared.
	XML string
}
