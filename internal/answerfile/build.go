package answerfile

import (
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Build makes the answer file of a Spec for a guest's architecture (amd64, x86
// or arm64). It returns all contradictions of the Spec at once, by the names
// the fields have in a template; what values Windows accepts is judged by
// Lint.
func Build(spec Spec, arch string) (*File, error) {
	arch = strings.ToLower(arch)
	b := &builder{arch: arch, file: emptyFile()}
	if !slices.Contains([]string{"amd64", "x86", "arm64"}, arch) {
		b.fail("architecture", "is %q: use amd64, x86 or arm64", arch)
	}
	b.generalize(spec.Generalize)
	b.specialize(spec.Specialize)
	b.audit(spec.Audit)
	b.oobe(spec.OOBE)
	b.reseal(spec.Reseal)
	b.extra(spec.Components)
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
	e.Attrs = []xml.Attr{{Name: xml.Name{Space: wcmNamespace, Local: "action"}, Value: "add"}}
	return e
}

func text(name, value string) *Element {
	if value == "" {
		return nil
	}
	return &Element{Name: unattendName(name), Text: value}
}

func flag(name string, value *bool) *Element {
	if value == nil {
		return nil
	}
	return text(name, strconv.FormatBool(*value))
}

func password(name string, value Secret) *Element {
	if value == "" {
		return nil
	}
	return group(name, text("Value", EncodePassword(string(value), name)), text("PlainText", "false"))
}

func (b *builder) generalize(s GeneralizeSpec) {
	b.add(Generalize, compPnp,
		flag("PersistAllDeviceInstalls", s.PersistAllDeviceInstalls),
		flag("DoNotCleanUpNonPresentDevices", s.DoNotCleanUpNonPresentDevices))
	if s.SkipRearm != nil {
		number := map[bool]string{false: "0", true: "1"}
		b.add(Generalize, compSPP, text("SkipRearm", number[*s.SkipRearm]))
	}
}

func (b *builder) specialize(s SpecializeSpec) {
	key := string(s.ProductKey)
	if s.ProductKeyEdition != "" {
		var ok bool
		switch key, ok = ProductKeyFor(s.ProductKeyEdition); {
		case s.ProductKey != "":
			b.fail("product_key", "and product_key_edition exclude each other: set one of them")
		case !ok:
			b.fail("product_key_edition", "%q has no published volume licence key: use a name such as %q, or set product_key",
				quotable(s.ProductKeyEdition), "Windows Server 2022 Datacenter")
		}
	}
	b.add(Specialize, compShell,
		text("ComputerName", s.ComputerName),
		flag("CopyProfile", s.CopyProfile),
		text("ProductKey", key),
		text("RegisteredOrganization", s.RegisteredOrganization),
		text("RegisteredOwner", s.RegisteredOwner),
		text("TimeZone", s.TimeZone))
	b.add(Specialize, compSPPUX, flag("SkipAutoActivation", s.SkipAutoActivation))
	b.add(Specialize, compDeployment,
		group("ExtendOSPartition", flag("Extend", s.ExtendOSPartition)),
		b.runSynchronous("run_synchronous", s.RunSynchronous))
}

func (b *builder) runSynchronous(field string, commands []RunCommand) *Element {
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

func (b *builder) audit(s AuditSpec) {
	b.add(AuditSystem, compShell,
		b.autoLogon("audit auto_logon", s.AutoLogon),
		group("UserAccounts", password("AdministratorPassword", s.AdministratorPassword)))
	b.add(AuditUser, compDeployment, b.runSynchronous("audit run_synchronous", s.RunSynchronous))
	if g := s.DeploymentGeneralize; g != nil {
		b.add(AuditUser, compDeployment, b.reset("deployment_generalize", "Generalize", *g))
	}
}

func (b *builder) reset(field, name string, r Reset) *Element {
	i := slices.IndexFunc(modes, func(m string) bool { return strings.EqualFold(m, r.Mode) })
	if i < 0 {
		b.fail(field, "has mode %q: use oobe or audit", quotable(r.Mode))
		return nil
	}
	return group(name, flag("ForceShutdownNow", r.ForceShutdownNow), text("Mode", modes[i]))
}

func (b *builder) reseal(list []Reseal) {
	seen := map[string]bool{}
	for _, r := range list {
		switch {
		case !slices.Contains(resetPasses, r.Pass):
			b.fail("reseal", "is not valid in pass %q: use %s", quotable(r.Pass), strings.Join(resetPasses, ", "))
		case seen[r.Pass]:
			b.fail("reseal", "stands twice for pass %s: keep one", r.Pass)
		default:
			b.add(r.Pass, compDeployment, b.reset("reseal", "Reseal", r.Reset))
		}
		seen[r.Pass] = true
	}
}

func (b *builder) oobe(s OOBESpec) {
	b.add(OOBESystem, compInternational,
		text("InputLocale", s.Locale.InputLocale),
		text("SystemLocale", s.Locale.SystemLocale),
		text("UILanguage", s.Locale.UILanguage),
		text("UILanguageFallback", s.Locale.UILanguageFallback),
		text("UserLocale", s.Locale.UserLocale))

	protect := ""
	if s.Pages.ProtectYourPC != 0 {
		protect = strconv.Itoa(s.Pages.ProtectYourPC)
	}
	var accounts, commands []*Element
	for i, a := range s.LocalAccounts {
		if isBlank(a.Name) {
			b.fail("local_account", "%d has no name: set one", i+1)
		}
		accounts = append(accounts, item("LocalAccount",
			password("Password", a.Password),
			text("Description", a.Description),
			text("DisplayName", a.DisplayName),
			text("Group", a.Group),
			&Element{Name: unattendName("Name"), Text: a.Name}))
	}
	for i, c := range s.FirstLogonCommands {
		if isBlank(c.CommandLine) {
			b.fail("first_logon_command", "%d has no command_line: set the command line to run", i+1)
		}
		commands = append(commands, item("SynchronousCommand",
			text("CommandLine", c.CommandLine),
			text("Description", c.Description),
			text("Order", strconv.Itoa(i+1)),
			flag("RequiresUserInput", c.RequiresUserInput)))
	}
	b.add(OOBESystem, compShell,
		b.autoLogon("auto_logon", s.AutoLogon),
		group("FirstLogonCommands", commands...),
		group("OOBE",
			flag("HideEULAPage", s.Pages.HideEULAPage),
			flag("HideLocalAccountScreen", s.Pages.HideLocalAccountScreen),
			flag("HideOEMRegistrationScreen", s.Pages.HideOEMRegistrationScreen),
			flag("HideOnlineAccountScreens", s.Pages.HideOnlineAccountScreens),
			flag("HideWirelessSetupInOOBE", s.Pages.HideWirelessSetupInOOBE),
			text("NetworkLocation", s.Pages.NetworkLocation),
			text("ProtectYourPC", protect),
			group("VMModeOptimizations",
				flag("SkipAdministratorProfileRemoval", s.VMModeOptimizations.SkipAdministratorProfileRemoval),
				flag("SkipNotifyUILanguageChange", s.VMModeOptimizations.SkipNotifyUILanguageChange),
				flag("SkipWinREInitialization", s.VMModeOptimizations.SkipWinREInitialization))),
		group("UserAccounts",
			password("AdministratorPassword", s.AdministratorPassword),
			group("LocalAccounts", accounts...)))
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

func (b *builder) extra(list []ExtraComponent) {
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
				b.fail(field, "has bad xml in line %d: %s; %s", bad.Line, bad.Problem, bad.Fix)
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
