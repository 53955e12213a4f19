package answerfile

import (
	"fmt"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

// Pages of Microsoft's documents that several rules rest on.
const (
	unattendPages = "https://learn.microsoft.com/windows-hardware/customize/desktop/unattend/"
	setupPages    = "https://learn.microsoft.com/windows-hardware/manufacture/desktop/"
	shellPage     = unattendPages + "microsoft-windows-shell-setup"
	xmlSpec       = "XML 1.0, https://www.w3.org/TR/xml/"
)

// rules is the table of everything that is looked for. Each row stands alone;
// Lint sorts the findings. It is filled by init, as a rule names others.
var rules []Rule

func init() {
	rules = []Rule{
		// Judged while the text is read: their findings come from Parse.
		{ruleWellFormed, finding.Fail, "the file is well-formed XML with declared namespaces and no document type", xmlSpec, nil},
		{ruleComment, finding.Fail, `comments hold no "--"`, xmlSpec + " §2.5", nil},
		{ruleEncoding, finding.Fail, "the file is UTF-8 or UTF-16 and says so", xmlSpec + " §4.3.3", nil},
		{ruleRoot, finding.Fail, "the root element is <unattend> in " + Namespace, unattendPages, nil},
		{ruleLimits, finding.Fail, fmt.Sprintf("at most %d MiB, %d elements, %d levels", MaxSize>>20, maxElements, maxDepth), "limits of this linter", nil},
		{ruleDirective, finding.Warn, "comments that turn rules off name rules, and an element follows them", "this linter", lintDirective},

		// What the file is made of.
		{rulePass, finding.Fail, "every <settings> names one of the seven configuration passes", setupPages + "windows-setup-configuration-passes", lintPassUnknown},
		{"pass-duplicate", finding.Warn, "one <settings> for each pass", unattendPages, lintPassDuplicate},
		{"processed", finding.Warn, "no pass is marked as processed, as in the copy that Windows keeps", "cloudfoundry/bosh-windows-stemcell-builder, Remove-WasPassProcessed", lintProcessed},
		{"component-duplicate", finding.Fail, "a component appears once in a pass (0x8022001b)", "setupact.log of a refused file: CBSSMI 0x8022001b", lintComponentDuplicate},
		{"component-attributes", finding.Warn, "components carry name, publicKeyToken, language and versionScope as Windows expects", unattendPages, lintComponentAttributes},
		{"component-unknown", finding.Info, "components that Microsoft's reference does not hold are not checked", unattendPages, lintComponentUnknown},
		{"architecture", finding.Fail, "components are for the guest's architecture: Windows silently ignores others", unattendPages, lintArchitecture},
		{"setting-unknown", finding.Warn, "Microsoft's reference holds every setting of the components that it holds", unattendPages, lintSettingUnknown},
		{"setting-misplaced", finding.Fail, "settings stand in the component and container they belong to (0x80220001)", unattendPages, lintSettingMisplaced},
		{"setting-duplicate", finding.Fail, "a setting appears once in its parent", unattendPages, lintSettingDuplicate},
		{"setting-pass", finding.Fail, "a setting is in a pass where it is valid (0x80220001)", unattendPages, lintSettingPass},
		{"list-action", finding.Warn, `items of lists carry wcm:action="add"`, unattendPages, lintListAction},
		{"list-key", finding.Warn, "items of a list differ in their key", unattendPages, lintListKey},
		{"order-credentials", finding.Fail, "Credentials hold Domain, Password, Username in this order (0x8030000b)", "field report of 0x8030000b", lintCredentialsOrder},
		{"order-commands", finding.Warn, "commands of a list are numbered by Order, each number once", unattendPages + "microsoft-windows-deployment-runsynchronous", lintCommandOrder},
		{"text-between", finding.Fail, "no text appears beside settings", unattendPages, lintTextBetween},

		// Values.
		{"white-space", finding.Warn, "values are not surrounded by white space or line breaks, which count as part of them", xmlSpec + " §2.10", lintWhiteSpace},
		{"template", finding.Warn, "no template placeholder is left in a value", "this linter", lintTemplate},
		{"value", finding.Fail, "settings with a fixed set of values hold one of them", unattendPages, lintValue},
		{"length", finding.Fail, "texts are not longer than Windows reads", unattendPages, lintLength},
		{"empty", finding.Warn, "settings that Windows does not support empty are not empty", unattendPages, lintEmpty},
		{"deprecated", finding.Warn, "no setting is deprecated", unattendPages, lintDeprecated},
		{"computer-name", finding.Fail, "ComputerName is * or a valid name of at most 15 bytes", shellPage + "-computername", lintComputerName},
		{"product-key", finding.Fail, "ProductKey is five groups of five", shellPage + "-productkey", lintProductKey},
		{"time-zone", finding.Warn, "TimeZone is a name that Windows knows", shellPage + "-timezone; Unicode CLDR, windowsZones", lintTimeZone},
		{"locale", finding.Warn, "languages are BCP 47 tags, keyboards those or ids such as 0409:00000409", unattendPages + "microsoft-windows-international-core; Unicode CLDR", lintLocale},

		// Passwords and accounts.
		{"password-encoding", finding.Fail, "a password with PlainText=false is encoded as Windows does, for its element", shellPage + "-useraccounts-administratorpassword", lintPasswordEncoding},
		{"password-scrubbed", finding.Fail, "no password is the text Windows leaves in a used answer file", setupPages + "windows-setup-automation-overview", lintPasswordScrubbed},
		{"password-policy", finding.Warn, "passwords of new accounts meet Windows' default policy", "https://learn.microsoft.com/windows/security/threat-protection/security-policy-settings/password-must-meet-complexity-requirements", lintPasswordPolicy},
		{"secret", finding.Warn, "passwords in the file stay readable in the image", setupPages + "windows-setup-automation-overview", lintSecret},
		{"account-name", finding.Fail, "accounts have names that Windows accepts", shellPage + "-useraccounts-localaccounts-localaccount-name", lintAccountName},
		{"account-group", finding.Info, "groups are named so that Windows knows them in every language", shellPage + "-useraccounts-localaccounts-localaccount-group", lintAccountGroup},
		{"auto-logon", finding.Warn, "AutoLogon has a LogonCount, ends, and can log on", shellPage + "-autologon", lintAutoLogon},

		// What the file means for this run, and for the first boot.
		{"generalize-setting", finding.Warn, "Deployment\\Generalize is an alternative to the sysprep command line, not a part of it", unattendPages + "microsoft-windows-deployment-generalize", lintGeneralizeSetting},
		{"generalize-reseal", finding.Warn, "Generalize and Reseal are not combined", unattendPages + "microsoft-windows-deployment-generalize", lintGeneralizeReseal},
		{"reboot-loop", finding.Fail, "Reseal does not make the machine restart for ever", unattendPages + "microsoft-windows-deployment-reseal-forceshutdownnow", lintRebootLoop},
		{"reseal", finding.Warn, "Reseal fits the command line", unattendPages + "microsoft-windows-deployment-reseal", lintReseal},
		{"vm-mode", finding.Warn, "VMModeOptimizations go with /mode:vm", shellPage + "-oobe-vmmodeoptimizations", lintVMMode},
		{"skip-rearm", finding.Warn, "the licence is reset for clones", unattendPages + "microsoft-windows-security-spp-skiprearm", lintSkipRearm},
		{"device-cleanup", finding.Warn, "DoNotCleanUpNonPresentDevices goes with PersistAllDeviceInstalls", unattendPages + "microsoft-windows-pnpsysprep", lintDeviceCleanup},
		{"nested-sysprep", finding.Warn, "no command of the file runs sysprep", setupPages + "sysprep--generalize--a-windows-installation", lintNestedSysprep},
		{"pass-not-run", finding.Info, "passes that the command line does not run have no effect", setupPages + "sysprep-command-line-options", lintPassNotRun},
		{"oobe-attended", finding.Warn, "the file has settings for the first boot, which waits for a person otherwise", setupPages + "automate-oobe", lintOOBEAttended},
		{"oobe-region", finding.Warn, "the first boot is given languages, and does not ask for the region", setupPages + "automate-oobe", lintOOBERegion},
		{"oobe-licence", finding.Warn, "the first boot does not show the licence terms", shellPage + "-oobe-hideeulapage", lintOOBELicence},
		{"oobe-account", finding.Warn, "the first boot needs an account or a password to pass OOBE unattended", setupPages + "automate-oobe", lintOOBEAccount},
		{"oobe-pages", finding.Info, "the first boot of a Windows client shows no page on networks, privacy or online accounts", shellPage + "-oobe", lintOOBEPages},
	}
}
