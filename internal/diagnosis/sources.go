package diagnosis

// What the causes rest on: addresses that a reader can open. Where only field
// reports tell of a cause, the address is that of what is affected, and the
// cause is unconfirmed.
const (
	learn   = "https://learn.microsoft.com/"
	desktop = learn + "windows-hardware/manufacture/desktop/"
	support = learn + "troubleshoot/windows-client/setup-upgrade-and-drivers/"
	github  = "https://github.com/"

	docOverview     = desktop + "sysprep--system-preparation--overview"
	docProcess      = desktop + "sysprep-process-overview"
	docSetupLogs    = desktop + "deployment-troubleshooting-and-log-files"
	docRoles        = desktop + "sysprep-support-for-server-roles"
	docNPS          = desktop + "prepare-a-network-policy-server--nps--for-imaging"
	docSearchOrder  = desktop + "windows-setup-automation-overview"
	unattend        = learn + "windows-hardware/customize/desktop/unattend/"
	docUnattend     = unattend + "components-b-unattend"
	docComputerName = unattend + "microsoft-windows-shell-setup-computername"
	docScripts      = desktop + "add-a-custom-script-to-windows-setup"
	docRunSync      = unattend + "microsoft-windows-deployment-runsynchronous"
	docProductKey   = unattend + "microsoft-windows-shell-setup-productkey"
	docSkipRearm    = unattend + "microsoft-windows-security-spp-skiprearm"
	// Configuration Manager's article 4494015 quotes both lines.
	docNoSetupComplete = learn + "troubleshoot/mem/configmgr/os-deployment/os-deployment-task-sequence-not-continue"
	docStoreApps       = support + "sysprep-fails-remove-or-update-store-apps"
	docAsSystem        = support + "sysprep-as-system-windows-11"
	docCapture         = github + "MicrosoftDocs/SupportArticles-docs/blob/1418b2a0da0eb45f88042d78d7208a468209e885/support/mem/configmgr/windows-11-image-capture-fail.md"
	imageBuilder       = github + "kubernetes-sigs/image-builder/blob/main/images/capi/packer/azure/scripts/sysprep.ps1"
	sysprepCheckers    = github + "CodingWonders/SysprepPreparator/tree/HEAD/Helpers/CompatChecks"
)
