package boottest

import (
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// answers is an answer file at a path that answers every page, with changes.
func answers(path string, change func(*winimage.OOBE)) winimage.AnswerFile {
	o := winimage.OOBE{Region: true, Licence: true, Account: true, Privacy: true}
	change(&o)
	return winimage.AnswerFile{File: winimage.File{Path: path}, OOBE: &o}
}

func whole(*winimage.OOBE) {}

func TestWhatIsAskedOfAnImage(t *testing.T) {
	const server, client = "Server", "Client"
	with := func(change func(*winimage.OOBE)) []winimage.AnswerFile {
		return []winimage.AnswerFile{answers("a.xml", change)}
	}
	none := func(o *winimage.OOBE) { *o = winimage.OOBE{} }
	toAudit := answers("a.xml", none)
	toAudit.ToAudit = true
	other := winimage.AnswerFile{Passes: []string{"specialize"}} // no oobeSystem, or one that has run
	for name, c := range map[string]struct {
		state windows.State
		kind  string
		files []winimage.AnswerFile
		want  Reach
		file  string
		open  []windows.OOBEPage
	}{
		"no answer file":                          {sealed, server, nil, ReachOOBE, "", nil},
		"without oobeSystem":                      {sealed, server, []winimage.AnswerFile{other}, ReachOOBE, "", nil},
		"every page is answered":                  {sealed, client, with(whole), ReachLogon, "a.xml", nil},
		"no page of a client":                     {sealed, client, with(none), ReachOOBE, "a.xml", []windows.OOBEPage{windows.RegionPage, windows.LicencePage, windows.AccountPage, windows.PrivacyPage}},
		"no page of a server":                     {sealed, server, with(none), ReachOOBE, "a.xml", []windows.OOBEPage{windows.RegionPage, windows.LicencePage, windows.AdministratorPage}},
		"of an unknown Windows":                   {sealed, "", with(func(o *winimage.OOBE) { o.Licence, o.Privacy = false, false }), ReachOOBE, "a.xml", []windows.OOBEPage{windows.LicencePage}},
		"no region":                               {sealed, server, with(func(o *winimage.OOBE) { o.Region = false }), ReachOOBE, "a.xml", []windows.OOBEPage{windows.RegionPage}},
		"no licence":                              {sealed, server, with(func(o *winimage.OOBE) { o.Licence = false }), ReachOOBE, "a.xml", []windows.OOBEPage{windows.LicencePage}},
		"no account on a client":                  {sealed, client, with(func(o *winimage.OOBE) { o.Account = false }), ReachOOBE, "a.xml", []windows.OOBEPage{windows.AccountPage}},
		"its page is hidden, which is a server's": {sealed, client, with(func(o *winimage.OOBE) { o.Account, o.NoAdministratorPage = false, true }), ReachOOBE, "a.xml", []windows.OOBEPage{windows.AccountPage}},
		"no password on a server":                 {sealed, "Server Core", with(func(o *winimage.OOBE) { o.Account = false }), ReachOOBE, "a.xml", []windows.OOBEPage{windows.AdministratorPage}},
		"no password, and its page is hidden":     {sealed, server, with(func(o *winimage.OOBE) { o.Account, o.NoAdministratorPage = false, true }), ReachLogon, "a.xml", nil},
		"no privacy on a client":                  {sealed, client, with(func(o *winimage.OOBE) { o.Privacy = false }), ReachOOBE, "a.xml", []windows.OOBEPage{windows.PrivacyPage}},
		"no privacy on a server":                  {sealed, server, with(func(o *winimage.OOBE) { o.Privacy = false }), ReachLogon, "a.xml", nil},
		"OOBE is skipped":                         {sealed, client, with(func(o *winimage.OOBE) { *o = winimage.OOBE{Skipped: true} }), ReachLogon, "a.xml", nil},
		"the first file with the pass counts":     {sealed, server, []winimage.AnswerFile{other, answers("b.xml", whole), answers("c.xml", none)}, ReachLogon, "b.xml", nil},
		"on to audit mode":                        {sealed, server, []winimage.AnswerFile{toAudit}, ReachAudit, "", nil},
		"a file before that one":                  {sealed, server, []winimage.AnswerFile{answers("b.xml", whole), toAudit}, ReachLogon, "b.xml", nil},
		"sealed for audit mode":                   {windows.StateGeneralizeToAudit, server, with(none), ReachAudit, "", nil},
	} {
		w := winimage.Windows{OS: winimage.OS{InstallationType: c.kind}, Setup: winimage.Setup{ImageState: string(c.state)}, AnswerFiles: c.files}
		d := Decide(ReachAuto, false, w)
		if d.Reach != c.want || d.AnswerFile != c.file || len(d.Open) != len(c.open) {
			t.Errorf("%s: %+v", name, d)
			continue
		}
		for i, page := range c.open {
			if d.Open[i] != page {
				t.Errorf("%s: %+v", name, d.Open)
			}
		}
		// What was asked for in so many words stays.
		for _, asked := range []Reach{ReachOOBE, ReachLogon, ReachAudit} {
			if d := Decide(asked, false, w); d.Reach != asked {
				t.Errorf("%s, asked for %s: %+v", name, asked, d)
			}
		}
	}
}

func TestOpenPagesAreSaidBeforeTheBoot(t *testing.T) {
	server := winimage.OS{InstallationType: "Server"}
	open := winimage.Windows{OS: server, AnswerFiles: []winimage.AnswerFile{answers("a.xml", func(o *winimage.OOBE) { o.Licence, o.Account = false, false })}}
	all := winimage.Windows{OS: server, AnswerFiles: []winimage.AnswerFile{answers("a.xml", whole)}}
	none := winimage.Windows{OS: server}
	pages := []string{"the answer file a.xml of the image leaves pages of OOBE to a person (licence terms, password of the Administrator): ",
		"\nnext: ", `OOBE\HideEULAPage = true; UserAccounts\AdministratorPassword, or OOBE\HideLocalAccountScreen = true; `}
	for name, c := range map[string]struct {
		asked   Reach
		asks    bool
		w       winimage.Windows
		reach   Reach
		warning []string // nil: none
		remark  string
	}{
		"auto, open":               {ReachAuto, false, open, ReachOOBE, append(pages, "has to come to OOBE only", `set boot_test.reach = "oobe" if`), ""},
		"auto, all answered":       {ReachAuto, false, all, ReachLogon, nil, ""},
		"auto, no file":            {ReachAuto, false, none, ReachOOBE, nil, "no answer file of the image has the pass oobeSystem"},
		"auto over WinRM, open":    {ReachAuto, true, open, ReachLogon, append(pages, "answers over WinRM", "or remove communicator"), ""},
		"auto over WinRM, no file": {ReachAuto, true, none, ReachLogon, []string{"no answer file of the image", "answers over WinRM", "\nnext: give provisioner"}, ""},
		"logon, open":              {ReachLogon, false, open, ReachLogon, append(pages, `(boot_test.reach = "logon")`, `or set boot_test.reach = "oobe"`), ""},
		"logon, no file":           {ReachLogon, false, none, ReachLogon, []string{"no answer file of the image", "\nnext: give provisioner"}, ""},
		"logon, all answered":      {ReachLogon, false, all, ReachLogon, nil, ""},
		"OOBE, open":               {ReachOOBE, false, open, ReachOOBE, nil, ""},
		"OOBE, no file":            {ReachOOBE, false, none, ReachOOBE, nil, ""},
		"audit, open":              {ReachAudit, false, open, ReachAudit, nil, ""},
	} {
		d := Decide(c.asked, c.asks, c.w)
		warning, remark := d.Warning(), d.Remark()
		if d.Reach != c.reach || (warning != "") != (c.warning != nil) || (remark != "") != (c.remark != "") || !strings.Contains(remark, c.remark) {
			t.Errorf("%s: %s\n%q\n%q", name, d.Reach, warning, remark)
		}
		for _, text := range c.warning {
			if !strings.Contains(warning, text) {
				t.Errorf("%s: %q is not in %q", name, text, warning)
			}
		}
	}
}
