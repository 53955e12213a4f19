package windows

// Keys of the hive SOFTWARE that say what Windows is made of, and of a user's hive below
// Software.
const (
	PackagesKey   = `Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages` // [servicing-packages]
	UninstallKey  = `Microsoft\Windows\CurrentVersion\Uninstall`                          // [installed-programs]
	WOW64Key      = `WOW6432Node`                                                         // [installed-programs-32]
	ProfilesKey   = `Microsoft\Windows NT\CurrentVersion\ProfileList`                     // [profiles]
	FrameworksKey = `Microsoft\NET Framework Setup\NDP`                                   // [dotnet-framework]
	AppsKey       = `Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore`              // [apps-of-all-users]
	RolesKey      = `Microsoft\ServerManager\ServicingStorage\ServerComponentCache`       // [server-roles]
)

// RollupPackage begins the name of the package of a cumulative update.
const RollupPackage = "Package_for_RollupFix" // [rollup-without-kb]

// DriverPackagesKey is in the hive SYSTEM, and in the hive DRIVERS beside it.
const DriverPackagesKey = `DriverDatabase\DriverPackages` // [driver-database]

// DriverStore has a folder for each package of a driver.
const DriverStore Path = `\System32\DriverStore\FileRepository` // [driver-store]

// ModuleFolders are where PowerShell modules for all users lie.
var ModuleFolders = []string{
	`\Program Files\WindowsPowerShell\Modules`,         // [powershell-modules]
	`\Program Files (x86)\WindowsPowerShell\Modules`,   // [powershell-modules]
	`\Windows\System32\WindowsPowerShell\v1.0\Modules`, // [powershell-modules]
	`\Program Files\PowerShell\Modules`,                // [powershell-modules]
	`\Program Files\PowerShell\7\Modules`,              // [powershell-modules]
}

// RuntimeFolders have a folder for each runtime of .NET, with one for each version.
var RuntimeFolders = []string{
	`\Program Files\dotnet\shared`,       // [dotnet-runtimes]
	`\Program Files (x86)\dotnet\shared`, // [dotnet-runtimes]
}

// PackageState is a value of CurrentState of a package of servicing.
type PackageState struct {
	Name string
	// Present: what is in the package is in use.
	Present bool
}

// PackageStates are all that have a name.
var PackageStates = map[uint32]PackageState{
	0x00: {"absent", false},             // [servicing-states]
	0x05: {"uninstall pending", true},   // [servicing-states]
	0x10: {"resolving", false},          // [servicing-states]
	0x20: {"resolved", false},           // [servicing-states]
	0x30: {"staging", false},            // [servicing-states]
	0x40: {"staged", false},             // [servicing-states]
	0x50: {"superseded", false},         // [servicing-states]
	0x60: {"install pending", true},     // [servicing-states]
	0x65: {"partially installed", true}, // [servicing-states]
	0x70: {"installed", true},           // [servicing-states]
	0x80: {"permanent", true},           // [servicing-states]
}

// Kinds of a service, as bits of its Type, and the start of one that starts by itself.
const (
	DriverTypes    = 0x1 | 0x2   // [service-types] of the kernel and of file systems
	ProcessTypes   = 0x10 | 0x20 // [service-types] with a process of its own, or a shared one
	StartAutomatic = 2           // [service-types]
)
