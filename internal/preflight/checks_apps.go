package preflight

import (
	"fmt"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

const (
	removeForUsers   = "Get-AppxPackage -AllUsers -Name '<name>' | Remove-AppxPackage -AllUsers"
	removeProvision  = "Get-AppxProvisionedPackage -Online | Where-Object DisplayName -eq '<name>' | Remove-AppxProvisionedPackage -Online"
	keepStoreAway    = `Keep the Store and Windows Update from adding it again: AutoDownload = 2 (DWORD) below HKLM\SOFTWARE\Policies\Microsoft\WindowsStore, or no network.`
	packagesAreTold  = 50 // as evidence
	appInstaller     = "Microsoft.DesktopAppInstaller"
	notAnsweredUsers = "the guest did not tell for which users its packages are installed"
)

var (
	perUserSteps     = []Step{by(RemedyAppx, "In Windows PowerShell on the guest, for each: "+removeForUsers), person("Or provision it for all users: Add-AppxProvisionedPackage."), person(keepStoreAway)}
	profileGoneSteps = []Step{person("Remove what is left of the account: Get-CimInstance Win32_UserProfile | Where-Object SID -eq '<sid>' | Remove-CimInstance; then the package."), by(RemedyAppx, removeForUsers), person("Delete profiles through Windows, not by folder.")}
)

// appChecks: app packages, of which sysprep names one a run.
var appChecks = []Check{
	{ID: "appxsvc-disabled", Causes: []string{"F17"}, Group: Base, Severity: finding.Fail, When: "warn on Server Core", Source: learn + "windows/win32/debug/system-error-codes--1000-1299-",
		Asserts: "the service AppXSvc is not disabled", Means: "sysprep cannot look at the app packages, and refuses to run.",
		Steps: append(enabling("AppXSvc", "demand", 3), person("Leave it alone in hardening scripts.")), judge: generalizing(func(q inquiry) answer {
			a := disabled("AppXSvc")(q)
			if v, known := q.Version(); known && v.Core && a.outcome == Failed { // whether it looks at apps there is not known
				a = a.as(finding.Warn)
			}
			return a
		})},
	{ID: "appx-per-user", Causes: []string{"F01", "F03", "F04", "F05", "F06", "F07", "F08", "F09", "F10", "F11", "F12", "F13", "F14", "F16"}, Group: Appx, Severity: finding.Fail, Source: docApps,
		Asserts: "every app package is provisioned for all users", Means: "sysprep refuses to run, and names one package each time.",
		Steps: perUserSteps,
		judge: generalizing(func(q inquiry) answer { return strayAnswer(q, false) })},
	{ID: "appx-profile-gone", Causes: []string{"F01"}, Group: Appx, Severity: finding.Fail, Source: docApps,
		Asserts: "no app package is left of a profile that is gone", Means: "sysprep refuses to run, and Windows does not remove the package for an account that has no profile.",
		Steps: profileGoneSteps,
		judge: generalizing(func(q inquiry) answer { return strayAnswer(q, true) })},
	{ID: "appx-two-versions", Causes: []string{"F04", "F01"}, Group: Appx, Severity: finding.Warn, Source: github + "microsoft/winget-cli/issues/2876", Unconfirmed: true,
		Asserts: "no app is there in two versions", Means: "The Store has updated it for a user: sysprep may take the newer one for a package that is not provisioned, as it does with winget (" + appInstaller + ").",
		Steps: []Step{by(RemedyAppx, "In this order, or it ends with 0x80070032: "+removeProvision), by(RemedyAppx, removeForUsers), person("Provision it again, or clones have none: Add-AppxProvisionedPackage -Online -PackagePath <bundle> -LicensePath <licence> -DependencyPackagePath <dependencies>")},
		judge: generalizing(func(q inquiry) answer {
			if none, a := noPackages(q); none {
				return a
			}
			doubles, known, why := q.Doubles()
			if !known {
				return cannot(why)
			}
			a := fails(fmt.Sprintf("%s there in several versions", apps(len(doubles))))
			for _, versions := range doubles {
				for _, p := range versions {
					a = a.seen(p.FullName)
				}
			}
			return when(len(doubles) > 0, a)
		})},
	{ID: "appx-newer", Causes: []string{"F01"}, Group: Appx, Severity: finding.Warn, Source: docApps, Unconfirmed: true,
		Asserts: "no app is newer for a user than what is provisioned", Means: "The Store has updated it for a user, and sysprep may take the copy for one that is not provisioned. Windows removes the older version later.",
		Steps: []Step{person("Provision the newer version (Add-AppxProvisionedPackage), or remove the app for all users and its provisioning."), person(keepStoreAway)},
		judge: generalizing(func(q inquiry) answer {
			if none, a := noPackages(q); none {
				return a
			}
			newer, known, why := q.Newer()
			if !known {
				return cannot(why)
			}
			a := fails(apps(len(newer)) + " newer for users than what is provisioned")
			for _, p := range newer[:min(packagesAreTold, len(newer))] {
				a = a.seen(p.FullName)
			}
			return when(len(newer) > 0, a)
		})},
	{ID: "appx-system-unprovisioned", Causes: []string{"F18"}, Group: Appx, Severity: finding.Warn, Source: docApps, Unconfirmed: true,
		Asserts: secHealthUI + " is provisioned where it is installed", Means: "A clean-up has removed its provisioning. It cannot be removed itself (NonRemovable), and sysprep was reported to refuse to run.",
		Steps: []Step{person("Provision it again from its payload: Add-AppxProvisionedPackage -Online -PackagePath <its package, from the media of the same build> -SkipLicense"), person("Leave it out of the clean-up.")},
		judge: generalizing(func(q inquiry) answer {
			if none, a := noPackages(q); none {
				return a
			}
			packages, _ := q.Appx.Get()
			provisioned, known := q.AppxProvisioned.Get()
			at := slices.IndexFunc(packages.Packages, func(p Package) bool { return p.Name == secHealthUI && len(p.installed()) > 0 })
			switch {
			case at < 0:
				return pass()
			case !known:
				return cannot(q.AppxProvisioned.Why())
			}
			return when(len(provisioned.named(secHealthUI)) == 0, fails(secHealthUI+" has lost its provisioning").seen(packages.Packages[at].FullName))
		})},
	{ID: "store-updates", Causes: []string{"F01"}, Group: Base, Severity: finding.Info, Source: docApps,
		Asserts: "the Store does not update apps by itself", Means: "It updates them for the users that are logged on, and sysprep refuses to run then: the check may pass a minute before.",
		Steps: []Step{person(keepStoreAway)},
		judge: client(func(q inquiry) answer {
			p, known := q.StorePolicy.Get()
			if !known {
				return cannot(q.StorePolicy.Why())
			}
			return when(p.AutoDownload == nil || *p.AutoDownload != 2, fails("the Store may update apps at any time"))
		})},
}

// noPackages answers where there is nothing to look at.
func noPackages(q inquiry) (none bool, a answer) {
	packages, known := q.Appx.Get()
	switch {
	case !known:
		return true, cannot(q.Appx.Why())
	case no(packages.Available):
		v, known := q.Version()
		return true, q.only(!known || !v.Core && v.Build > builds2008R2, cannot("the guest has no Get-AppxPackage"))
	case slices.ContainsFunc(packages.Packages, func(p Package) bool { return p.app() }) &&
		!slices.ContainsFunc(packages.Packages, func(p Package) bool { return len(p.Users) > 0 }):
		return true, cannot(notAnsweredUsers)
	}
	return false, answer{}
}

func strayAnswer(q inquiry, gone bool) answer {
	if none, a := noPackages(q); none {
		return a
	}
	strays, known, why := q.Strays()
	if !known {
		return cannot(why)
	}
	if _, known := q.Profiles.Get(); !known && gone && len(strays) > 0 {
		return cannot("which profiles there are is not known: " + q.Profiles.Why())
	}
	strays = slices.DeleteFunc(strays, func(s Stray) bool { return s.Gone != gone })
	summary := apps(len(strays)) + " installed for users, and not provisioned for all"
	steps := perUserSteps
	if gone {
		steps = profileGoneSteps
		summary = apps(len(strays)) + " installed for accounts whose profile is gone"
	}
	a := fails(summary)
	for i, s := range strays {
		if i == packagesAreTold {
			a = a.seen(fmt.Sprintf("and %d more", len(strays)-i))
			break
		}
		var who []string
		for _, u := range s.installed() {
			name := u.Name
			if name == "" {
				name = u.SID
			}
			who = append(who, name)
		}
		a = a.seen(s.FullName + " (" + strings.Join(who, ", ") + ")")
	}
	if len(strays) == 1 {
		a.steps = named(steps, strays[0].Name)
	}
	return when(len(strays) > 0, a)
}

// plainName is what may stand in a line of PowerShell between single quotes.
var plainName = lazyregexp.New(`^[A-Za-z0-9._-]+$`)

// named puts the name of a package into steps.
func named(steps []Step, name string) []Step {
	out := slices.Clone(steps)
	if plainName.MatchString(name) {
		for i := range out {
			out[i].Text = strings.ReplaceAll(out[i].Text, "<name>", name)
		}
	}
	return out
}

func apps(n int) string {
	if n == 1 {
		return "1 app package is"
	}
	return fmt.Sprintf("%d app packages are", n)
}
