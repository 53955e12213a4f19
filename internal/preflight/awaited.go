package preflight

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// cloudAgents are services that start with Windows and that clouds need.
var cloudAgents = []string{"RdAgent", "WindowsAzureGuestAgent", "AmazonSSMAgent", "GCEAgent"}

// Awaited lists what is at work, as a person calls it: the first boot, updates and
// installations, and agents that do not run yet or, as Cloudbase-Init, run until they are
// done. What is not known is not waited for.
func (f Facts) Awaited(firstBoot, servicing, agents bool) (what []string) {
	if firstBoot {
		state, _ := f.ImageState.Get()
		setup, _ := f.Setup.Get()
		switch means := windows.State(state.Registry).Means(); {
		case means == windows.InAudit: // where Setup may call itself unfinished
		case means == windows.Unfinished, means == windows.BeforeOOBE, nonZero(setup.Setup.SystemSetupInProgress), nonZero(setup.Setup.OOBEInProgress):
			what = append(what, "Windows Setup is at work")
		}
	}
	if p, known := f.Processes.Get(); known && servicing {
		for _, name := range p.Servicing() {
			what = append(what, name+" is at work")
		}
	}
	all, known := f.Services.Get()
	if !known || !agents {
		return what
	}
	for _, name := range cloudAgents {
		if s, there := all[name]; there && s.Start != nil && *s.Start == 2 && s.Status != nil && !s.runs() {
			what = append(what, fmt.Sprintf("the agent %s does not run (%s)", name, short(*s.Status)))
		}
	}
	if all["cloudbase-init"].runs() {
		what = append(what, "Cloudbase-Init has not ended")
	}
	return what
}

// Take takes the facts of other groups, or those of the same groups anew.
func (f *Facts) Take(other Facts) {
	before, known := f.Processes.Get()
	if now, again := other.Processes.Get(); known && again {
		other.Processes = Known(now.since(before))
	}
	if f.Time.IsZero() {
		f.Time = other.Time
	}
	for _, g := range other.Asked {
		if !slices.Contains(f.Asked, g) {
			f.Asked = append(f.Asked, g)
		}
	}
	to, from := reflect.ValueOf(f).Elem(), reflect.ValueOf(other)
	for i := range from.NumField() {
		if name := from.Type().Field(i).Name; name != "Time" && name != "Asked" && !from.Field(i).IsZero() {
			to.Field(i).Set(from.Field(i))
		}
	}
}

// Told reports whether the guest told anything.
func (f Facts) Told() bool {
	v := reflect.ValueOf(f)
	for i := range v.NumField() {
		if fact, ok := v.Field(i).Interface().(interface{ Why() string }); ok && fact.Why() == "" {
			return true
		}
	}
	return false
}
