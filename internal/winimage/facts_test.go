package winimage

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// judged names each fact of a report that an assertion rests on, with the
// assertion.
var judged = map[string]string{
	"Disk.BitLocker": "bitlocker", "Disk.Generation": "boots", "Limits": "limits", "Windows": "windows",
	"Windows.AnswerFiles": "cached-answer-file", "Windows.AnswerFiles.Path": "cached-answer-file", "Windows.AnswerFiles.Problem": "secrets", "Windows.AnswerFiles.Secrets": "secrets",
	"Windows.Autologon.DefaultPasswordPresent": "autologon", "Windows.Autologon.Enabled": "autologon",
	"Windows.Drivers.Storage": "boot-drivers", "Windows.Drivers.Storage.Start": "boot-drivers", "Windows.Drivers.Storage.StartOverride": "boot-drivers",
	"Windows.Hives": "hives-clean", "Windows.Hives.Clean": "hives-clean", "Windows.Hives.Name": "hives-clean", "Windows.Hives.Problem": "hives-clean",
	"Windows.Leftovers": "leftovers", "Windows.Limits": "limits",
	"Windows.Log": "log", "Windows.Log.Options": "log", "Windows.Log.TagCreated": "log",
	"Windows.Problems":            "readable",
	"Windows.Setup.AuditBoot":     "audit-boot",
	"Windows.Setup.CmdLine":       "setup-command",
	"Windows.Setup.SetupType":     "setup-type",
	"Windows.Setup.StateINI":      "state-ini",
	"Windows.Setup.SysprepMode":   "vm-mode",
	"Windows.Setup.UnattendFile":  "unattend-pointer",
	"Windows.Tag":                 "tag",
	"Windows.Autologon.LSASecret": "autologon", "Secrets": "secrets", "Windows.Secrets": "secrets",
	"Boot.Missing": "boots", "Boot.Entries": "boot-entries", "Boot.Entries.Partition": "boot-entries", "Boot.Problem": "boot-entries",
	"Windows.Servicing.RestartPending": "servicing", "Windows.Servicing.PendingXML": "servicing",
	"Windows.Volume.Dirty":        "file-system-clean",
	"Windows.Volume.Hibernated":   "hibernation",
	"Windows.Volume.LogClean":     "file-system-clean",
	"Windows.Volume.ShadowCopies": "shadow-copies",

	"Windows.Setup.GeneralizationState": "generalization-state", "Windows.Setup.ImageState": "image-state",
}

// told are facts for the reader, which no assertion rests on. (Unread names
// other facts; TestEveryBrokenFactIsNamedAndNothingElse has its values.)
var told = regexp.MustCompile(`^(Time|Problems|Disk\.(Path|Format|Chain|VirtualSize|SectorSize|TableSector|Scheme|Partitions|Others|Warnings|Requests|Bytes)` +
	`|Against|Windows\.Identity\..*|Boot|Boot\.(Partition|Loader|Manager|Signatures|Default|Store|Store\..*|SignedBy|Entries\.(ID|Name))|Windows\.(Starting|Servicing\.(FileRenames|Leftovers)|Partition|FirstBoot|OS\..*|Clock\..*|SkipRearm|Unread|Tag\..*|Log\.(Path|Size|Created|Modified|Record|Sequence|Runs|Last|Diagnosis)` +
	`|AnswerFiles\.(Size|Created|Modified|Record|Sequence|Passes|ToAudit|Generalizes|PowersOff|KeepsDrivers|OOBE|OOBE\..*)|Autologon\.User|Drivers\.Storage\.Name|Drivers\.Network|Hives\.(Replayed|Broken)` +
	`|Setup\.(CleanupState|SystemSetupInProgress|OOBEInProgress|SetupCompletion|UnattendFileExists|Upgraded|DeletesCached)|Volume\.(Size|Free|PageFile|SwapFile)))$`)

// TestEachFactBreaksItsAssertionAlone changes one fact of a good report at a
// time, in every way its kind allows. No fact fails two assertions, and each is
// either judged or only told.
func TestEachFactBreaksItsAssertionAlone(t *testing.T) {
	broke := map[string]map[string]bool{}
	for _, m := range mutants(t) {
		ids := broke[m.path]
		if ids == nil {
			ids = map[string]bool{}
			broke[m.path] = ids
		}
		var failed []string
		if len(m.report.Windows) > 1 {
			continue // TestEachOfTwoWindowsIsProven
		}
		for _, a := range Prove(m.report, expectation()) {
			if !a.Holds {
				failed = append(failed, a.ID)
				ids[a.ID] = true
			}
		}
		if len(failed) > 1 && m.path != "Windows" { // without a Windows the disk is judged alone
			t.Errorf("%s as %s fails %v", m.path, m.as, failed)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(broke)) {
		ids, want := slices.Sorted(maps.Keys(broke[path])), judged[path]
		switch {
		case want == "" && (len(ids) > 0 || !told.MatchString(path)):
			t.Errorf("%s fails %v, and is neither judged nor told", path, ids)
		case want != "" && !slices.Equal(ids, []string{want}):
			t.Errorf("%s fails %v, want %s", path, ids, want)
		}
	}
	seen := map[string]bool{}
	for path, id := range judged {
		if seen[id] = true; broke[path] == nil {
			t.Errorf("no report has the fact %s", path)
		}
	}
	for _, id := range AssertionIDs() {
		if !seen[id] {
			t.Errorf("no fact breaks %s", id)
		}
	}
}

// mutant is a good report with one fact changed.
type mutant struct {
	path, as string
	report   Facts
}

func mutants(t *testing.T) (all []mutant) {
	t.Helper()
	// walk visits the facts of a report; change says which of their changes to make.
	var walk func(v reflect.Value, path string, visit func(path string, v reflect.Value))
	walk = func(v reflect.Value, path string, visit func(string, reflect.Value)) {
		switch {
		case v.Type() == reflect.TypeFor[time.Time]():
			visit(path, v)
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				name := path
				if f := v.Type().Field(i); !f.Anonymous {
					name = strings.TrimPrefix(path+"."+f.Name, ".")
				}
				walk(v.Field(i), name, visit)
			}
		default:
			visit(path, v)
			if v.Kind() == reflect.Pointer && !v.IsNil() && v.Elem().Kind() == reflect.Struct {
				walk(v.Elem(), path, visit)
			}
			if v.Kind() == reflect.Slice && v.Len() > 0 && v.Type().Elem().Kind() == reflect.Struct {
				walk(v.Index(0), path, visit)
			}
		}
	}
	for n := 0; ; n++ {
		r, at, path, as := copied(t), 0, "", ""
		walk(reflect.ValueOf(&r).Elem(), "", func(p string, v reflect.Value) {
			for _, to := range changes(v) {
				if at == n {
					path, as = p, fmt.Sprintf("%v", reflect.Indirect(to))
					v.Set(to)
				}
				at++
			}
		})
		if path == "" {
			return all
		}
		all = append(all, mutant{path, as, r})
	}
}

func copied(t *testing.T) Facts {
	t.Helper()
	raw, err := json.Marshal(good())
	if err != nil {
		t.Fatal(err)
	}
	var r Facts
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// changes are the values that a fact may have instead.
func changes(v reflect.Value) (to []reflect.Value) {
	add := func(x any) {
		if c := reflect.ValueOf(x).Convert(v.Type()); !reflect.DeepEqual(c.Interface(), v.Interface()) {
			to = append(to, c)
		}
	}
	switch v.Interface().(type) {
	case time.Time:
		add(v.Interface().(time.Time).Add(time.Hour))
		return to
	case *uint32:
		add((*uint32)(nil))
		for _, n := range []uint32{0, 1, 3, 7} {
			add(&n)
		}
		return to
	}
	switch v.Kind() {
	case reflect.Bool:
		add(!v.Bool())
	case reflect.String:
		add("")
		add("other")
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint16, reflect.Uint32:
		for _, n := range []int{0, 1, 3, 7} {
			add(n)
		}
	case reflect.Pointer:
		if v.IsNil() {
			to = append(to, reflect.New(v.Type().Elem()))
		} else {
			to = append(to, reflect.Zero(v.Type()))
		}
	case reflect.Slice:
		to = append(to, reflect.Append(v, reflect.Zero(v.Type().Elem())))
		if v.Len() > 0 {
			to = append(to, reflect.Zero(v.Type()), reflect.Append(v, v.Index(0)))
		}
	}
	return to
}
