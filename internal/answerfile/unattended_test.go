package answerfile

import "testing"

func TestTheRouteOfAnAnswerFile(t *testing.T) {
	component := func(pass, inner string) string {
		return `<settings pass="` + pass + `"><component name="Microsoft-Windows-Deployment" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">` + inner + `</component></settings>`
	}
	reseal := component("oobeSystem", `<Reseal><Mode>Audit</Mode></Reseal>`)
	for name, c := range map[string]struct {
		passes string
		want   Route
	}{
		"all of it":          {reseal + component("auditUser", `<Generalize><Mode>OOBE</Mode><ForceShutdownNow>true</ForceShutdownNow></Generalize>`), Route{true, "OOBE", true}},
		"a default mode":     {reseal + component("auditUser", `<Generalize><ForceShutdownNow>true</ForceShutdownNow></Generalize>`), Route{true, "OOBE", true}},
		"to audit, restarts": {reseal + component("auditUser", `<Generalize><Mode>audit</Mode></Generalize>`), Route{true, "Audit", false}},
		"another pass":       {component("auditSystem", `<Generalize><Mode>OOBE</Mode></Generalize>`), Route{}},
		"another reseal":     {component("oobeSystem", `<Reseal><Mode>OOBE</Mode></Reseal>`), Route{}},
		"nothing":            {component("specialize", ``), Route{}},
		"run already":        {`<settings pass="oobeSystem" wasPassProcessed="true">` + reseal[len(`<settings pass="oobeSystem">`):], Route{}},
	} {
		f, err := Parse([]byte(`<unattend xmlns="urn:schemas-microsoft-com:unattend">` + c.passes + `</unattend>`))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := f.Route(); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
