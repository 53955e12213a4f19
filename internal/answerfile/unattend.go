//go:generate go tool packer-sdc mapstructure-to-hcl2 -type Unattend,LintOptions,DomainJoin,NetworkInterface,OEMInformation,RunSynchronous,Locale,OOBE,VMModeOptimizations,LocalAccount,AutoLogon,FirstLogonCommand,Audit,DeploymentGeneralize,Reseal,ExtraComponent
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
	// Time zone, a name of `tzutil /l` such as `W. Europe Standard Time`; not one
	// of IANA such as `Europe/Berlin`.
	TimeZone string `mapstructure:"time_zone"`
	// Owner shown by Windows.
	RegisteredOwner string `mapstructure:"registered_owner"`
	// Organization shown by Windows.
	RegisteredOrganization string `mapstructure:"registered_organization"`
	// Do not activate Windows automatically.
	SkipAutoActivation config.Trilean `mapstructure:"skip_auto_activation"`
	// Extend the system partition to the end of the disk.
	ExtendOSPartition config.Trilean `mapstructure:"extend_os_partition"`
	// Join a domain or a workgroup.
	DomainJoin *DomainJoin `mapstructure:"domain_join"`
	// Addresses of a network interface. Repeat the block for more.
	NetworkInterfaces []NetworkInterface `mapstructure:"network_interface"`
	// Who made the machine and who helps with it.
	OEMInformation *OEMInformation `mapstructure:"oem_information"`
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

	// Command at every logon of a user who has not logged on before; they all start
	// at once. Repeat the block for more.
	LogonCommands []FirstLogonCommand `mapstructure:"logon_command"`
	// Lines for `\Windows\Setup\Scripts\SetupComplete.cmd`, which Windows Setup
	// runs as SYSTEM when it is done, before the first logon. They run before what
	// stands in that script already. They are lines of a batch file: write `%%`
	// for a percent sign, and `call` before another batch file. The script stays
	// in the image. Windows does not run it with an OEM product key, except on
	// Enterprise editions and Windows Server.
	SetupComplete []string `mapstructure:"setup_complete"`

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
	// Groups, separated by semicolons: an English name such as `Administrators`,
	// which Windows knows in every language for its own groups, or their SID such
	// as `S-1-5-32-544`. Other groups have to be in the image.
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

// DomainJoin makes the machine a member of a domain or a workgroup (pass
// specialize).
type DomainJoin struct {
	// The domain to join. This, `workgroup` or `account_data` is required.
	Domain string `mapstructure:"domain"`
	// The workgroup to join, instead of a domain.
	Workgroup string `mapstructure:"workgroup"`
	// The organizational unit for the machine, for example
	// `OU=Servers,DC=example,DC=com`.
	MachineObjectOU string `mapstructure:"machine_object_ou"`
	// An account that may join machines to the domain. Use one that may do
	// nothing else: its password stays readable in the image.
	Username string `mapstructure:"username"`
	// Sensitive.
	Password Secret `mapstructure:"password"`
	// The domain of that account. Defaults to `domain`.
	UserDomain string `mapstructure:"user_domain"`
	// The account of a machine that is provisioned already, as `djoin.exe
	// /provision` writes it. It is for one machine. Sensitive.
	AccountData Secret `mapstructure:"account_data"`
	// Join without a secure channel, with the machine's password.
	UnsecureJoin config.Trilean `mapstructure:"unsecure_join"`
}

// NetworkInterface holds the addresses of an interface (pass specialize).
type NetworkInterface struct {
	// Name such as `Ethernet`, or MAC address such as `00-15-5D-01-02-03`.
	// Required.
	Identifier string `mapstructure:"identifier"`
	// Addresses with the length of their prefix, for example `192.0.2.10/24`.
	// With them DHCP is off for IPv4, unless `dhcp` says otherwise.
	Addresses []string `mapstructure:"addresses"`
	// Whether IPv4 addresses come by DHCP.
	DHCP config.Trilean `mapstructure:"dhcp"`
	// The default gateway.
	Gateway string `mapstructure:"gateway"`
	// Name servers, the first one first.
	DNSServers []string `mapstructure:"dns_servers"`
	// The DNS domain of this interface.
	DNSDomain string `mapstructure:"dns_domain"`
}

// OEMInformation is what Windows shows of its maker (pass specialize). Windows
// 10 and later show the name and addresses of the support only.
type OEMInformation struct {
	// At most 256 characters.
	Manufacturer string `mapstructure:"manufacturer"`
	// At most 256 characters.
	Model string `mapstructure:"model"`
	// Name of the support.
	SupportProvider string `mapstructure:"support_provider"`
	// Address of the support's page, at most 2083 characters.
	SupportURL string `mapstructure:"support_url"`
	// Address that opens the support's program.
	SupportAppURL string `mapstructure:"support_app_url"`
	// At most 256 characters.
	SupportPhone string `mapstructure:"support_phone"`
	// At most 256 characters.
	SupportHours string `mapstructure:"support_hours"`
}

// LintOptions choose what is said of the answer file.
type LintOptions struct {
	// How bad the findings of a rule are, by its id: `error` (the build does not
	// begin), `warning`, `note` (shown by the command `lint` only) or `off`. Example:
	// `{ "oobe-account" = "off" }`. The ids stand at the ends of the findings.
	Severities map[string]string `mapstructure:"severities"`
}
