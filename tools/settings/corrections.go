package main

// correction is what a line of the table says wrongly: what is not empty
// replaces it.
type correction struct {
	path, passes, values string
	// current: the reference deprecates only a part of what the line is about.
	current bool
}

const shell, deployment = "Microsoft-Windows-Shell-Setup", "Microsoft-Windows-Deployment"

// corrections are keyed by component, tab, path. Each is a misprint of the
// reference that its own example, or the page of the setting around, shows, or a
// word that was misread when the table was made.
var corrections = map[string]correction{
	// Titles with a letter too few; the examples on the pages have the name.
	"Microsoft-Windows-TCPIP\tInterfaces/Interface/Ipv6ettings":                          {path: "Interfaces/Interface/Ipv6Settings"},
	"Microsoft-Windows-Setup\tRunSynchronous/RunSynchronousCommand/Credentials/Pasword":  {path: "RunSynchronous/RunSynchronousCommand/Credentials/Password"},
	"Microsoft-Windows-Setup\tRunSynchronous/RunSynchronousCommand/Credentials/UserName": {path: "RunSynchronous/RunSynchronousCommand/Credentials/Username"},
	"Networking-MPSSVC-Svc\tPrivateProfile_DisableNotfications":                          {path: "PrivateProfile_DisableNotifications"},
	"Microsoft-Windows-Embedded-ShellLauncher\tUserSettings":                             {passes: "oobeSystem"},
	"Microsoft-Windows-Embedded-ShellLauncher\tUserSettings/User":                        {passes: "oobeSystem"},
	"Microsoft-Windows-Embedded-ShellLauncher\tUserSettings/User/CustomReturnCodeAction": {passes: "oobeSystem"},
	// No pass is named; their neighbours have specialize.
	"Microsoft-Windows-NetBT\tInterfaces/Interface/Identifier":     {passes: "specialize"},
	"Microsoft-Windows-NetBT\tInterfaces/Interface/NameServerList": {passes: "specialize"},
	"Microsoft-Windows-NetBT\tInterfaces/Interface/NetbiosOptions": {passes: "specialize"},
	// Copied from the component for other passes.
	"Microsoft-Windows-PnpCustomizationsWinPE\tDriverPaths/PathAndCredentials/Key": {passes: "windowsPE"},
	// One container in two spellings: the one of its other children.
	"Microsoft-Windows-NetworkLoadBalancing-Core\tClusters/Cluster/VirtualIPAddresses":           {path: "Clusters/Cluster/VirtualIpAddresses"},
	"Microsoft-Windows-NetworkLoadBalancing-Core\tClusters/Cluster/VirtualIpAddresses/IPAddress": {path: "Clusters/Cluster/VirtualIpAddresses/IpAddress"},
	"Microsoft-Windows-IE-InternetExplorer\tPreApprovedAddons/AddonGuidItem":                     {path: "PreapprovedAddons/AddonGuidItem"},
	"Microsoft-Windows-IE-InternetExplorer\tPreApprovedAddons/AddonGuidItem/AddonGuid":           {path: "PreapprovedAddons/AddonGuidItem/AddonGuid"},
	shell + "\tRegionalOverrides/RegionalOverride/SquareTiles/SquareTile12/FirstRunTask":         {path: "StartTiles/RegionalOverrides/RegionalOverride/SquareTiles/SquareTile12/FirstRunTask"},
	shell + "\tStartTilesRegionalOverrides/RegionalOverride/SquareTiles/SquareTile10/FirstRunTask": {
		path: "StartTiles/RegionalOverrides/RegionalOverride/SquareTiles/SquareTile10/FirstRunTask"},
	// Flags that are added.
	"Microsoft-Windows-Embedded-EmbeddedLogon\tBrandingNeutral": {values: "0-63"},
	// The deprecation is that of a child, or of some values.
	shell + "\tThemes":             {current: true},
	shell + "\tThemes/WindowColor": {current: true},
	"Microsoft-Windows-International-Core-WinPE\tSetupUILanguage": {current: true},
}

// lists are the items of lists by their names, with the child that tells them
// apart; without one it is the attribute wcm:keyValue, or nothing.
var lists = map[string]string{
	"RunSynchronousCommand": "Order", "RunAsynchronousCommand": "Order", "SynchronousCommand": "Order", "AsynchronousCommand": "Order",
	"CreatePartition": "Order", "ModifyPartition": "Order", "DataImage": "Order", "RegionalOverride": "Order",
	"LocalAccount": "Name", "DomainAccount": "Name", "DomainAccountList": "Domain", "OfflineDomainAccount": "SID",
	"Interface": "Identifier", "Route": "Identifier", "Disk": "DiskID", "MetaData": "Key", "Cache": "CacheID",
	"Scope": "ScopeKey", "FavoriteItem": "FavID", "FavoriteBarItem": "ItemKey", "FeedItem": "FeedKey", "Accelerator": "ItemKey",
	"QuickLinkItem": "QLID", "StartPage": "StartPageKey", "AddonGuidItem": "AddonGuid",
	"IpAddress": "Key", "IPAddress": "Key", "DomainName": "Key", "PathAndCredentials": "Key", "ValidCommunity": "Key", "Region": "Key",
	"FirewallGroup": "Key", "AssociationElement": "Key", "DeviceElement": "Key", "User": "Key", "Portrule": "Key", "Cluster": "",
	"TrapConfigurationItems": "", "ProtectedVolumeEntry": "DriveLetter", "CodeAction": "ReturnCode",
}
