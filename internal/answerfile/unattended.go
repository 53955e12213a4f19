package answerfile

import "strings"

const deploymentComponent = "Microsoft-Windows-Deployment"

// Route is what an answer file makes of a generalized image that boots and that
// nobody connects to (Microsoft, "Generalize" and "Reseal" of
// Microsoft-Windows-Deployment).
type Route struct {
	// ToAudit: oobeSystem goes on to audit mode, where auditUser runs.
	ToAudit bool
	// Generalize is how auditUser generalizes: for a first boot into OOBE or Audit,
	// in this spelling; empty: it does not.
	Generalize string
	// PowersOff: Windows powers itself off after that. Otherwise it restarts.
	PowersOff bool
}

// KeepsDrivers reports whether the pass generalize sets PersistAllDeviceInstalls, so
// that sysprep leaves the settings of drivers as they are (Microsoft, "Maintain
// Driver Configurations when Capturing a Windows Image").
func (f *File) KeepsDrivers() bool {
	e := f.Find(Generalize, compPnp, "PersistAllDeviceInstalls")
	return e != nil && isTrue(e.Text)
}

// Route reads it. A pass that Windows has marked as run counts for nothing.
func (f *File) Route() Route {
	var r Route
	for _, p := range f.Passes() {
		if strings.EqualFold(p.Attr("wasPassProcessed"), "true") {
			continue
		}
		for _, c := range p.Components() {
			if !strings.EqualFold(c.Name(), deploymentComponent) {
				continue
			}
			switch p.Name() {
			case OOBESystem:
				r.ToAudit = r.ToAudit || strings.EqualFold(c.Value("Reseal", "Mode"), "Audit")
			case AuditUser:
				g := c.Child("Generalize")
				if g == nil {
					continue
				}
				if r.Generalize = "OOBE"; strings.EqualFold(g.Value("Mode"), "Audit") {
					r.Generalize = "Audit"
				}
				r.PowersOff = strings.EqualFold(g.Value("ForceShutdownNow"), "true")
			}
		}
	}
	return r
}
