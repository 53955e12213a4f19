package diagnosis

// homes are the components of the settings that stand directly below one, where
// only one component has the name (Microsoft's unattend reference, one page a
// component). A test holds them against the table of internal/answerfile.
var homes = belongs{lists: map[string]string{
	"Microsoft-Windows-Deployment":           "AuditComputerName DeviceForm DuplicatorDescription ExtendOSPartition Generalize Reseal RunSynchronous RunAsynchronous",
	"Microsoft-Windows-DeviceGuard-Unattend": "EnableVirtualizationBasedSecurity HypervisorEnforcedCodeIntegrity LsaCfgFlags",
	"Microsoft-Windows-DNS-Client":           "DNSDomain DNSSuffixSearchOrder UseDomainNameDevolution",
	"Microsoft-Windows-ErrorReportingCore":   "DefaultConsent DisableWER",
	"Microsoft-Windows-IE-ESC":               "IEHardenAdmin IEHardenUser",
	"Microsoft-Windows-International-Core":   "InputLocale SystemLocale UILanguage UILanguageFallback UserLocale",
	"Microsoft-Windows-LUA-Settings":         "EnableLUA",
	"Microsoft-Windows-OutOfBoxExperience":   "DoNotOpenInitialConfigurationTasksAtLogon OemExtensionXmlFilePath",
	"Microsoft-Windows-PartitionManager":     "SanPolicy",
	"Microsoft-Windows-PnpSysprep":           "DoNotCleanUpNonPresentDevices PersistAllDeviceInstalls",
	"Microsoft-Windows-powercpl":             "PreferredPlan",
	"Microsoft-Windows-SecureStartup-FilterDriver": "BytesDecryptedInDiskRequestOverhead MaxCryptoRequestsPerIo MaxDecryptRequests MaxEncryptRequests PreventDeviceEncryption SlicedEncryptionInPlace " +
		"SlicedEncryptionMax SlicedEncryptionMinSize WriteIoAggregateMaxSize WriteIoAggregateMinSize WriteSubrequestLength",
	"Microsoft-Windows-Security-SPP":           "SkipRearm",
	"Microsoft-Windows-Security-SPP-UX":        "SkipAutoActivation",
	"Microsoft-Windows-ServerManager-SvrMgrNc": "DoNotOpenServerManagerAtLogon",
	"Microsoft-Windows-Setup": "ComplianceCheck Diagnostics DiskConfiguration DynamicUpdate EnableFirewall EnableNetwork ImageInstall LogPath PageFile Restart UpgradeData " +
		"UseConfigurationSet UserData WindowsDeploymentServices",
	"Microsoft-Windows-SharedAccess": "EnableICS ExternalAdapter InternalAdapter InternalIsBridge",
	"Microsoft-Windows-Shell-Setup": "AutoLogon BluetoothTaskbarIconEnabled ComputerName ConvertibleSlateModePromptPreference CopyProfile DesktopOptimization DisableAutoDaylightTimeSet " +
		"EnableStartMenu FirstLogonCommands FolderLocations LogonCommands NotificationArea OEMInformation OEMName OfflineUserAccounts OOBE ProductKey " +
		"StartTiles RegisteredOrganization RegisteredOwner ShowPowerButtonOnStartScreen SignInMode TaskbarLinks Themes TimeZone UserAccounts VisualEffects " +
		"WindowsFeatures Display ShowWindowsLive StartPanelOff ConfigureChatAutoInstall",
	"Microsoft-Windows-SQMApi":                                    "CEIPEnabled",
	"Microsoft-Windows-SystemRestore-Main":                        "DisableSR",
	"Microsoft-Windows-TCPIP":                                     "IcmpRedirectsEnabled",
	"Microsoft-Windows-TerminalServices-LocalSessionManager":      "fDenyTSConnections",
	"Microsoft-Windows-TerminalServices-RDP-WinStationExtensions": "SecurityLayer UserAuthentication",
	"Microsoft-Windows-TerminalServices-RemoteConnectionManager":  "LicensingMode",
	"Microsoft-Windows-TPM-Tasks":                                 "ClearTpm",
	"Microsoft-Windows-UnattendedJoin":                            "Identification OfflineIdentification",
	"Networking-MPSSVC-Svc": "DisableStatefulFTP DisableStatefulPPTP DomainProfile_DisableNotifications DomainProfile_EnableFirewall DomainProfile_LogDroppedPackets " +
		"DomainProfile_LogFile DomainProfile_LogFileSize DomainProfile_LogSuccessfulConnections FirewallGroups PrivateProfile_DisableNotifications " +
		"PrivateProfile_EnableFirewall PrivateProfile_LogDroppedPackets PrivateProfile_LogFile PrivateProfile_LogFileSize " +
		"PrivateProfile_LogSuccessfulConnections PublicProfile_DisableNotifications PublicProfile_EnableFirewall PublicProfile_LogDroppedPackets " +
		"PublicProfile_LogFile PublicProfile_LogFileSize PublicProfile_LogSuccessfulConnections",
	"Security-Malware-Windows-Defender": "DefinitionUpdateFileSharesSources DisableAntiSpyware EnableRemoteManagedDefaults FallbackOrder Scan SignatureUpdateInterval " +
		"ThreatSeverityDefaultAction TrustedImageIdentifier",
	"Microsoft-Windows-PnpCustomizationsNonWinPE": "DriverPaths",
	"Microsoft-Windows-IE-InternetExplorer":       "Home_Page DisableFirstRunWizard DisableAccelerators DisableOOBAccelerators BlockPopups",
}}

// parents are the settings below which others stand.
var parents = belongs{lists: map[string]string{
	"Reseal":              "ForceShutdownNow",
	"RunAsynchronous":     "RunAsynchronousCommand",
	"RunSynchronous":      "RunSynchronousCommand",
	"DesktopOptimization": "GoToDesktopOnSignIn ShowWindowsStoreAppsOnTaskbar",
	"Display":             "ColorDepth HorizontalResolution RefreshRate VerticalResolution",
	"FirstLogonCommands":  "SynchronousCommand",
	"FolderLocations":     "ProfilesDirectory ProgramData",
	"LogonCommands":       "AsynchronousCommand",
	"NotificationArea":    "PromotedIcon1 PromotedIcon2",
	"OEMInformation":      "HelpCustomized Model SupportAppURL SupportHours SupportPhone SupportURL",
	"OfflineUserAccounts": "OfflineAdministratorPassword OfflineDomainAccounts OfflineLocalAccounts",
	"OOBE": "HideEULAPage HideLocalAccountScreen HideOEMRegistrationScreen HideOnlineAccountScreens HideWirelessSetupInOOBE NetworkLocation OEMAppID ProtectYourPC " +
		"UnattendEnableRetailDemo VMModeOptimizations SkipMachineOOBE SkipUserOOBE",
	"StartTiles":      "RegionalOverrides WideTiles",
	"TaskbarLinks":    "Link0 Link1 Link2 Link3 Link4 Link5",
	"Themes":          "BrandIcon CustomDefaultThemeFile DesktopBackground ScreenSaver ThemeName UWPAppsUseLightTheme WindowColor",
	"UserAccounts":    "AdministratorPassword DomainAccounts LocalAccounts",
	"VisualEffects":   "FontSmoothing SystemDefaultBackgroundColor",
	"WindowsFeatures": "ShowInternetExplorer ShowMediaCenter ShowWindowsMediaPlayer",
	"Identification":  "Credentials DebugJoin DebugJoinOnlyOnThisError JoinDomain JoinWorkgroup MachineObjectOU MachinePassword TimeoutPeriodInMinutes UnsecureJoin",
}}

// longest are the limits of values that are often too long, in characters (the
// pages of the settings in Microsoft's unattend reference).
var longest = map[string]int{"commandline": 1024, "computername": 15, "path": 259, "timezone": 256, "registeredowner": 256, "registeredorganization": 256, "oemname": 256}
