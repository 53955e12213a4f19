package boottest

import (
	"fmt"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// Reach is what a clone has to come to.
type Reach string

// What can be asked for. ReachAuto is resolved by Decide.
const (
	ReachAuto  Reach = "auto"
	ReachOOBE  Reach = "oobe"  // it waits for a person in OOBE, or is past it
	ReachLogon Reach = "logon" // Windows Setup is over
	ReachAudit Reach = "audit" // audit mode
)

// Reaches lists the values of the option.
func Reaches() []string {
	return []string{string(ReachAuto), string(ReachOOBE), string(ReachLogon), string(ReachAudit)}
}

// met says whether a state is one that was asked for, past it included.
func (r Reach) met(m windows.Meaning) bool {
	switch r {
	case ReachAudit:
		return m == windows.InAudit
	case ReachLogon:
		return m == windows.Installed
	}
	return m == windows.BeforeOOBE || m == windows.Installed
}

// Decision is what a clone of an image has to come to, and what leads there.
type Decision struct {
	Asked, Reach Reach
	// AsksGuest: the clone has to answer over its communicator.
	AsksGuest bool
	// AnswerFile is the one that Windows takes the pass oobeSystem from; empty: the
	// image has none.
	AnswerFile string
	// Open are the pages that this file leaves to a person.
	Open []windows.OOBEPage
}

// Decide resolves ReachAuto: audit mode where the state of the image or its answer file
// leads there, logon where the answer file that Windows uses answers every page of OOBE,
// else OOBE. A guest that is asked over its communicator has to come to logon all the
// same: before that it cannot answer.
func Decide(asked Reach, asksGuest bool, w winimage.Windows) Decision {
	d := Decision{Asked: asked, Reach: asked, AsksGuest: asksGuest}
	found := d.leads(w)
	if found == ReachOOBE && asksGuest {
		found = ReachLogon
	}
	if asked == ReachAuto {
		d.Reach = found
	}
	return d
}

// leads is where an image goes by itself; it notes the answer file and its open pages.
func (d *Decision) leads(w winimage.Windows) Reach {
	if windows.State(w.Setup.ImageState) == windows.StateGeneralizeToAudit {
		return ReachAudit
	}
	for _, f := range w.AnswerFiles {
		switch {
		case f.ToAudit:
			return ReachAudit
		case f.OOBE != nil:
			d.AnswerFile, d.Open = f.Path, open(*f.OOBE, w.OS.InstallationType)
			if len(d.Open) > 0 {
				return ReachOOBE
			}
			return ReachLogon
		}
	}
	return ReachOOBE
}

// open are the pages that OOBE shows. installation is InstallationType, Client on a
// Windows client; of an unknown one those count that a client does not have alone.
func open(o winimage.OOBE, installation string) (pages []windows.OOBEPage) {
	if o.Skipped {
		return nil
	}
	shown := func(page windows.OOBEPage, is bool) {
		if is {
			pages = append(pages, page)
		}
	}
	client := strings.EqualFold(installation, "Client")
	shown(windows.RegionPage, !o.Region)
	shown(windows.LicencePage, !o.Licence)
	shown(windows.AccountPage, client && !o.Account)
	shown(windows.AdministratorPage, !client && !o.Account && !o.NoAdministratorPage)
	shown(windows.PrivacyPage, client && !o.Privacy)
	return pages
}

// Warning is what a user should know who expects a logon, and what to do; empty: nothing.
func (d Decision) Warning() string {
	var why, fix string
	switch {
	case len(d.Open) > 0:
		var pages, answers []string
		for _, p := range d.Open {
			pages, answers = append(pages, p.Name), append(answers, p.Answer)
		}
		why = fmt.Sprintf("the answer file %s of the image leaves pages of OOBE to a person (%s)", d.AnswerFile, strings.Join(pages, ", "))
		fix = "for a clone that comes to logon, set in its pass oobeSystem: " + strings.Join(answers, "; ")
	case d.AnswerFile == "" && d.Reach == ReachLogon:
		why = "no answer file of the image has the pass oobeSystem, and OOBE waits for a person"
		fix = "give provisioner \"sysprep\" an answer file with this pass"
	default:
		return ""
	}
	switch {
	case d.Reach == ReachLogon && d.AsksGuest:
		return why + ": the clone can hardly come to logon, and only then it answers over WinRM\nnext: " + fix + "; or remove communicator from boot_test"
	case d.Reach == ReachLogon:
		return why + ": the clone can hardly come to logon (boot_test.reach = \"logon\")\nnext: " + fix + "; or set boot_test.reach = \"oobe\""
	case d.Reach == ReachOOBE && d.Asked == ReachAuto:
		return why + ": the clone has to come to OOBE only, not to logon (boot_test.reach = \"auto\")\nnext: " + fix + "; set boot_test.reach = \"oobe\" if OOBE is what is wanted"
	}
	return ""
}

// Remark is said of an image whose clone has to come to OOBE because it has no answer
// file for that; empty otherwise.
func (d Decision) Remark() string {
	if d.Asked != ReachAuto || d.Reach != ReachOOBE || d.AnswerFile != "" {
		return ""
	}
	return "no answer file of the image has the pass oobeSystem: the clone has to come to OOBE only, where it waits for a person"
}
