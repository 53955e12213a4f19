package diagnosis

import "github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"

// smiSource is how the line begins that names the component of an answer file.
// The patterns are held against records in their usual order (refusal.canonical).
const smiSource = `SMI data results dump: Source = Name: (?P<component>[^,]+),[^/]*`

// afterAnswerFile is what to do once the answer file is right.
const afterAnswerFile = "Setup refuses the whole file for one setting. Check it with packer-plugin-sysprep lint, then generalize a fresh copy of the source with it and deploy that: a machine that failed here does not recover."

// freshCopy is what to do once what the answer file names is right.
const freshCopy = "Then generalize a fresh copy of the source with the corrected file and deploy that: a machine that failed here does not recover."

const windowsCouldNot = `see the lines in %WINDIR%` + string(windows.SetupLogs) + `\` + windows.ErrLog + " of the booted image"

var answerFileCauses = []cause{
	{id: "F66", name: "RUNSYNCHRONOUS_PATH_TOO_LONG", phase: PhaseFirstBoot, pattern: `SMI data results dump: Source = [^/]*(?P<setting>/settings/\S*RunSynchronousCommand/?\[Order="(?P<order>\d+)"\]/Path)(?: .*hrResult = (?:0x80220005|0x8030000b)$| SMI data results dump: Description = Value is invalid|$)`, title: "the Path of RunSynchronousCommand {order} in the answer file is invalid, most likely longer than 259 characters (pass {pass})",
		remedy: []string{"Shorten the Path to 259 characters or put the command into a script file.", afterAnswerFile}, source: docRunSync},
	{id: "F92", name: "UNATTEND_SETTING_UNKNOWN", phase: PhaseFirstBoot, pattern: smiSource + `/settings/(?P<setting>\S+)(?: .*hrResult = (?P<code>0x80220001|0x8030000c)$| SMI data results dump: Description = Setting is not defined in this component)`, title: "{setting} is not a setting of {component} ({code}), so the answer file was refused (pass {pass})",
		remedy: []string{"{move}", afterAnswerFile}, source: docUnattend},
	{id: "F93", name: "UNATTEND_VALUE_INVALID", phase: PhaseFirstBoot, pattern: smiSource + `/settings/(?P<setting>\S+)(?: .*hrResult = (?P<code>0x80220005)$| SMI data results dump: Description = Value is invalid)`, title: "the value of {setting} of {component} in the answer file is not valid ({code}) (pass {pass})",
		remedy: []string{"Correct that value{limit}: its page in Microsoft's reference names the values and the longest text it may have.", afterAnswerFile}, source: docUnattend},
	{id: "F112", name: "UNATTEND_MISSING", phase: PhaseFirstBoot, pattern: `The provided unattend file is not valid; hrResult = (?P<code>0x8007000[23])$`, title: "the answer file was not there when it was read ({code})", unconfirmed: true,
		remedy: []string{"Look for what removed the file or its folder between the upload and the start: a clean-up of temporary folders, a script, an antivirus. Then run the build again.", `Where the file is given by a path in the guest, check that path: without blanks, on a drive that sysprep's account sees.`}, source: "https://learn.microsoft.com/en-us/windows/win32/debug/system-error-codes--0-499-"},
	{id: "F60", name: "UNATTEND_SCHEMA", phase: PhaseFirstBoot, pattern: smiSource + `(?P<setting>/settings\S*)?.*?Description = (?P<why>.+?)(?: (?:The provided unattend file is not valid; )?hrResult = (?P<code>0x[0-9a-f]{8}))?$|` + smiSource + `(?P<setting2>/settings\S*)(?: The provided unattend file is not valid; hrResult = (?P<code3>0x[0-9a-f]{8}))?$|The provided unattend file is not valid; hrResult = (?P<code2>0x[0-9a-f]{8})|The same namespace should not appear twice in a single settings section|SMI data results dump: Description = (?P<why2>.+)`, title: "the answer file is not valid ({code}) ({component}) ({setting}) ({why}) (pass {pass})",
		remedy: []string{"Correct the file: no component or setting twice in one pass, only settings that the component has and the pass allows, values in range.", "packer-plugin-sysprep lint <file> finds most of these."}, source: docUnattend},
	{id: "F105", name: "UNATTEND_PASSWORD_ENCODING", phase: PhaseFirstBoot, warns: true, pattern: `Failed to decode password \((?P<code>0x[0-9a-f]+)\)`, title: "a password in the answer file cannot be decoded ({code}): PlainText is false, and its Value is not what Windows expects",
		remedy: []string{"Write the password with <PlainText>true</PlainText>, or encode it as Windows does: the password and the name of its element (Password, AdministratorPassword) as one text in UTF-16LE, in base64. Spaces and line breaks around Value count.", freshCopy}, source: "http://www.jc-tech.info/2016/10/31/unattended-windows-setup-may-fail-due-to-wrongly-encoded-password/"},
	{id: "F61", name: "UNATTEND_ORDER", phase: PhaseFirstBoot, weak: `(?P<code>0x8030000[bc])|could not parse or process (?:the )?unattend(?:ed)? answer file(?: \[[^\]]*\])? for pass \[(?P<pass3>\w+)\]|` + refusedInWords, title: "Setup refused the answer file ({code}) (pass {pass}): {because}",
		remedy: []string{"{look}", "Keep the schema's order of elements, e.g. Domain, Password, Username in Credentials."}, source: docUnattend},
	{id: "F62", name: "UNATTEND_LOAD_ERROR", phase: PhaseFirstBoot, pattern: `internal error occurred while loading or searching for an unattend answer file|0x800705b9`, title: "Setup could not load the answer file: malformed XML, or a registry pointer to a deleted file",
		remedy: []string{"Check that the file is well-formed (no -- inside comments).", `Remove HKLM\SYSTEM\Setup\UnattendFile where it points to a missing file.`}, source: docSearchOrder},
	{id: "F111", name: "UNATTEND_MALFORMED", phase: PhaseFirstBoot, pattern: `answer file.*\bdetected (?:at|in|on) line \[?(?P<line>\d+)\]?,? (?:and )?column \[?(?P<column>\d+)`, title: "the answer file is malformed at line {line}, column {column} (pass {pass})", unconfirmed: true,
		remedy: []string{"Look at that line and the one before it: an element that is not closed or stands in the wrong place, -- inside a comment, an & that is not &amp;. packer-plugin-sysprep lint <file> names it.", freshCopy}, source: github + "rcmaehl/LocalUser.App/issues/8"},
	{id: "F63", name: "UNATTEND_CACHED_USED", phase: PhaseSilent, by: byPreflight, title: `the build's own answer file in C:\Windows\Panther\unattend.xml is used again`,
		remedy: []string{`Set answer_file, or delete C:\Windows\Panther\unattend.xml and eject the media before sysprep.`}, source: docSearchOrder},
	{id: "F94", name: "UNATTEND_NOT_APPLICABLE", phase: PhaseFirstBoot, anyLevel: true, pattern: `\[(?P<file>[^\]]+)\] does not meet criteria to be used for this unattend pass`, title: "an answer file was found ([{file}]) and skipped: it has no settings for the pass that runs",
		remedy: []string{"Give {file} settings for that pass (windowsPE while Windows is installed from media; specialize and oobeSystem at the first boot of an image)."}, source: docSearchOrder},
	{id: "F64", name: "UNATTEND_NOT_FOUND", phase: PhaseFirstBoot, pattern: `No unattend file was present, skipping unattend settings passes|\[windeploy\.exe\] Found no unattend file`, anyLevel: true, generic: true, title: "Setup found no answer file: the machine waits at its first screens",
		remedy: []string{`Set answer_file; on removable media the file must be named Unattend.xml.`}, source: docSearchOrder},
	{id: "F65", name: "UNATTEND_PASS_ALREADY_PROCESSED", phase: PhaseFirstBoot, pattern: `Found already-processed unattend file for pass(?: \[(?P<pass>\w+)\])?`, anyLevel: true, title: "Setup skipped an answer file that it had processed before (pass {pass})",
		remedy: []string{"Use a fresh answer file, not the annotated copy from Panther."}, source: docSearchOrder},
}

var configurationCauses = []cause{
	{id: "F70", name: "DOMAIN_JOINED", phase: PhaseSilent, by: byPreflight, title: "the machine is joined to a domain; sysprep removes it from the domain, but the domain's policies stay in the image",
		remedy: []string{"Build in a workgroup and join at deployment."}, source: docOverview},
	{id: "F71", name: "DOMAIN_CONTROLLER", phase: PhaseSilent, by: byPreflight, title: "Active Directory Domain Services is installed; sysprep does not support it",
		remedy: []string{"Promote at deployment, not in the image."}, source: docRoles},
	{id: "F72", name: "CLUSTER", phase: PhaseSilent, by: byPreflight, title: "the machine is a member of a failover cluster", unconfirmed: true,
		remedy: []string{"Join the cluster at deployment."}, source: "https://technet.microsoft.com/en-us/library/cc757070(v=ws.10).aspx"},
	{id: "F73", name: "HYPERV_ROLE", phase: PhaseSilent, by: byPreflight, title: "Hyper-V virtual switches do not survive sysprep",
		remedy: []string{"Get-VMSwitch | Remove-VMSwitch -Force before sysprep."}, source: docRoles},
	{id: "F74", name: "UNSUPPORTED_ROLE", phase: PhaseSilent, by: byPreflight, title: "a server role is installed that sysprep does not support",
		remedy: []string{"Install the role at deployment."}, source: docRoles},
	{id: "F75", name: "NPS_RADIUS_LEFTOVERS", phase: PhaseSilent, by: byPreflight, title: "RADIUS clients and server groups of NPS stay in the image with their secrets",
		remedy: []string{"Remove them before sysprep and import them at deployment."}, source: docNPS},
	{id: "F76", name: "IIS_ENCRYPTED_CREDENTIALS", phase: PhaseSilent, by: byPreflight, title: "encrypted credentials in applicationHost.config depend on the machine key",
		remedy: []string{"Set them at deployment."}, source: docRoles},
	{id: "F77", name: "EFS", phase: PhaseSilent, by: byPreflight, title: "EFS-encrypted files become unreadable",
		remedy: []string{"List them with cipher /u /n and decrypt them before sysprep."}, source: docOverview},
	{id: "F78", name: "ORPHANED_PROFILES", phase: PhaseFirstBoot, by: byPreflight, title: "the ProfileList names profile folders that do not exist",
		remedy: []string{"Delete profiles through Windows (Remove-CimInstance Win32_UserProfile), not by folder."}, source: "https://mickitblog.blogspot.com/2012/01/"},
}

var firstBootCauses = []cause{
	{id: "F80", name: "AZURE_AGENT_NOT_RUNNING", phase: PhaseFirstBoot, by: byVerdict, title: "RdAgent or WindowsAzureGuestAgent is not running",
		remedy: []string{"Start both services before sysprep."}, source: github + "hashicorp/packer-plugin-azure/blob/main/docs/builders/arm.mdx"},
	{id: "F81", name: "AZURE_CDROM_DISABLED", phase: PhaseFirstBoot, by: byPreflight, title: "the CD-ROM driver is disabled, so Azure's provisioning media cannot be read",
		remedy: []string{`reg add HKLM\SYSTEM\CurrentControlSet\Services\cdrom /v Start /t REG_DWORD /d 1 /f`}, source: learn + "azure/virtual-machines/generalize"},
	{id: "F82", name: "ADMIN_MUST_CHANGE_PASSWORD", phase: PhaseFirstBoot, by: byPreflight, title: "the built-in Administrator must change its password at first logon",
		remedy: []string{"net accounts /maxpwage:unlimited before sysprep."}, source: imageBuilder},
	{id: "F84", name: "RESTARTED_UNEXPECTEDLY", phase: PhaseFirstBoot, weak: `The computer restarted unexpectedly or encountered an unexpected error|Der Computer wurde unerwartet neu gestartet|Setup\.exe failed, returning exit code \[(?P<code>0x[0-9a-f]+)\]|Process exited with exit code \[(?P<code4>0x[0-9a-f]*[1-9a-f][0-9a-f]*)\]|Command \[(?P<command>[^\]]+)\] failed with exit code \[(?P<code2>0x[0-9a-f]+)\]|Online installation cannot complete at this time|Callback_Specialize: An error occurred while .*?(?:dwRet|hr) = (?P<code3>0x[0-9a-f]+)`, title: "Windows Setup failed at first boot ({code})", unconfirmed: true,
		remedy: []string{"Correct what the first error names, in the source machine or the answer file, and build the image again; " + windowsCouldNot + "."}, source: learn + "troubleshoot/azure/virtual-machines/windows/unexpected-restart-error-during-vm-boot"},
	{id: "F86", name: "COMPUTERNAME_IGNORED", phase: PhaseSilent, by: byPreflight, title: "the computer name of the answer file equals the old one and is ignored (Server 2019)", unconfirmed: true,
		remedy: []string{"Use another name."}, source: docComputerName},
	{id: "F87", name: "CMID_DUPLICATE", phase: PhaseSilent, by: byPreflight, title: "clones share their KMS client id (not generalized, or SkipRearm=1)",
		remedy: []string{"Let the last generalize run without SkipRearm."}, source: docSkipRearm},
	{id: "F106", name: "TIMEZONE_UNKNOWN", phase: PhaseSilent, anyLevel: true, pattern: `TimeZone: Unknown time zone '(?P<zone>[^']+)'`, title: "the time zone '{zone}' of the answer file is not known to Windows, which ignores it",
		remedy: []string{"Use the id that tzutil /l shows (\"Tokyo Standard Time\"), not the name that Windows shows people."}, source: unattend + "microsoft-windows-shell-setup-timezone"},
	{id: "F89", name: "COPYPROFILE_FAILED", phase: PhaseFirstBoot, pattern: `(?:CopyProfile|_FindLatestProfile) failed \((?P<code>0x[0-9a-f]+)\)`, title: "CopyProfile failed ({code}): the profile to copy is damaged or missing",
		remedy: []string{"Build with one intact local profile, or remove CopyProfile from the answer file."}, source: github + "awsdocs/amazon-ec2-user-guide-windows/blob/HEAD/doc_source/sysprep-troubleshoot.md"},
	{id: "F103", name: "IMAGE_NOT_ARMED", phase: PhaseFirstBoot, pattern: `sysprep re-?specialize (?:internal|external) providers; hr = 0x8007001f`, title: `the clone ran sysprep /respecialize: its image was generalized but not armed for OOBE (SYSTEM\Setup: SetupType 0, CmdLine empty)`,
		remedy: []string{`Generalize again from an untouched source, and check before the capture that HKLM\SYSTEM\Setup has SetupType = 2 and CmdLine = oobe\windeploy.exe.`}, source: github + "MicrosoftDocs/azure-docs/issues/43893", unconfirmed: true},
	{id: "F95", name: "ADMIN_PASSWORD_POLICY", phase: PhaseFirstBoot, pattern: `Unable to (?:enable local account|set password|create (?:local )?(?:user|account))[^\[]*\[(?P<account>[^\]]+)\]; (?:status|hr) = (?P<code>0x(?:8007)?0?(?:8c5|52d))|(?:Unable|Failed) to (?:create|add|set)\b[^'\[]*?(?:account|password)\b[^'\[]*['\[](?P<account3>[^'\]]+)['\]].*?(?P<code3>0x(?:8007)?0?(?:8c5|52d))\b|(?P<account2>\S+): NetUser\w+ failed.*(?P<code2>0x(?:8007)?0?(?:8c5|52d))\b`, title: "account {account} cannot be enabled: its password does not meet the password policy ({code})",
		remedy: []string{"Give the account a complex password in the answer file (UserAccounts\\AdministratorPassword for Administrator), or relax the password policy in the image before it is generalized."}, source: "http://www.symantec.com/docs/TECH198460"},
	{id: "F97", name: "FIRST_BOOT_SERVICING", phase: PhaseFirstBoot, asks: OfServicing, pattern: `Failed to commit CSI transaction.*?HRESULT = (?P<code>0x[0-9a-f]+)|Failed to (?:remove|install|update) package: (?P<update>\S+) \[HRESULT = (?P<code2>0x[0-9a-f]+)|CbsExecuteStateFailed`,
		also: `Failed to (?:remove|install|update) package: (?P<update>\S+)`, title: "servicing could not commit what was pending when the image was generalized ({code}) ({update})",
		remedy: []string{"Before generalize: DISM /Online /Cleanup-Image /StartComponentCleanup /ResetBase, then restart and look that nothing is pending."}, source: learn + "windows-hardware/manufacture/desktop/clean-up-the-winsxs-folder"},
	{id: "F98", name: "SETUPCOMPLETE_NOT_RUN", phase: PhaseFirstBoot, anyLevel: true, pattern: `Client OS edition and OEM license detected and no enterprise edition detected, will not run SetupComplete\.cmd|OEM license detected, will not run SetupComplete\.cmd|Not allowed to run the Setupcomplete\.cmd`, title: "SetupComplete.cmd was not run: a client edition with an OEM licence",
		remedy: []string{"Use a volume licence key in the image, or FirstLogonCommands or a scheduled task instead of SetupComplete.cmd."}, source: docNoSetupComplete},
	{id: "F96", name: "DOMAIN_JOIN_FAILED", phase: PhaseFirstBoot, pattern: `Unattended Join: (?:NetJoinDomain failed error code is \[(?P<code>\d+)\]|Unable to join; gdwError = (?P<code2>0x[0-9a-f]+)|[^;]*NetProvisionComputerAccount\S* failed[^\[]*\[(?P<code3>\w+)\])`, also: `Unattended Join: (?:Calling DsGetDcName for |[^\[]*JoinDomain = \[?)(?P<domain>[A-Za-z0-9][A-Za-z0-9.-]*[A-Za-z0-9])`, title: "the machine could not join its domain ({domain}) ({code})",
		remedy: []string{"{join}", "%WINDIR%\\debug\\NetSetup.log of the machine says more. The settings are those of Microsoft-Windows-UnattendedJoin (pass specialize)."}, source: unattend + "microsoft-windows-unattendedjoin", unconfirmed: true},
	{id: "F67", name: "RUNSYNCHRONOUS_EXIT", phase: PhaseFirstBoot, pattern: `(?:RunSynchronous|FirstLogon|SynchronousCommand)\w*\b(?:.*?\bcommand(?: #?(?P<order>\d{1,3}))?:? ?(?:\[(?P<command>[^\]]+)\]|"(?P<command2>[^"]+)"|'(?P<command3>[^']+)'))?.*?(?:exit(?:ed)?(?: with)?(?: exit)? code|returned)(?: is| =|:)? \[?(?P<exit>(?:0x[0-9a-f]*[1-9a-f][0-9a-f]*|-?[1-9]\d*))\]?|Unattend action failed with exit code (?P<exit2>[1-9]\d*)`, generic: true, title: "a command of the answer file failed ({command}) (order {order}) ({ended}) (pass {pass})", unconfirmed: true,
		remedy: []string{"See which command it is in the lines above it in setupact.log, and run it by hand on such a machine. With WillReboot = OnRequest, Windows Setup goes on for the exit codes 0, 1 and 2 only.", freshCopy}, source: docRunSync},
	{id: "F68", name: "PRODUCTKEY_INVALID", phase: PhaseFirstBoot, pattern: `product ?key\b.*(?:fail|invalid|not valid|reject|refus|could not|cannot|unable|does not match)(?:.*?(?P<code>0x[0-9a-f]{8}))?|(?:fail|invalid|unable|could not)\w*\b.*product ?key\b(?:.*?(?P<code2>0x[0-9a-f]{8}))?|(?:hr|status|error|code)\b.{0,4}(?P<code3>0x(?:c004f050|c004f069|c004e016|c004f210|8a010101))`, title: "Windows Setup does not accept the product key of the answer file ({code})", unconfirmed: true,
		remedy: []string{"Give ProductKey (Microsoft-Windows-Shell-Setup, pass specialize) a key of the edition and the licence channel of the image: for volume editions the KMS client key of that edition; or leave the element out. It must not be empty.", freshCopy}, source: docProductKey},
	{id: "F90", name: "NO_SYSTEM_PARTITION", phase: PhaseFirstBoot, pattern: `Failed to get system partition\. Status: c0000452|BFSVC: Failed to get partition name\. Status = 0xc0000452`, title: "the deployed disk has no system partition that Windows can find (STATUS_SYSTEM_DEVICE_NOT_FOUND)",
		remedy: []string{"Deploy the whole disk with its system partition; match the firmware (BIOS with MBR, UEFI with GPT)."}, source: desktop + "configure-uefigpt-based-hard-drive-partitions", unconfirmed: true},
}
