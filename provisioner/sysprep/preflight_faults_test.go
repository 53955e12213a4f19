package sysprep

import (
	"slices"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/packercomm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/preflight"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// Each fault of the simulated guest is met by the checks that are for it, and no other
// one.
func TestEachFaultIsMetByItsChecks(t *testing.T) {
	t.Parallel()
	for _, fault := range append([]string{""}, winsim.Faults()...) {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			var scenario winsim.Scenario
			if fault != "" {
				scenario.Faults = []string{fault}
			}
			g := newGuestRun(t, scenario, nil)
			g.start()
			s := guest.New(packercomm.New(g.communicator(), time.Minute), "id")
			if _, err := s.Look(t.Context()); err != nil {
				t.Fatal(err)
			}
			answer, err := s.Preflight(t.Context(), []guest.Group{guest.GroupBase, guest.GroupAppx, guest.GroupLicensing, guest.GroupRoles, guest.GroupEvents, guest.GroupEFS})
			if err != nil {
				t.Fatal(err)
			}
			j := preflight.Judge(taken(answer), preflight.Plan{Generalize: true, VMMode: true}, nil)
			got := []string{}
			for _, r := range j.Ordered() {
				got = append(got, string(r.Severity)+" "+r.Check.ID)
			}
			expected, known := faultChecks[fault]
			if !known && fault != "" {
				t.Fatalf("no row for the fault: %q", got)
			}
			if !slices.Equal(got, expected) {
				t.Errorf("%q, want %q", got, expected)
			}
			// What sysprep refuses is met before.
			if class := winsim.FaultClass(fault); class != "" && !slices.ContainsFunc(j.Ordered(), func(r preflight.Result) bool { return slices.Contains(r.Check.Causes, class) }) {
				t.Errorf("a run is refused for %s, and no check predicts that", class)
			}
		})
	}
}

// The causes that checks predict are in the catalogue.
func TestTheCausesOfChecksAreInTheCatalogue(t *testing.T) {
	t.Parallel()
	for _, c := range preflight.Checks() {
		for _, cause := range c.Causes {
			if _, known := diagnosis.ByID(cause); !known {
				t.Errorf("%s predicts %s, which is not in the catalogue", c.ID, cause)
			}
		}
	}
}

// faultChecks are what is said of each fault of the simulated guest. Of a guest without one
// nothing is said.
var faultChecks = map[string][]string{
	"appx-per-user":             {"fail appx-per-user"},
	"appx-newer":                {"warn appx-newer"},
	"appx-of-a-lost-profile":    {"fail appx-profile-gone"},
	"appx-sechealthui":          {"warn appx-system-unprovisioned"},
	"appx-desktopappinstaller":  {"warn appx-two-versions", "warn appx-newer"},
	"appxsvc-disabled":          {"fail appxsvc-disabled"},
	"dmwappushservice-disabled": {"warn dmwappushservice-disabled"},
	"wuauserv-disabled":         {"warn wuauserv-disabled"},
	"trustedinstaller-disabled": {"warn trustedinstaller-disabled"},
	"sppsvc-disabled":           {"fail software-protection-disabled"},
	"search-running":            {"warn windows-search"},
	"wmp-sharing":               {"warn media-sharing"},
	"cdrom-disabled":            {"info cdrom"},
	"bitlocker":                 {"fail bitlocker"},
	"device-encryption":         {"fail bitlocker"},
	"tpm":                       {},
	"reserved-storage":          {"info reserved-storage"},
	"active-scenario":           {"warn active-scenario", "info reserved-storage"},
	"updates-pending":           {"fail reboot-pending"},
	"packages-pending":          {"warn servicing-staged"},
	"file-renames":              {"info file-renames"},
	"servicing":                 {"warn servicing-busy"},
	"rearm-exhausted":           {"fail rearm"},
	"rearm-last":                {"warn rearm"},
	"evaluation-expired":        {"warn evaluation-end"},
	"dsc":                       {"warn dsc"},
	"defender-onboarded":        {"warn defender-onboarded"},
	"event-log-moved":           {"warn event-logs-moved"},
	"provider-missing":          {"fail external-provider-missing"},
	"provider-third-party":      {"warn external-provider-other"},
	"upgraded":                  {"info upgraded"},
	"domain-member":             {"warn domain-joined"},
	"domain-controller":         {"fail domain-controller", "warn unsupported-role"},
	"role-unsupported":          {"warn unsupported-role"},
	"hyperv-switches":           {"warn hyperv-switches"},
	"nps":                       {"warn unsupported-role", "warn nps-clients"},
	"cluster":                   {"warn cluster"},
	"answer-files":              {"warn answer-files-left"},
	"answer-pointer":            {"warn answer-file-pointer"},
	"answer-media":              {"warn answer-files-left"},
	"profile-lost":              {"warn orphaned-profiles"},
	"disk-full":                 {"warn disk-space"},
	"encrypted-files":           {"warn efs"},
	"autologon":                 {"warn autologon"},
	"physical":                  {"fail vm-mode"},
	"page-file-moved":           {"info page-file"},
	"winrm-open":                {"warn winrm"},
	"packer-leftovers":          {"warn packer-leftovers"},
	"second-system":             {"warn several-systems"},
	"skip-rearm":                {"warn skip-rearm"},
	"no-token-policy":           {},
}

// A guest of which no fact can be read is accused of nothing and cleared of nothing.
func TestNoCheckOfAGuestThatTellsNothing(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{Condition: winsim.Condition{Unreadable: winsim.FactNames()}}, nil)
	g.start()
	s := guest.New(packercomm.New(g.communicator(), time.Minute), "id")
	answer, err := s.Preflight(t.Context(), []guest.Group{guest.GroupBase, guest.GroupAppx, guest.GroupLicensing, guest.GroupRoles, guest.GroupEvents, guest.GroupEFS})
	if err != nil {
		t.Fatal(err)
	}
	j := preflight.Judge(taken(answer), preflight.Plan{Generalize: true, VMMode: true, Azure: true, SetupComplete: true, Now: time.Now()}, nil)
	if len(j.Results) != len(preflight.Checks()) || j.Skipped != 0 {
		t.Errorf("%d of %d checks were made, %d left out", len(j.Results), len(preflight.Checks()), j.Skipped)
	}
	for _, r := range j.Results {
		if r.Outcome != preflight.CannotTell {
			t.Errorf("%s: outcome %d: %s", r.Check.ID, r.Outcome, r.Summary)
		}
	}
}
