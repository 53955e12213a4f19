package winimage

import (
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/answerfile"
)

// OOBE is which pages of OOBE an answer file answers, in a pass oobeSystem that Windows
// has not run yet (Microsoft, "Automate OOBE"). [oobe-pages]
type OOBE struct {
	// Skipped: SkipMachineOOBE, which leaves all pages out.
	Skipped bool `json:"skipped,omitempty"`
	// Region: Microsoft-Windows-International-Core is there.
	Region bool `json:"region,omitempty"`
	// Licence: HideEULAPage.
	Licence bool `json:"licence,omitempty"`
	// Account: a local or domain account, the Administrator's password, or AutoLogon.
	Account bool `json:"account,omitempty"`
	// NoAdministratorPage: HideLocalAccountScreen, which only Windows Server has a page for.
	NoAdministratorPage bool `json:"no_administrator_page,omitempty"`
	// Privacy: ProtectYourPC has a value.
	Privacy bool `json:"privacy,omitempty"`
}

// readOOBE is nil where the file has no such pass, or Windows has run it.
func readOOBE(f *answerfile.File) (o *OOBE) {
	for _, p := range f.Passes() {
		if p.Name() != answerfile.OOBESystem || strings.EqualFold(p.Attr("wasPassProcessed"), "true") {
			continue
		}
		if o == nil {
			o = &OOBE{}
		}
		for _, c := range p.Components() {
			switch strings.ToLower(c.Name()) {
			case "microsoft-windows-international-core":
				o.Region = true
			case "microsoft-windows-shell-setup":
				o.shell(c)
			}
		}
	}
	return o
}

func (o *OOBE) shell(c answerfile.Component) {
	is := func(setting string) bool {
		switch strings.ToLower(strings.TrimSpace(c.Value("OOBE", setting))) {
		case "true", "1":
			return true
		}
		return false
	}
	o.Skipped = o.Skipped || is("SkipMachineOOBE")
	o.Licence = o.Licence || is("HideEULAPage")
	o.NoAdministratorPage = o.NoAdministratorPage || is("HideLocalAccountScreen")
	o.Privacy = o.Privacy || strings.TrimSpace(c.Value("OOBE", "ProtectYourPC")) != ""
	o.Account = o.Account || c.Child("AutoLogon") != nil
	if accounts := c.Child("UserAccounts"); accounts != nil {
		for _, of := range []string{"AdministratorPassword", "LocalAccounts", "DomainAccounts"} {
			o.Account = o.Account || accounts.Child(of) != nil
		}
	}
}
