package diagnosis

import (
	"fmt"
	"strings"
)

// homes are the components of settings that stand in a wrong place often
// (Microsoft's unattend reference, one page a component).
var homes = byName(map[string]string{
	"Microsoft-Windows-Deployment": "RunSynchronous RunAsynchronous Reseal Generalize ExtendOSPartition AuditComputerName",
	"Microsoft-Windows-Shell-Setup": "OOBE UserAccounts AutoLogon FirstLogonCommands LogonCommands ComputerName TimeZone RegisteredOwner RegisteredOrganization ProductKey CopyProfile " +
		"Display DisableAutoDaylightTimeSet ShowWindowsLive DesktopOptimization OEMInformation OEMName Themes FolderLocations BluetoothTaskbarIconEnabled StartPanelOff TaskbarLinks WindowsFeatures VisualEffects ConfigureChatAutoInstall",
	"Microsoft-Windows-International-Core":                        "InputLocale SystemLocale UILanguage UILanguageFallback UserLocale",
	"Microsoft-Windows-UnattendedJoin":                            "Identification",
	"Microsoft-Windows-Security-SPP":                              "SkipRearm",
	"Microsoft-Windows-Security-SPP-UX":                           "SkipAutoActivation",
	"Microsoft-Windows-PnpSysprep":                                "PersistAllDeviceInstalls DoNotCleanUpNonPresentDevices",
	"Microsoft-Windows-TerminalServices-LocalSessionManager":      "fDenyTSConnections",
	"Microsoft-Windows-TerminalServices-RDP-WinStationExtensions": "UserAuthentication SecurityLayer",
	"Networking-MPSSVC-Svc":                                       "FirewallGroups DomainProfile_EnableFirewall PrivateProfile_EnableFirewall PublicProfile_EnableFirewall",
	"Microsoft-Windows-LUA-Settings":                              "EnableLUA",
	"Microsoft-Windows-Setup":                                     "DiskConfiguration ImageInstall UserData DynamicUpdate ComplianceCheck WindowsDeploymentServices",
	"Microsoft-Windows-SecureStartup-FilterDriver":                "PreventDeviceEncryption",
	"Microsoft-Windows-ErrorReportingCore":                        "DisableWER",
	"Microsoft-Windows-SQMApi":                                    "CEIPEnabled",
	"Microsoft-Windows-PnpCustomizationsNonWinPE":                 "DriverPaths",
})

// parents are the settings below which others stand.
var parents = byName(map[string]string{
	"UserAccounts":   "LocalAccounts AdministratorPassword DomainAccounts",
	"OOBE":           "HideEULAPage HideOnlineAccountScreens HideWirelessSetupInOOBE HideLocalAccountScreen HideOEMRegistrationScreen ProtectYourPC SkipMachineOOBE SkipUserOOBE NetworkLocation VMModeOptimizations UnattendEnableRetailDemo",
	"Identification": "JoinDomain JoinWorkgroup Credentials MachinePassword MachineObjectOU UnsecureJoin",
	"Reseal":         "ForceShutdownNow",
})

// byName turns lists of names by what they belong to into what each belongs to.
func byName(lists map[string]string) map[string]string {
	all := map[string]string{}
	for owner, names := range lists {
		for _, name := range strings.Fields(names) {
			all[strings.ToLower(name)] = owner
		}
	}
	return all
}

// settingNames turns the path of a setting into the name that a person knows,
// and says where it belongs: {setting} and {move}.
func settingNames(groups map[string]string) map[string]string {
	path := strings.Trim(strings.TrimPrefix(groups["setting"], "/settings"), "/")
	names := strings.Split(path, "/")
	first := names[0]
	component := groups["component"]
	groups["move"] = fmt.Sprintf("Remove %s from %s, or move it to the component that has it: Microsoft's reference lists the settings of each.", path, component)
	if path != "" {
		groups["setting"] = path
	} else {
		groups["setting"] = "/settings"
	}
	home, parent := homes[strings.ToLower(first)], parents[strings.ToLower(first)]
	switch {
	case home != "" && !strings.EqualFold(home, component):
		groups["move"] = fmt.Sprintf("Move %s to %s.", first, home)
	case parent != "":
		groups["move"] = fmt.Sprintf("Move %s below %s of %s.", first, parent, homes[strings.ToLower(parent)])
	}
	if strings.Contains(groups["code"], ": ") {
		delete(groups, "why") // the code says it in plain words
	}
	return groups
}
