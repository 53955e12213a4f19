package answerfile

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

//go:embed zones.tsv
var zonesTable string

//go:embed regions.tsv
var regionsTable string

// zones are the time zones that Windows knows.
type zones struct {
	// names are those of Windows by themselves in small letters: the registry,
	// where Windows looks them up, knows no case.
	names map[string]string
	// iana are the names of Windows by those of IANA, in small letters.
	iana map[string]string
}

// former time zones, which Windows has and CLDR has not (HKLM\SOFTWARE\
// Microsoft\Windows NT\CurrentVersion\Time Zones of Windows 10 and 11).
var formerZones = []string{"Mid-Atlantic Standard Time", "Kamchatka Standard Time"}

var timeZones = sync.OnceValue(func() zones {
	z := zones{map[string]string{}, map[string]string{}}
	for line := range strings.Lines(zonesTable) {
		name, iana, _ := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		if strings.HasPrefix(name, "#") {
			continue
		}
		z.names[strings.ToLower(name)] = name
		for alias := range strings.FieldsSeq(iana) {
			if lower := strings.ToLower(alias); z.iana[lower] == "" {
				z.iana[lower] = name
			}
		}
	}
	for _, name := range formerZones {
		z.names[strings.ToLower(name)] = name
	}
	return z
})

// zoneNames are those of Windows.
var zoneNames = sync.OnceValue(func() []string { return slices.Sorted(maps.Values(timeZones().names)) })

// noDST at the end of a time zone turns daylight saving time off (reference,
// TimeZone).
const noDST = "_dstoff"

// WindowsTimeZone returns the name of Windows for a time zone that is written
// as in Windows, in whatever case, or as by IANA, for example Europe/Berlin.
func WindowsTimeZone(name string) (zone string, ok bool) {
	lower := strings.ToLower(strings.TrimSpace(name))
	if zone, ok = timeZones().names[strings.TrimSuffix(lower, noDST)]; ok {
		if strings.HasSuffix(lower, noDST) {
			zone += noDST
		}
		return zone, true
	}
	zone, ok = timeZones().iana[lower]
	return zone, ok
}

func lintTimeZone(l *linter) {
	for _, n := range l.nodes {
		text := n.el.Text
		if !n.is(compShell, "TimeZone") || isBlank(text) || placeholder(text) {
			continue
		}
		lower := strings.ToLower(strings.TrimSpace(text))
		if timeZones().names[strings.TrimSuffix(lower, noDST)] != "" {
			continue
		}
		if zone := timeZones().iana[lower]; zone != "" {
			l.at(n, "a time zone as IANA writes it, which Windows does not know", "write "+zone)
			continue
		}
		fix := "write a name that tzutil /l lists"
		if near := l.nearest(strings.TrimSpace(text), zoneNames); near != "" {
			fix = "write " + near
		}
		l.at(n, "not a time zone that Windows knows", fix)
	}
}

// subtags are the languages and regions of BCP 47, and the regions that are
// written differently now.
type subtags struct {
	languages, regions map[string]bool
	former             map[string]string
}

var known47 = sync.OnceValue(func() subtags {
	s := subtags{map[string]bool{}, map[string]bool{}, map[string]string{}}
	for line := range strings.Lines(regionsTable) {
		kind, list, _ := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		for tag := range strings.FieldsSeq(list) {
			switch kind {
			case "language":
				s.languages[tag] = true
			case "region":
				s.regions[tag] = true
			case "former":
				old, now, _ := strings.Cut(tag, "=")
				s.former[old] = now
			}
		}
	}
	return s
})

var (
	// keyboardText is a locale id and a keyboard, or an input method with its
	// profile (Windows Unattend reference, InputLocale).
	keyboardText = lazyregexp.New(`^[0-9A-Fa-f]{4}:(?:[0-9A-Fa-f]{8}|\{[0-9A-Fa-f-]{36}\}\{[0-9A-Fa-f-]{36}\})$`)
	// localeText is language, script, region and variants, or a sort order as
	// Windows writes it (es-ES_tradnl).
	localeText = lazyregexp.New(`^([A-Za-z]{2,3})(?:-[A-Za-z]{4})?(?:-([A-Za-z]{2}|[0-9]{3}))?(?:-[A-Za-z0-9]{5,8}|-[0-9][A-Za-z0-9]{3})*(?:_[A-Za-z]{5,6})?$`)
	// pseudoLocales are Windows' own, for tests.
	pseudoLocales = []string{"qps-ploc", "qps-ploca", "qps-plocm", "qps-latn-x-sh", "zh-chs", "zh-cht"}
)

// localeProblem says what is wrong with a language, "" for nothing.
func localeProblem(tag string) (problem, fix string) {
	if slices.Contains(pseudoLocales, strings.ToLower(tag)) {
		return "", ""
	}
	parts := localeText.FindStringSubmatch(tag)
	if parts == nil {
		return "not a language as BCP 47 writes it", "write a tag such as en-US"
	}
	language, region := strings.ToLower(parts[1]), strings.ToUpper(parts[2])
	switch now := known47().former[region]; {
	case !known47().languages[language]:
		return "there is no such language", "write a tag such as en-US: the language, a hyphen, the country"
	case now != "" && region != "CS": // Windows has sr-Latn-CS
		return "there is no such region", fmt.Sprintf("write %s-%s", language, now)
	case len(region) == 2 && !known47().regions[region] && region != "CS":
		return "there is no such region", "write a tag such as en-US: the language, a hyphen, the country"
	}
	return "", ""
}

func lintLocale(l *linter) {
	for _, n := range l.nodes {
		if !strings.EqualFold(n.comp.Name(), compInternational) && !strings.EqualFold(n.comp.Name(), compWinPELocale) || !n.leaf() || isBlank(n.el.Text) || placeholder(n.el.Text) {
			continue
		}
		switch n.el.Name.Local {
		case "InputLocale":
			for one := range strings.SplitSeq(n.el.Text, ";") {
				if one = strings.TrimSpace(one); one == "" || keyboardText.MatchString(one) {
					continue
				}
				if problem, fix := localeProblem(one); problem != "" {
					if strings.Contains(one, ":") {
						problem, fix = "not a keyboard as Windows writes it", "write four digits, a colon and eight digits, such as 0409:00000409, or a language such as en-US"
					}
					l.at(n, problem, fix)
					break
				}
			}
		case "SystemLocale", "UILanguage", "UILanguageFallback", "UserLocale":
			if problem, fix := localeProblem(strings.TrimSpace(n.el.Text)); problem != "" {
				l.at(n, problem, fix)
			}
		}
	}
}

// groups that Windows knows by an English name in every language: Setup
// recognises those (Windows Unattend reference, LocalAccount\Group), with the
// SIDs of MS-DTYP §2.4.2.4.
var groups = []struct{ sid, name, also string }{
	{"S-1-5-32-544", "Administrators", ""},
	{"S-1-5-32-545", "Users", ""},
	{"S-1-5-32-546", "Guests", ""},
	{"S-1-5-32-547", "PowerUsers", "Power Users"},
	{"S-1-5-32-548", "AccountOperators", "Account Operators"},
	{"S-1-5-32-549", "SystemOperators", "Server Operators"},
	{"S-1-5-32-550", "PrintOperators", "Print Operators"},
	{"S-1-5-32-551", "BackupOperators", "Backup Operators"},
	{"S-1-5-32-552", "Replicator", ""},
	{"S-1-5-32-555", "RemoteDesktopUsers", "Remote Desktop Users"},
	{"S-1-5-32-556", "NetworkConfigurationOperators", "Network Configuration Operators"},
	{"S-1-5-32-558", "PerfMonitoringUsers", "Performance Monitor Users"},
	{"S-1-5-32-559", "PerfLoggingUsers", "Performance Log Users"},
	{"S-1-5-32-562", "DCOMUsers", "Distributed COM Users"},
	{"S-1-5-32-568", "IUsers", "IIS_IUSRS"},
	{"S-1-5-32-569", "CryptoOperators", "Cryptographic Operators"},
}

// GroupName returns the name that Windows knows in every language for the SID
// of a built-in group, for example Administrators for S-1-5-32-544.
func GroupName(sid string) (name string, ok bool) {
	for _, g := range groups {
		if strings.EqualFold(g.sid, strings.TrimSpace(sid)) {
			return g.name, true
		}
	}
	return "", false
}

func lintAccountGroup(l *linter) {
	english := l.english()
	for _, n := range l.nodes {
		if n.path != `UserAccounts\LocalAccounts\LocalAccount\Group` || !strings.EqualFold(n.comp.Name(), compShell) || placeholder(n.el.Text) {
			continue
		}
		for one := range strings.SplitSeq(n.el.Text, ";") {
			one = strings.TrimSpace(one)
			name, isSID := GroupName(one)
			knownName := slices.ContainsFunc(groups, func(g struct{ sid, name, also string }) bool {
				return strings.EqualFold(g.name, one) || g.also != "" && strings.EqualFold(g.also, one)
			})
			switch {
			case one == "" || knownName:
			case isSID:
				l.as(finding.Warn, n, "a SID where Windows expects the name of a group", "write "+name+", which Windows knows in every language")
			case strings.HasPrefix(strings.ToUpper(one), "S-1-"):
				l.as(finding.Warn, n, "a SID where Windows expects the name of a group", "write the name of the group")
			case !english:
				l.at(n, "a group that Windows knows only by its name in its own language, or that is not built in",
					"check that the group has this name in the image; the built-in ones have English names that Windows knows in every language")
			}
		}
	}
}

// english reports whether the languages of the file are English, or not known.
func (l *linter) english() bool {
	for _, n := range l.nodes {
		if strings.EqualFold(n.comp.Name(), compInternational) && n.path == "UILanguage" && !isBlank(n.el.Text) &&
			!placeholder(n.el.Text) && !strings.HasPrefix(strings.ToLower(strings.TrimSpace(n.el.Text)), "en") {
			return false
		}
	}
	return true
}
