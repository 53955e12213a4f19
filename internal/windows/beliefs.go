package windows

// Standing says how well a belief is supported.
type Standing string

// Standings, the best first.
const (
	Documented Standing = "documented" // Microsoft, or the standard, says so
	Seen       Standing = "seen"       // in a public artefact that a real Windows made
	Reported   Standing = "reported"   // by somebody who looked at a real Windows
	Unproven   Standing = "unproven"   // no source was found
)

// Standings are all of them, the best first.
var Standings = []Standing{Documented, Seen, Reported, Unproven}

// Belief is one thing that we take for true of Windows.
type Belief struct {
	ID        string
	Statement string
	// Source is where to read it: addresses, each with a word on what is there.
	Source   string
	Standing Standing
}

// Pages and artefacts that several beliefs rest on.
const (
	states     = "https://learn.microsoft.com/windows-hardware/manufacture/desktop/windows-setup-states"
	process    = "https://learn.microsoft.com/windows-hardware/manufacture/desktop/sysprep-process-overview"
	overview   = "https://learn.microsoft.com/windows-hardware/manufacture/desktop/sysprep--system-preparation--overview"
	options    = "https://learn.microsoft.com/windows-hardware/manufacture/desktop/sysprep-command-line-options"
	automation = "https://learn.microsoft.com/windows-hardware/manufacture/desktop/windows-setup-automation-overview"
	setupLogs  = "https://learn.microsoft.com/windows-hardware/manufacture/desktop/deployment-troubleshooting-and-log-files"
	appxEvents = "https://learn.microsoft.com/windows/win32/appxpkg/troubleshooting"
	unattend   = "https://learn.microsoft.com/windows-hardware/customize/desktop/unattend/"
	active     = unattend + "microsoft-windows-setup-diskconfiguration-disk-modifypartitions-modifypartition-active"
	generation = "https://learn.microsoft.com/windows-server/virtualization/hyper-v/plan/should-i-create-a-generation-1-or-2-virtual-machine-in-hyper-v"
	hives      = "SYSTEM hives of machines in use: https://github.com/mkorman90/regipy/tree/f315415864889c3ee2a03d8a9e5c52486dcb631b/regipy_tests/data"
	firstBoot  = "log of a first boot of Server 2012 R2: https://github.com/cralborn/cyberforce/blob/20a5159bfc7921b1dc117629b2b924a9242d25cb/Panther/setupact.log"
	polled     = "ImageState polled in a build: https://github.com/hashicorp/packer/pull/5385"
	gce        = "https://github.com/GoogleCloudPlatform/compute-image-windows/tree/master/sysprep"
	playground = "https://github.com/rgl/windows-sysprep-playground"

	// unrecorded marks a report that was read in public, and that nobody can be
	// sent to.
	unrecorded = "address not recorded"
	offline    = "a generalized Server 2019 read offline before its first boot, and a refused Server 2022 beside it: https://github.com/ConvoyPanel/cofoundry/blob/f9a5700515b8b827d5a882b5d97f8e5c1f6d1967/docs/windows.md"
)

// Beliefs is the ledger, by subject. docs/windows.md is generated from it.
var Beliefs = []Belief{
	{"image-state", `ImageState below SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State is how Windows Setup says what the installation is; other values than the six of the page are not known`, states, Documented},
	{"state-ini", `State.ini in \Windows\Setup\State has the same value, with and without quotation marks`, states + "; without: https://github.com/cralborn/cyberforce/blob/20a5159bfc7921b1dc117629b2b924a9242d25cb/Panther/Setup/State/State.ini", Seen},
	{"state-complete", "IMAGE_STATE_COMPLETE: specialize and oobeSystem are over. A sysprep that validation refused leaves it, and a disk in it is not generalized", states + "; after a refusal: https://github.com/microsoft/winget-cli/issues/5599", Documented},
	{"state-undeployable", "IMAGE_STATE_UNDEPLOYABLE: a phase has begun and not ended. In a guest Setup or sysprep may still be at work; where neither runs, and on a disk, the installation is broken for good", states + "; " + polled, Documented},
	{"state-generalize", "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE and ..._TO_AUDIT: generalize is complete, and the next boot goes to OOBE, or to audit mode. sysprep /generalize /oobe, or /audit, leaves it", states + "; " + polled, Documented},
	{"state-specialize", "IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE: specialize is complete and OOBE is not. The first boot is in between, or sysprep /oobe ran without /generalize; sysprep does not start from it", states + "; builds that stay in it: https://github.com/hashicorp/packer/issues/9818", Documented},
	{"state-audit", "IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT: the installation is in audit mode, in which Microsoft makes images. sysprep starts from it, in the guest and so from a source disk", states + "; " + overview, Documented},
	{"generalization-state", `GeneralizationState below SYSTEM\Setup\Status\SysprepStatus is how far sysprep has come. Microsoft does not document its values`, hives, Seen},
	{"generalization-3", "GeneralizationState 3: generalize has begun and not ended: it is still at work, or failed midway", "clones of an image that was not generalized stay there: https://github.com/ConvoyPanel/cofoundry/blob/09d50dea655a692d77e21e6a52cad1a869a8d35d/recipes/_shared/post/assert-generalized.sh", Reported},
	{"generalization-4", "GeneralizationState 4: generalize has succeeded, and specialize has not ended", offline, Reported},
	{"generalization-7", "GeneralizationState 7: a Windows in use, or newly installed; it is not a sign of success", hives, Seen},
	{"cleanup-state", "CleanupState is 2 on Windows 7 and 8.1 and absent on Windows 10; it proves nothing, and is only reported", hives, Seen},
	{"setup-type", `SetupType of SYSTEM\Setup is 0 on a Windows in use, and 2 where the next boot has to run CmdLine`, hives + "; 2: " + offline, Reported},
	{"setup-command", `CmdLine of SYSTEM\Setup is empty on a Windows in use, and oobe\windeploy.exe on a generalized one`, hives + "; windeploy: " + offline, Reported},
	{"setup-wrappers", "Cloud agents replace CmdLine with a wrapper that has windeploy in its name and runs the program", gce + " (windeploy.cmd)", Seen},
	{"audit-armed", "An image for audit mode runs something at its next boot: SetupType is not 0, or CmdLine not empty. What exactly is not known", "none found", Unproven},
	{"audit-boot", `AuditBoot of SYSTEM\Setup\Status is 0 or absent where the next boot goes to OOBE`, hives, Seen},
	{"child-completion", `setup.exe below SYSTEM\Setup\Status\ChildCompletion is 3 on a Windows in use; it is only reported`, hives, Seen},
	{"in-progress", "SystemSetupInProgress and OOBEInProgress are 0 on a Windows in use. After generalize OOBEInProgress may be 1, so neither counts against an image", hives + "; 1: " + offline, Reported},
	{"volatile-hardware", `Windows makes everything below HKEY_LOCAL_MACHINE\HARDWARE anew at each start. A value that is written there is gone after a restart; where it cannot be written, nothing is concluded from that`, "https://learn.microsoft.com/previous-versions/dotnet/netframework-1.1/8xfdyy6f(v=vs.71) (Hardware)", Documented},
	{"upgraded", `Only an in-place upgrade leaves keys SYSTEM\Setup\Source OS (...); sysprep supports upgraded installations from Windows 10 1607 on`, overview + "; the keys: " + hives, Seen},
	{"sysprep-mode", `/mode:vm leaves SysprepMode below SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\Sysprep, and a run without it deletes the value. What is in it is not known`, "the log deletes it: https://github.com/GoogleCloudPlatform/compute-image-windows/issues/156", Reported},

	{"sysprep-folder", `sysprep.exe is in \Windows\System32\Sysprep and must be run from there`, process, Documented},
	{"one-instance", "Only one sysprep.exe can run at a time, and the window that audit mode opens at each logon counts", process, Documented},
	{"not-as-system", "Microsoft does not support sysprep as SYSTEM; from build 26100 on (Windows 11 24H2, Server 2025) the image shows a black screen after OOBE", overview + "; https://github.com/MicrosoftDocs/SupportArticles-docs (windows-client/setup-upgrade-and-drivers/sysprep-as-system-windows-11.md)", Documented},
	{"tag", `sysprep deletes Sysprep_succeeded.tag in its folder when it starts, and creates it again when it has succeeded. Whether it does so without /generalize is not known; an installation medium may ship one`, "the lines FCreateTagFile of a log: https://github.com/The-Virtual-Desktop-Team/Windows-Desktop-Optimization-Tool/issues/18; who waits for it: " + gce + ", " + playground, Seen},
	{"sysprep-logs", `sysprep logs in \Windows\System32\Sysprep\Panther, below its own folder because generalize deletes other logs; runs may follow each other in one file`, process, Documented},
	{"setup-logs", `Windows Setup logs in \Windows\Panther, in specialize too`, setupLogs, Documented},
	{"oobe-logs", `OOBE logs in \Windows\Panther\UnattendGC`, setupLogs, Documented},
	{"log-options", "The log of a run names each option that sysprep understood, in capital letters", "the lines ParseCommands of a log: https://github.com/The-Virtual-Desktop-Team/Windows-Desktop-Optimization-Tool/issues/18", Seen},
	{"servicing-logs", `Servicing logs in \Windows\Logs\CBS\CBS.log, and DISM in \Windows\Logs\DISM\dism.log`, setupLogs, Documented},
	{"app-events", `Deployment of app packages writes to the event log Microsoft-Windows-AppXDeploymentServer/Operational`, appxEvents, Documented},
	{"log-names", "Each of these folders has setupact.log (everything), setuperr.log (its errors), diagerr.xml and diagwrn.xml", setupLogs, Documented},
	{"setup-complete", `Windows Setup runs \Windows\Setup\Scripts\SetupComplete.cmd as SYSTEM at its end, unless an OEM product key was used (Enterprise and Server run it all the same)`, "https://learn.microsoft.com/windows-hardware/manufacture/desktop/add-a-custom-script-to-windows-setup", Documented},
	{"tasks", `A scheduled task is a file of its name in \Windows\System32\Tasks`, "who watches it for intruders: https://github.com/SigmaHQ/sigma/blob/master/rules/windows/file/file_event/file_event_win_susp_task_write.yml", Reported},
	{"hives", `The hives SYSTEM and SOFTWARE are files in \Windows\System32\config, and a volume that has both is an installation`, "https://learn.microsoft.com/windows/win32/sysinfo/registry-hives", Documented},
	{"build-number", `CurrentBuildNumber below SOFTWARE\Microsoft\Windows NT\CurrentVersion is the build, 20348 for Server 2022`, "SOFTWARE of a machine in use, test_data/SOFTWARE of plaso: https://github.com/log2timeline/plaso/tree/main/test_data", Seen},
	{"time-zone", "ActiveTimeBias is what has to be added to local time for UTC, in minutes, as a signed number", "what a bias is: https://learn.microsoft.com/windows/win32/api/timezoneapi/ns-timezoneapi-time_zone_information; the value: " + hives, Seen},
	{"driver-start", "Start of a service is 0 where Windows loads the driver before it has its disk, and 4 where it never does", "https://learn.microsoft.com/windows-hardware/drivers/install/specifying-driver-load-order", Documented},
	{"drivers-in-box", "Windows is shipped with drivers for IDE (atapi, intelide), AHCI (storahci, on Windows 7 msahci), NVMe (stornvme), Hyper-V (storvsc, netvsc) and Intel's network cards (E1G60 on Windows 7, e1iexpress on Windows 10); a service of that name is the driver", hives, Seen},
	{"filters-in-box", "PartMgr, EhStorClass, volsnap, fvevol, rdyboost and iorate are filters of Windows itself in the classes DiskDrive and Volume", hives, Seen},
	{"storage-classes", "DiskDrive, Volume, SCSIAdapter, HDC and System are the setup classes of disks, volumes, controllers and buses; UpperFilters and LowerFilters of a class name drivers for each of its devices", "https://learn.microsoft.com/windows-hardware/drivers/install/system-defined-device-setup-classes-available-to-vendors; https://learn.microsoft.com/windows-hardware/drivers/install/installing-a-filter-driver", Documented},
	{"drivers-virtio", "The drivers for virtio are the services viostor, vioscsi and netkvm, and Windows is not shipped with them", "https://github.com/virtio-win/kvm-guest-drivers-windows", Documented},
	{"drivers-elsewhere", "VMware, Xen, Amazon and Google bring drivers of their own, with the service names in the table", "https://github.com/vmware/ansible-vsphere-gos-validation (windows/utils/win_get_driver_installer.yml); https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/xen-drivers-overview.html; https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/aws-nvme-drivers.html; " + gce + " (instance_setup.ps1); ena is only known to be where its events come from: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshoot-ena-driver.html", Reported},
	{"autologon", "Winlogon logs on by itself where AutoAdminLogon is 1, with the password in DefaultPassword as clear text, and Windows never removes that", "https://learn.microsoft.com/troubleshoot/windows-server/user-profiles-and-logon/turn-on-automatic-logon", Documented},
	{"skip-rearm", "SkipRearm = 1 keeps generalize from resetting the licensing, for all images that follow", unattend + "microsoft-windows-security-spp-skiprearm", Documented},

	{"answer-files", `After generalize Windows looks for an answer file in this order: UnattendFile of SYSTEM\Setup, \Windows\Panther\Unattend, the cache, removable drives, \Windows\System32\Sysprep, the root of the system drive. Of a file with other passes those are used that no earlier file has`, automation, Documented},
	{"oobe-pages", "OOBE waits for a person at region and keyboard, licence terms and an account (on Windows Server the password of the Administrator), on a Windows client also at privacy, unless pass oobeSystem answers the page. SkipMachineOOBE is deprecated and leaves all of them out", "https://learn.microsoft.com/windows-hardware/customize/desktop/automate-oobe; " + unattend + "microsoft-windows-shell-setup-oobe; SkipMachineOOBE: https://learn.microsoft.com/previous-versions/windows/it-pro/windows-vista/cc765947(v=ws.10)", Documented},
	{"answer-files-media", "On removable drives Windows reads Unattend.xml or Autounattend.xml. Whether it reads the latter after generalize is disputed", automation + "; it does not: https://github.com/kubevirt/user-guide (docs/user_workloads/startup_scripts.md)", Documented},
	{"cached-answer-file", `The answer file that sysprep is given is copied to \Windows\Panther\unattend.xml, where Windows takes each pass from it, and stays there with the secrets of the passes that have not run`, automation, Documented},

	{"answer-file-copies", `Copies of an answer file stay in \Windows\Panther and its folders, in \$WINDOWS.~BT\Sources\Panther and in \Windows.old of an upgrade; Windows 11 24H2 leaves unattend-original.xml, with its passwords`, "https://github.com/cschneegans/unattend-generator/issues/293; a file of a real machine beside it: https://github.com/cschneegans/unattend-generator/issues/28", Reported},
	{"configuration-sets", `With UseConfigurationSet Windows Setup copies the configuration set, which holds an answer file, to \Windows\ConfigSetRoot`, unattend + "microsoft-windows-setup-useconfigurationset", Reported},
	{"recovery-folders", `Resetting a PC takes an answer file from \Recovery\AutoApply and runs scripts from \Recovery\OEM, of the system drive or of the recovery partition`, "https://learn.microsoft.com/windows-hardware/manufacture/desktop/deploy-push-button-reset-features", Reported},
	{"powershell-history", `PSReadLine writes every line that is typed into ConsoleHost_history.txt, below AppData\Roaming\Microsoft\Windows\PowerShell\PSReadLine of the account`, "https://learn.microsoft.com/powershell/module/psreadline/about/about_psreadline (command history)", Documented},
	{"powershell-transcripts", "Start-Transcript, and the policy that turns transcription on, write PowerShell_transcript.COMPUTER.RANDOM.TIME.txt into the folder Documents of the account", "https://learn.microsoft.com/powershell/module/microsoft.powershell.host/start-transcript; https://learn.microsoft.com/powershell/module/microsoft.powershell.core/about/about_group_policy_settings", Documented},
	{"powershell-transcript-days", "Where the policy names a folder, transcripts are in a folder of the day below it; a folder that is no full path is below Documents. So says the source of PowerShell 7, which Windows PowerShell 5.1 is taken to follow", "https://github.com/PowerShell/PowerShell (PSHostUserInterface.GetTranscriptPath)", Reported},
	{"user-data", `User data of a cloud, and the configuration of its agents, stay in files: user_data of a configuration drive, the folders of cloudbase-init, EC2Launch and EC2Config, UserScript.ps1, \AzureData\CustomData.bin`, "https://cloudbase-init.readthedocs.io/en/latest/services.html; https://docs.aws.amazon.com/AWSEC2/latest/WindowsGuide/user-data.html; https://learn.microsoft.com/azure/virtual-machines/custom-data", Documented},
	{"lsa-default-password", "The password of the automatic logon may stand as the LSA secret DefaultPassword instead of in the clear. That the secret is there does not say that it is used", "https://learn.microsoft.com/windows/win32/secauthn/protecting-the-automatic-logon-password; below Policy\\Secrets: SECURITY of a machine in use, regipy_tests/data of https://github.com/mkorman90/regipy", Documented},

	{"servicing-packages", `Each package that servicing knows is a key below Component Based Servicing\Packages, by its whole name: name~token~processor~language~version`, "https://learn.microsoft.com/archive/blogs/tip_of_the_day/tip-of-the-day-cbs-servicing-states-chart-refresher; 1034 of them in SOFTWARE of a Windows 7: https://github.com/log2timeline/plaso/tree/main/test_data", Seen},
	{"servicing-states", "CurrentState of a package is one of eleven numbers with names; 0x70 is installed, 0x50 superseded and 0x40 staged", "https://learn.microsoft.com/archive/blogs/tip_of_the_day/tip-of-the-day-cbs-servicing-states-chart-refresher", Documented},
	{"rollup-without-kb", "The package of a cumulative update is Package_for_RollupFix, without the number of its KB: of Windows 10 and later, and of 7 and 8.1 since 2016. Which one it is only the revision of the build says", "logs of servicing: https://github.com/abbodi1406/BatUtil/issues/18 and https://github.com/jeffkl/ManagedDism/issues/21", Seen},
	{"installed-programs", "Installers write a key below Uninstall, with DisplayName, DisplayVersion and Publisher. Without DisplayName Windows does not list it, nor where SystemComponent is 1; ParentKeyName names what it is an update of", "https://learn.microsoft.com/windows/win32/msi/uninstall-registry-key; the rest: SOFTWARE of a Windows 7, https://github.com/log2timeline/plaso/tree/main/test_data", Seen},
	{"installed-programs-32", "32-bit installers on a 64-bit Windows write below WOW6432Node", "https://learn.microsoft.com/windows/win32/winprog64/shared-registry-keys", Documented},
	{"profiles", "ProfileList names the folder of each profile, with NTUSER.DAT in it; new users get a copy of Default. The hive DEFAULT is that of LocalSystem", "https://learn.microsoft.com/windows/win32/sysinfo/registry-hives", Documented},
	{"dotnet-framework", "Each version of .NET Framework has a key below NDP, with Version, Install and, since 4.5, Release", "https://learn.microsoft.com/dotnet/framework/install/how-to-determine-which-versions-are-installed", Documented},
	{"dotnet-runtimes", `The runtimes of .NET are folders of versions below \Program Files\dotnet\shared`, "https://learn.microsoft.com/dotnet/core/install/how-to-detect-installed-versions", Documented},
	{"apps-of-all-users", "AppxAllUserStore names the packages of apps for all users below Applications and InboxApplications by their full names, and below Staged by family and full name", "Applications: https://github.com/PSAppDeployToolkit/PSAppDeployToolkit (AppxUtilities.cs); InboxApplications: https://github.com/DrEmpiricism/Optimize-Offline (Src/Public/Get-SystemPackages.ps1); the names below Staged: programs that read them (" + unrecorded + ")", Reported},
	{"server-roles", "ServerComponentCache has a key for each role and feature of a server, with InstallState 0 where it is not installed", "for RDS-RD-Server: https://github.com/MicrosoftDocs/SupportArticles-docs (support/azure/virtual-machines/windows/troubleshoot-rdp-no-license-server.md)", Reported},
	{"driver-database", "DriverDatabase names driver packages; the value Version has the class at 8, the date as a FILETIME at 24 and the version at 32, its last part first. The hive DRIVERS is taken to be alike", hives + " (SYSTEM_B)", Seen},
	{"driver-store", "Each driver package has a folder in the driver store: stornvme.inf_amd64_822f29bfb80b20e8", "https://sourcedaddy.com/windows-7/driver-store-and-driver-packaging.html", Reported},
	{"powershell-modules", "PowerShell finds modules for all users in five folders, each module in one of its name, with folders of versions or without", "https://learn.microsoft.com/powershell/module/microsoft.powershell.core/about/about_psmodulepath", Documented},
	{"service-types", "Type of a service is 1 or 2 for a driver, and has 0x10 or 0x20 for a program; Start 2 is a service that starts by itself", "https://learn.microsoft.com/windows/win32/api/winsvc/ns-winsvc-query_service_configw", Documented},

	{"firmware-bios", "BIOS starts a disk with an MBR, from the active partition, which must be a primary one. Without an active partition the disk is still one for BIOS, and does not start", active + "; " + generation, Documented},
	{"boot-signers", "bootmgfw.efi is signed by Microsoft Windows Production PCA 2011 or by Windows UEFI CA 2023. With Secure Boot, firmware starts it where it knows that authority; Debian 12's OVMF has only the first", "https://support.microsoft.com/topic/windows-secure-boot-certificate-expiration-and-ca-updates-7ff40d33-95dc-4c3c-8725-a9b95457578e; the variables of the Debian package ovmf 2022.11 (OVMF_VARS_4M.ms.fd)", Documented},
	{"firmware-uefi", "UEFI starts a disk with a GPT, from the EFI system partition, and ignores the active flag. Without that partition the disk is still one for UEFI, and does not start", active + "; " + generation, Documented},
	{"firmware-none", "A disk without a partition table starts no Windows", generation, Documented},
}
