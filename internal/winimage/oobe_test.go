package winimage

import (
	"reflect"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/answerfile"
)

func TestWhichPagesAnAnswerFileAnswers(t *testing.T) {
	const region = `<component name="Microsoft-Windows-International-Core"><UILanguage>en-US</UILanguage></component>`
	shell := func(inside string) string {
		return `<component name="Microsoft-Windows-Shell-Setup">` + inside + `</component>`
	}
	pass := func(attributes, inside string) string {
		return `<settings pass="` + attributes + `">` + inside + `</settings>`
	}
	for name, c := range map[string]struct {
		passes string
		want   *OOBE
	}{
		"another pass":        {pass(`specialize`, region+shell("")), nil},
		"a pass that has run": {pass(`oobeSystem" wasPassProcessed="TRUE`, region), nil},
		"one that has not":    {pass(`oobeSystem" wasPassProcessed="false`, region), &OOBE{Region: true}},
		"an empty one":        {pass(`oobeSystem`, ""), &OOBE{}},
		"nothing on OOBE":     {pass(`oobeSystem`, shell(`<TimeZone>UTC</TimeZone>`)), &OOBE{}},
		"all hidden": {pass(`oobeSystem`, region+shell(`<OOBE><HideEULAPage>true</HideEULAPage><HideLocalAccountScreen> True </HideLocalAccountScreen><ProtectYourPC>3</ProtectYourPC></OOBE>`)),
			&OOBE{Region: true, Licence: true, NoAdministratorPage: true, Privacy: true}},
		"shown after all":    {pass(`oobeSystem`, shell(`<OOBE><HideEULAPage>false</HideEULAPage><HideLocalAccountScreen/><ProtectYourPC></ProtectYourPC></OOBE>`)), &OOBE{}},
		"as a number":        {pass(`oobeSystem`, shell(`<OOBE><HideEULAPage>1</HideEULAPage><SkipMachineOOBE>1</SkipMachineOOBE></OOBE>`)), &OOBE{Licence: true, Skipped: true}},
		"the Administrator":  {pass(`oobeSystem`, shell(`<UserAccounts><AdministratorPassword><Value>x</Value></AdministratorPassword></UserAccounts>`)), &OOBE{Account: true}},
		"an account":         {pass(`oobeSystem`, shell(`<UserAccounts><LocalAccounts/></UserAccounts>`)), &OOBE{Account: true}},
		"of a domain":        {pass(`oobeSystem`, shell(`<UserAccounts><DomainAccounts/></UserAccounts>`)), &OOBE{Account: true}},
		"an account of none": {pass(`oobeSystem`, shell(`<UserAccounts/>`)), &OOBE{}},
		"AutoLogon":          {pass(`oobeSystem`, shell(`<AutoLogon/>`)), &OOBE{Account: true}},
		"two passes":         {pass(`oobeSystem`, region) + pass(`oobeSystem`, shell(`<AutoLogon/>`)), &OOBE{Region: true, Account: true}},
	} {
		f, err := answerfile.Parse([]byte(`<unattend xmlns="urn:schemas-microsoft-com:unattend">` + c.passes + `</unattend>`))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := readOOBE(f); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
