//go:generate go tool packer-sdc mapstructure-to-hcl2 -type Unattend,RunSynchronous,Locale,OOBE,VMModeOptimizations,LocalAccount,AutoLogon,FirstLogonCommand,Audit,DeploymentGeneralize,Reseal,ExtraComponent
//go:generate go tool packer-sdc struct-markdown

package answerfile

import "github.com/hashicorp/packer-plugin-sdk/template/config"

// Secret is a text that must not be printed. Formatting it shows a
// placeholder.
type Secret string

// String hides the value from %s and %v.
func (Secret) String() string { return "<sensitive>" }

// GoString hides the value from %#v.
func (Secret) GoString() string { return "<sensitive>" }

// Unattend is an answer file written in HCL. Each setting goes to the
// configuration pass and the component it belongs to.
type Unattend struct {
	// Keep the device drivers' state, for an image that is deployed on the same
	// hardware (pass generalize).
	PersistAllDeviceInstalls config.Trilean `mapstructure:"persist_all_device_installs"`
	// Keep devices that are not present. Only with
	// `persist_all_device_installs` (pass generalize).
	DoNotCleanUpNonPresentDevices config.Trilean `mapstructure:"do_not_clean_up_non_present_devices"`
	// Do not reset licensing (pass generalize).
	SkipRearm config.Trilean `mapstructure:"skip_rearm"`

	// Name of the deployed machine, at most 15 bytes; `*` for a random one.
	ComputerName string `mapstructure:"computer_name"`
	// Make the built-in Administrator's profile the default one.
	CopyProfile config.Trilean `mapstructure:"copy_profile"`
	// Product key: five groups of five. Sensitive.
	ProductKey Secret `mapstructure:"product_key"`
	// An edition whose published volume licence key is used instead, for example
	// `Windows Server 2022 Datacenter`. Such a key activates nothing without a
	// KMS host.
	ProductKeyEdition string `mapstructure:"product_key_edition"`
	// Time zone, a name of `tzutil /l`.
	TimeZone string `mapstructure:"time_zone"`
	// Owner shown by Windows.
	RegisteredOwner string `mapstructure:"registered_owner"`
	// Organization shown by Windows.
	RegisteredOrganization string `mapstructure:"registered_organization"`
	// Do not activate Windows automatically.
	SkipAutoActivation config.Trilean `mapstructure:"skip_auto_activation"`
	// Extend the system partition to the end of the disk.
	ExtendOSPartition config.Trilean `mapstructure:"extend_os_partition"`
	// Command at the first boot, run as SYSTEM in pass specialize. Repeat the
	// block for more: they run in the order given.
	RunSynchronous []RunSynchronous `mapstructure:"run_synchronous"`

	// Languages and keyboard. With it the first boot does not ask for them.
	Locale *Locale `mapstructure:"locale"`
	// Pages of the first boot.
	OOBE *OOBE `mapstructure:"oobe"`
	// What a first boot after `vm_mode = true` may leave out.
	VMModeOptimizations *VMModeOptimizations `mapstructure:"vm_mode_optimizations"`
	// Password of the built-in Administrator. Sensitive.
	AdministratorPassword Secret `mapstructure:"administrator_password"`
	// Account to create. Repeat the block for more.
	LocalAccounts []LocalAccount `mapstructure:"local_account"`
	// Automatic logon at the first boot.
	AutoLogon *AutoLogon `mapstructure:"auto_logon"`
	// Command at the first logon. Repeat the block for more: they start in the
	// order given.
	FirstLogonCommands []FirstLogonCommand `mapstructure:"first_logon_command"`

	// Settings of audit mode, used with `mode = "audit"`.
	Audit *Audit `mapstructure:"audit"`
	// Where the machine goes after a pass. Repeat the block for other passes.
	Reseal []Reseal `mapstructure:"reseal"`
	// Any other setting. Repeat the block for more. They override all
	// others.
	Components []ExtraComponent `mapstructure:"component"`
}

// RunSynchronous is a command that Windows Setup runs and waits for.
type RunSynchronous struct {
	// Command line, at most 259 characters. Required.
	Path string `mapstructure:"path"`
	// At most 259 characters.
	Description string `mapstructure:"description"`
	// `Always`, `OnRequest` or `Never` (default).
	WillReboot string `mapstructure:"will_reboot"`
}

// Locale holds languages and keyboard (pass oobeSystem).
type Locale struct {
	// Keyboard, for example `0409:00000409` or `en-US`.
	InputLocale string `mapstructure:"input_locale"`
	// Language of programs that do not support Unicode.
	SystemLocale string `mapstructure:"system_locale"`
	// Language of Windows.
	UILanguage string `mapstructure:"ui_language"`
	// Language of Windows where a text has no translation.
	UILanguageFallback string `mapstructure:"ui_language_fallback"`
	// Formats of dates, numbers and currency.
	UserLocale string `mapstructure:"user_locale"`
}

// OOBE chooses the pages of the first boot (pass oobeSystem).
type OOBE struct {
	// Hide the licence page.
	HideEULAPage config.Trilean `mapstructure:"hide_eula_page"`
	// Hide the page for the Administrator's password (Windows Server).
	HideLocalAccountScreen config.Trilean `mapstructure:"hide_local_account_screen"`
	// Hide the manufacturer's registration page.
	HideOEMRegistrationScreen config.Trilean `mapstructure:"hide_oem_registration_screen"`
	// Hide the pages for an online account.
	HideOnlineAccountScreens config.Trilean `mapstructure:"hide_online_account_screens"`
	// Hide the wireless page.
	HideWirelessSetupInOOBE config.Trilean `mapstructure:"hide_wireless_setup_in_oobe"`
	// `Home`, `Work` or `Other`. Windows 10 and later ignore it.
	NetworkLocation string `mapstructure:"network_location"`
	// Privacy defaults: `1` or `2` on, `3` off. Without it Windows asks.
	ProtectYourPC int `mapstructure:"protect_your_pc"`
}

// VMModeOptimizations is what the first boot of a machine leaves out that was
// generalized with vm_mode (pass oobeSystem).
type VMModeOptimizations struct {
	// Do not remove the Administrator's profile.
	SkipAdministratorProfileRemoval config.Trilean `mapstructure:"skip_administrator_profile_removal"`
	// Do not tell programs that the language has changed.
	SkipNotifyUILanguageChange config.Trilean `mapstructure:"skip_notify_ui_language_change"`
	// Do not set up the recovery environment.
	SkipWinREInitialization config.Trilean `mapstructure:"skip_winre_initialization"`
}

// LocalAccount is an account to create (pass oobeSystem).
type LocalAccount struct {
	// Required.
	Name string `mapstructure:"name"`
	// Sensitive.
	Password Secret `mapstructure:"password"`
	// Groups, separated by semicolons, in the language of Windows; for example
	// `Administrators`.
	Group string `mapstructure:"group"`
	// Name shown at logon.
	DisplayName string `mapstructure:"display_name"`
	// Comment on the account.
	Description string `mapstructure:"description"`
}

// AutoLogon is an automatic logon.
type AutoLogon struct {
	// Required.
	Username string `mapstructure:"username"`
	// Domain, or `.` for a local account.
	Domain string `mapstructure:"domain"`
	// Sensitive. Windows keeps it in the registry and never removes it there.
	Password Secret `mapstructure:"password"`
	// Defaults to `1`. Windows logs on once more than that.
	LogonCount int `mapstructure:"logon_count"`
}

// FirstLogonCommand is a command at the first logon (pass oobeSystem).
type FirstLogonCommand struct {
	// At most 1024 characters. Required.
	CommandLine string `mapstructure:"command_line"`
	// What the command is for.
	Description string `mapstructure:"description"`
	// Whether the command needs somebody at the keyboard.
	RequiresUserInput config.Trilean `mapstructure:"requires_user_input"`
}

// Audit holds settings of audit mode.
type Audit struct {
	// Password of the built-in Administrator (pass auditSystem). Sensitive.
	AdministratorPassword Secret `mapstructure:"administrator_password"`
	// Automatic logon (pass auditSystem).
	AutoLogon *AutoLogon `mapstructure:"auto_logon"`
	// Command in pass auditUser, run as the user. Repeat the block for more.
	RunSynchronous []RunSynchronous `mapstructure:"run_synchronous"`
	// Let the machine generalize itself at the end of pass auditUser.
	DeploymentGeneralize *DeploymentGeneralize `mapstructure:"deployment_generalize"`
}

// DeploymentGeneralize lets Windows Setup generalize the machine (pass
// auditUser). It is an alternative to sysprep's command line.
type DeploymentGeneralize struct {
	// Where the next boot goes: `oobe` or `audit`. Required.
	Mode string `mapstructure:"mode"`
	// Power off instead of restarting.
	ForceShutdownNow config.Trilean `mapstructure:"force_shutdown_now"`
}

// Reseal is where the machine goes after a pass.
type Reseal struct {
	// `auditSystem`, `auditUser` or `oobeSystem`. Required.
	Pass string `mapstructure:"pass"`
	// Where the next boot goes: `oobe` or `audit`. Required.
	Mode string `mapstructure:"mode"`
	// Power off instead of restarting.
	ForceShutdownNow config.Trilean `mapstructure:"force_shutdown_now"`
}

// ExtraComponent is any component, or any other setting of a known one.
type ExtraComponent struct {
	// The configuration pass. Required.
	Pass string `mapstructure:"pass"`
	// Name of the component, e.g. `Microsoft-Windows-Shell-Setup`. Required.
	Name string `mapstructure:"name"`
	// Values by path; the names of a path are joined by a backslash. Example:
	// `{ "Display\\ColorDepth" = "32" }`.
	Settings map[string]string `mapstructure:"settings"`
	// The XML inside `<component>`, for what a path cannot express. The prefix
	// `wcm` is declared.
	XML string `mapstructure:"xml"`
}
