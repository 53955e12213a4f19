package answerfile

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// Constant attributes of every component.
const (
	publicKeyToken = "31bf3856ad364e35"
	language       = "neutral"
	versionScope   = "nonSxS"
)

func lintValue(l *linter) {
	for _, n := range l.nodes {
		// An empty one is for the rule on empty settings.
		if n.def == nil || n.def.values == nil || !n.leaf() || isBlank(n.el.Text) || placeholder(n.el.Text) {
			continue
		}
		if !accepts(n.def.values, strings.TrimSpace(n.el.Text)) {
			l.at(n, "not one of the values of this setting", "write "+oneOf(n.def.values))
		}
	}
}

// accepts reports whether text is one of the values, among which 1-100 is a range.
func accepts(values []string, text string) bool {
	// 0 and 1 are booleans of XML Schema too.
	if strings.EqualFold(values[0], "true") || strings.EqualFold(values[0], "false") {
		if text == "0" || text == "1" {
			return true
		}
	}
	return slices.ContainsFunc(values, func(v string) bool {
		if low, high, is := bounds(v); is {
			n, err := strconv.Atoi(text)
			return err == nil && low <= n && n <= high
		}
		return strings.EqualFold(v, text)
	})
}

// bounds reads a range such as 1-100.
func bounds(value string) (low, high int, is bool) {
	first, last, is := strings.Cut(value, "-")
	low, err := strconv.Atoi(first)
	high, err2 := strconv.Atoi(last)
	return low, high, is && err == nil && err2 == nil
}

// oneOf lists values for a person; many are cut.
func oneOf(values []string) string {
	if len(values) > 12 {
		return strings.Join(values[:12], ", ") + " or another of the reference"
	}
	return strings.Join(values, " or ")
}

func lintLength(l *linter) {
	for _, n := range l.nodes {
		// The name of a computer is counted in bytes.
		if n.def == nil || n.def.longest == 0 || n.is(compShell, "ComputerName") || n.is(compDeployment, `AuditComputerName\Name`) {
			continue
		}
		if have := units(n.el.Text); have > n.def.longest {
			fix := "shorten it"
			if n.def.command {
				fix = "put the steps into a script in the image and run the script"
			}
			l.at(n, fmt.Sprintf("%d characters, Windows allows %d", have, n.def.longest), fix)
		}
	}
}

func lintEmpty(l *linter) {
	for _, n := range l.nodes {
		if n.def == nil || !n.leaf() || !isBlank(n.el.Text) || n.el.attr(wcmNamespace, "action") == "remove" {
			continue
		}
		switch {
		case n.is(compShell, "ProductKey") || n.def.list || n.path == accountName: // rules of their own
		case n.is(compShell, `AutoLogon\Username`) && isTrue(n.parent.Value("Enabled")):
			l.as(finding.Fail, n, "no user name: Windows Setup fails", "write the name of an account, or remove AutoLogon")
		case n.def.nonempty:
			l.at(n, "Windows does not support this setting empty", "remove the element or fill it in")
		case n.def.values != nil && !n.is(compDeployment, `Reseal\Mode`):
			l.at(n, "empty, where Windows expects one of its values", "write "+oneOf(n.def.values)+", or remove the element")
		}
	}
}

// ComputerName, Windows Unattend reference: at most 15 bytes, not only
// digits, none of these characters, no blanks.
const nameForbidden = "{|}~[\\]^':;<=>?@!\"#$%`()+/.,*& \t\n\r"

func lintComputerName(l *linter) {
	for _, n := range l.nodes {
		if !n.is(compShell, "ComputerName") && !n.is(compDeployment, `AuditComputerName\Name`) || placeholder(n.el.Text) {
			continue
		}
		if problem := computerNameProblem(n.el.Text); problem != "" {
			l.at(n, problem, "write * for a random name, or at most 15 letters, digits and hyphens")
		}
	}
}

func computerNameProblem(name string) string {
	switch {
	case name == "" || name == "*":
		return ""
	case len(name) > 15:
		return fmt.Sprintf("the computer name has %d bytes, Windows allows 15", len(name))
	case strings.Trim(name, "0123456789") == "":
		return "the computer name has only digits"
	case strings.ContainsAny(name, nameForbidden):
		return "the computer name has a character that is not allowed"
	}
	return ""
}

var productKeyShape = lazyregexp.New(`^[A-Z0-9]{5}(-[A-Z0-9]{5}){4}$`)

func lintProductKey(l *linter) {
	for _, n := range l.nodes {
		switch {
		case !n.is(compShell, "ProductKey") || placeholder(n.el.Text):
		case isBlank(n.el.Text):
			l.at(n, "an empty product key makes Windows Setup fail", "remove the element or fill it in")
		case !productKeyShape.MatchString(strings.ToUpper(strings.TrimSpace(n.el.Text))):
			l.at(n, "not in the form of a product key", "write five groups of five letters and digits with hyphens, 29 characters")
		}
	}
}

func lintDeprecated(l *linter) {
	for _, n := range l.nodes {
		// One finding for the outermost setting is enough.
		if n.def == nil || n.def.deprecated == "" || n.around.deprecated != "" {
			continue
		}
		since := "deprecated setting"
		if n.def.deprecated != "yes" {
			since = "deprecated since " + n.def.deprecated
		}
		l.at(n, since, cmp.Or(n.def.instead, "remove it, or keep it for older Windows"))
	}
}

func isTrue(s string) bool {
	s = strings.TrimSpace(s)
	return s == "1" || strings.EqualFold(s, "true")
}

func lintDeviceCleanup(l *linter) {
	for _, n := range l.nodes {
		if n.is(compPnp, "DoNotCleanUpNonPresentDevices") && isTrue(n.el.Text) && !isTrue(l.value(Generalize, compPnp, "PersistAllDeviceInstalls")) {
			l.at(n, "has no effect without PersistAllDeviceInstalls", "set PersistAllDeviceInstalls to true as well")
		}
	}
}
