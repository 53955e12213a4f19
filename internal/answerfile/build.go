package answerfile

import (
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/packer-plugin-sdk/template/config"
)

// Build makes the answer file of the block unattend for a guest's architecture
// (amd64, x86 or arm64). It returns all contradictions of the block at once, by
// the names of its options; what values Windows accepts is judged by Lint.
func Build(u Unattend, arch string) (*File, error) {
	arch = strings.ToLower(arch)
	b := &builder{arch: arch, file: emptyFile()}
	if !slices.Contains([]string{"amd64", "x86", "arm64"}, arch) {
		b.fail("architecture", "is %q: use amd64, x86 or arm64", arch)
	}
	b.generalize(u)
	b.specialize(u)
	if u.Audit != nil {
		b.audit(*u.Audit)
	}
	b.oobe(u)
	b.reseal(u.Reseal)
	b.components(u.Components)
	for i, line := range u.SetupComplete {
		if isBlank(line) || strings.ContainsAny(line, "\r\n\x00") {
			b.fail("setup_complete", "%d is empty or holds a line break: write a line for each command", i+1)
		}
	}
	if len(b.errs) > 0 {
		return nil, errors.Join(b.errs...)
	}
	// What came in may hold characters that XML has no way to write.
	if _, err := Parse(b.file.Marshal()); err != nil {
		return nil, fmt.Errorf("building answer file: %w", err)
	}
	return b.file, nil
}

func emptyFile() *File {
	return &File{Root: &Element{Name: xml.Name{Space: Namespace, Local: "unattend"}}}
}

type builder struct {
	file *File
	arch string
	errs []error
}

func (b *builder) fail(field, format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf("%s "+format, append([]any{field}, args...)...))
}

// add puts settings into a component of a pass; nil ones are left out.
func (b *builder) add(pass, component string, settings ...*Element) {
	settings = present(settings)
	if len(settings) == 0 {
		return
	}
	overlay := emptyFile()
	overlay.Root.Children = []*Element{{Name: unattendName("settings"), Attrs: attrs("pass", pass), Children: []*Element{{
		Name: unattendName("component"),
		Attrs: attrs("name", component, "processorArchitecture", b.arch, "publicKeyToken", publicKeyToken,
			"language", language, "versionScope", versionScope),
		Children: settings,
	}}}}
	b.file, _ = Merge(b.file, overlay)
}

func unattendName(local string) xml.Name { return xml.Name{Space: Namespace, Local: local} }

func attrs(pairs ...string) []xml.Attr {
	var list []xml.Attr
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, xml.Attr{Name: xml.Name{Local: pairs[i]}, Value: pairs[i+1]})
	}
	return list
}

func present(elements []*Element) []*Element {
	return slices.DeleteFunc(elements, func(e *Element) bool { return e == nil })
}

// group is an element around others, nil when there are none.
func group(name string, children ...*Element) *Element {
	if children = present(children); len(children) == 0 {
		return nil
	}
	return &Element{Name: unattendName(name), Children: children}
}

// item is a group as an item of a list.
func item(name string, children ...*Element) *Element {
	e := group(name, children...)
	e.Attrs = wcmAttrs("action", "add")
	return e
}

func wcmAttrs(pairs ...string) []xml.Attr {
	list := attrs(pairs...)
	for i := range list {
		list[i].Name.Space = wcmNamespace
	}
	return list
}

func text(name, value string) *Element {
	if value == "" {
		return nil
	}
	return &Element{Name: unattendName(name), Text: value}
}

func flag(name string, value config.Trilean) *Element {
	if value == config.TriUnset {
		return nil
	}
	return text(name, strconv.FormatBool(value.True()))
}

func password(name string, value Secret) *Element {
	if value == "" {
		return nil
	}
	return group(name, text("Value", EncodePassword(string(value), name)), text("PlainText", "false"))
}

func (b *builder) generalize(u Unattend) {
	b.add(Generalize, compPnp,
		flag("PersistAllDeviceInstalls", u.PersistAllDeviceInstalls),
		flag("DoNotCleanUpNonPresentDevices", u.DoNotCleanUpNonPresentDevices))
	b.add(Generalize, compSPP, text("SkipRearm", map[config.Trilean]string{config.TriFalse: "0", config.TriTrue: "1"}[u.SkipRearm]))
}

func (b *builder) specialize(u Unattend) {
	key := string(u.ProductKey)
	if u.ProductKeyEdition != "" {
		var ok bool
		switch key, ok = ProductKeyFor(u.ProductKeyEdition); {
		case u.ProductKey != "":
			b.fail("product_key", "and product_key_edition exclude each other: set one of them")
		case !ok:
			b.fail("product_key_edition", "%q has no published volume licence key: use a name such as %q, or set product_key",
				quotable(u.ProductKeyEdition), "Windows Server 2022 Datacenter")
		}
	}
	b.add(Specialize, compShell,
		text("ComputerName", u.ComputerName),
		flag("CopyProfile", u.CopyProfile),
		text("ProductKey", key),
		text("RegisteredOrganization", u.RegisteredOrganization),
		text("RegisteredOwner", u.RegisteredOwner),
		text("TimeZone", b.timeZone(u.TimeZone)),
		b.oem(u.OEMInformation))
	b.domainJoin(u.DomainJoin)
	b.network(u.NetworkInterfaces)
	b.add(Specialize, compSPPUX, flag("SkipAutoActivation", u.SkipAutoActivation))
	b.add(Specialize, compDeployment,
		group("ExtendOSPartition", flag("Extend", u.ExtendOSPartition)),
		b.runSynchronous("run_synchronous", u.RunSynchronous))
}

func (b *builder) runSynchronous(field string, commands []RunSynchronous) *Element {
	var items []*Element
	for i, c := range commands {
		if isBlank(c.Path) {
			b.fail(field, "%d has no path: set the command line to run", i+1)
		}
		items = append(items, item("RunSynchronousCommand",
			text("Description", c.Description),
			text("Order", strconv.Itoa(i+1)),
			text("Path", c.Path),
			text("WillReboot", c.WillReboot)))
	}
	return group("RunSynchronous", items...)
}

func (b *builder) audit(a Audit) {
	b.add(AuditSystem, compShell,
		b.autoLogon("audit auto_logon", a.AutoLogon),
		group("UserAccounts", password("AdministratorPassword", a.AdministratorPassword)))
	b.add(AuditUser, compDeployment, b.runSynchronous("audit run_synchronous", a.RunSynchronous))
	if g := a.DeploymentGeneralize; g != nil {
		b.add(AuditUser, compDeployment, b.reset("deployment_generalize", "Generalize", g.Mode, g.ForceShutdownNow))
	}
}

func (b *builder) reset(field, name, mode string, off config.Trilean) *Element {
	i := slices.IndexFunc(modes, func(m string) bool { return strings.EqualFold(m, mode) })
	if i < 0 {
		b.fail(field, "has mode %q: use oobe or audit", quotable(mode))
		return nil
	}
	return group(name, flag("ForceShutdownNow", off), text("Mode", modes[i]))
}

func (b *builder) reseal(list []Reseal) {
	seen := map[string]bool{}
	for _, r := range list {
		switch {
		case !slices.Contains(resetPasses, r.Pass):
			b.fail("reseal", "is not valid in pass %q: use %s", quotable(r.Pass), strings.Join(resetPasses, ", "))
		case seen[r.Pass]:
			b.fail("reseal", "appears twice for pass %s: keep one", r.Pass)
		default:
			b.add(r.Pass, compDeployment, b.reset("reseal", "Reseal", r.Mode, r.ForceShutdownNow))
		}
		seen[r.Pass] = true
	}
}

func (b *builder) oobe(u Unattend) {
	locale, pages, vm := cmp.Or(u.Locale, &Locale{}), cmp.Or(u.OOBE, &OOBE{}), cmp.Or(u.VMModeOptimizations, &VMModeOptimizations{})
	b.add(OOBESystem, compInternational,
		text("InputLocale", locale.InputLocale),
		text("SystemLocale", locale.SystemLocale),
		text("UILanguage", locale.UILanguage),
		text("UILanguageFallback", locale.UILanguageFallback),
		text("UserLocale", locale.UserLocale))

	protect := ""
	if pages.ProtectYourPC != 0 {
		protect = strconv.Itoa(pages.ProtectYourPC)
	}
	var accounts []*Element
	for i, a := range u.LocalAccounts {
		if isBlank(a.Name) {
			b.fail("local_account", "%d has no name: set one", i+1)
		}
		accounts = append(accounts, item("LocalAccount",
			password("Password", a.Password),
			text("Description", a.Description),
			text("DisplayName", a.DisplayName),
			text("Group", groupNames(a.Group)),
			&Element{Name: unattendName("Name"), Text: a.Name}))
	}
	b.add(OOBESystem, compShell,
		b.autoLogon("auto_logon", u.AutoLogon),
		b.logonCommands("first_logon_command", "FirstLogonCommands", "SynchronousCommand", u.FirstLogonCommands),
		b.logonCommands("logon_command", "LogonCommands", "AsynchronousCommand", u.LogonCommands),
		group("OOBE",
			flag("HideEULAPage", pages.HideEULAPage),
			flag("HideLocalAccountScreen", pages.HideLocalAccountScreen),
			flag("HideOEMRegistrationScreen", pages.HideOEMRegistrationScreen),
			flag("HideOnlineAccountScreens", pages.HideOnlineAccountScreens),
			flag("HideWirelessSetupInOOBE", pages.HideWirelessSetupInOOBE),
			text("NetworkLocation", pages.NetworkLocation),
			text("ProtectYourPC", protect),
			group("VMModeOptimizations",
				flag("SkipAdministratorProfileRemoval", vm.SkipAdministratorProfileRemoval),
				flag("SkipNotifyUILanguageChange", vm.SkipNotifyUILanguageChange),
				flag("SkipWinREInitialization", vm.SkipWinREInitialization))),
		group("UserAccounts",
			password("AdministratorPassword", u.AdministratorPassword),
			group("LocalAccounts", accounts...)))
}

func (b *builder) logonCommands(field, list, one string, commands []FirstLogonCommand) *Element {
	var items []*Element
	for i, c := range commands {
		if isBlank(c.CommandLine) {
			b.fail(field, "%d has no command_line: set the command line to run", i+1)
		}
		items = append(items, item(one,
			text("CommandLine", c.CommandLine),
			text("Description", c.Description),
			text("Order", strconv.Itoa(i+1)),
			flag("RequiresUserInput", c.RequiresUserInput)))
	}
	return group(list, items...)
}

func (b *builder) autoLogon(field string, a *AutoLogon) *Element {
	if a == nil {
		return nil
	}
	if isBlank(a.Username) {
		b.fail(field, "has no username: set one")
	}
	return group("AutoLogon",
		password("Password", a.Password),
		text("Domain", a.Domain),
		text("Enabled", "true"),
		text("LogonCount", strconv.Itoa(max(a.LogonCount, 1))),
		text("Username", a.Username))
}

func (b *builder) components(list []ExtraComponent) {
	for _, c := range list {
		field := fmt.Sprintf("component %q", quotable(c.Name))
		if c.Name == "" || !slices.Contains(passNames, c.Pass) {
			b.fail(field, "needs a name and a pass: use one of %s", strings.Join(passNames, ", "))
			continue
		}
		var settings []*Element
		if c.XML != "" {
			file, err := Parse([]byte(`<unattend xmlns="` + Namespace + `" xmlns:wcm="` + wcmNamespace + `">` + c.XML + `</unattend>`))
			var bad *Error
			switch {
			case errors.As(err, &bad):
				b.fail(field, "has bad xml on line %d: %s; %s", bad.Line, bad.Problem, bad.Fix)
			case !isBlank(file.Root.Text) || slices.ContainsFunc(file.Root.Children, func(e *Element) bool { return e.Tail != "" }):
				b.fail(field, "has text outside of settings in its xml: put it into a setting")
			default:
				settings = file.Root.Children
			}
		}
		for _, path := range sortedKeys(c.Settings) {
			steps := strings.Split(path, `\`)
			e := &Element{Name: unattendName(steps[len(steps)-1]), Text: c.Settings[path]}
			for i := len(steps) - 2; i >= 0; i-- {
				e = group(steps[i], e)
			}
			if slices.ContainsFunc(steps, func(s string) bool { return !isName(s) }) {
				b.fail(field, `has a setting with the path %q: write names joined by \`, quotable(path))
				continue
			}
			// One at a time, so that settings with a common parent join.
			b.add(c.Pass, c.Name, e)
		}
		b.add(c.Pass, c.Name, settings...)
	}
}

// isName reports whether s can name an element: letters and digits as in all
// settings of Windows.
func isName(s string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_'
		further := r >= '0' && r <= '9' || r == '-' || r == '.'
		if !letter && (i == 0 || !further) {
			return false
		}
	}
	return s != ""
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
