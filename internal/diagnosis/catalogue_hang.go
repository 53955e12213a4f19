package diagnosis

// hangCauses are providers that begin and do not end. Order matters.
var hangCauses = []cause{
	{id: "F104", name: "HANG_FIRST_BOOT", phase: PhaseFirstBoot, by: byHang, hang: `^first boot, `, title: "the first boot hangs in {entry} of {dll}", unconfirmed: true,
		remedy: []string{"If it does not go on within an hour, deploy the image again: a machine whose first boot was cut off does not recover. Look at C:\\Windows\\INF\\setupapi.dev.log where devices are being installed, and try without what that provider belongs to."}, source: docSetupLogs},
	{id: "F29", name: "HANG_SERVICING_CHECK", phase: PhaseValidate, asks: OfServicing, by: byHang, hang: ` of spopk\.dll$`, title: "sysprep hangs in {entry} of {dll}, the check for pending servicing", unconfirmed: true,
		remedy: []string{"Let TrustedInstaller and TiWorker finish, restart the guest and run sysprep again. No cause is published; it is seen now and then."}, source: github + "GoogleCloudPlatform/compute-image-windows/issues/156"},
	{id: "F100", name: "HANG_WINDOWS_UPDATE", phase: PhaseProcess, by: byHang, hang: ` of wuaueng\.dll$`, title: "sysprep hangs in {entry} of {dll}: the service wuauserv is disabled or cannot start", unconfirmed: true,
		remedy: []string{"On a fresh machine before sysprep: sc config wuauserv start= demand"}, source: docProcess},
	{id: "F101", name: "HANG_PNP", phase: PhaseProcess, by: byHang, hang: ` of sppnp\.dll$`, title: "sysprep hangs in {entry} of {dll} (devices and drivers)", unconfirmed: true,
		remedy: []string{"Discard the machine and start from a fresh one. No cause is published; it was seen only where automation had started sysprep, so start it from an interactive session once to compare, or keep the devices: PersistAllDeviceInstalls = true (Microsoft-Windows-PnpSysprep, pass generalize)."}, source: unattend + "microsoft-windows-pnpsysprep-persistalldeviceinstalls"},
	{id: "F85", name: "HANG_DMWAPPUSHSERVICE", phase: PhaseProcess, by: byHang, hang: `^generalize\.xml$`, title: "generalize has begun and no provider follows: it takes 15 to 40 minutes, or hangs, where a debloat script has disabled the service dmwappushservice",
		remedy: []string{"sc config dmwappushservice start= delayed-auto and sc start dmwappushservice: a waiting sysprep goes on then. In the build: before sysprep."}, source: github + "W4RH4WK/Debloat-Windows-10/issues/87"},
	{id: "F49", name: "HANG_EXTERNAL_PROVIDER", phase: PhaseProcess, by: byHang, external: true, hang: ` of .`, title: "sysprep hangs in the provider of other software, {entry} of {dll} (registered at {key})",
		remedy: []string{"Give it 15 minutes from its begin: where only the file of a registered provider is missing, sysprep goes on by itself then. If it does not, discard the machine.",
			`On a fresh machine, before sysprep: remove that software, or delete the registry value HKLM\{key}.`}, source: github + "Azure/AgentBaker/blob/HEAD/vhdbuilder/packer/windows/sysprep.ps1"},
	{id: windowOpen, name: "WINDOW_OPEN", phase: PhaseLaunch, by: byHang, hang: `^the window of sysprep$`, title: "sysprep shows its window and waits for a person: it was started without options, or audit mode opened it at the logon",
		remedy: []string{"End that sysprep.exe by its process id, and start it with options: sysprep.exe /generalize /oobe /shutdown /quiet."}, source: desktop + "sysprep-command-line-options"},
	{id: "F102", name: "HANG", phase: PhaseProcess, by: byHang, hang: `.`, generic: true, title: "sysprep hangs in {entry} of {dll} ({what})", unconfirmed: true,
		remedy: []string{"See in Task Manager what sysprep.exe waits for, and whether the service {service} is disabled or does not stop."}, source: docProcess},
}
