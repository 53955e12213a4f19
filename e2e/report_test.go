//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report/schematest"
)

// reportBlock asks for all reports of a component, below the folder that Packer runs in.
func reportBlock(component string) string {
	return fmt.Sprintf(`report {
    json  = "reports/%[1]s.json"
    html  = "reports/%[1]s.html"
    junit = "reports/%[1]s.xml"
  }`, component)
}

// reported reads the report of a component, which is valid, with its page. None of its
// forms holds a secret.
func (p *packerRun) reported(component string, secrets ...string) (run report.Run, page string) {
	p.t.Helper()
	for _, form := range []string{"json", "html", "xml"} {
		content, err := os.ReadFile(filepath.Join(p.dir, "reports", component+"."+form))
		if err != nil {
			p.t.Fatal(err)
		}
		for _, secret := range append(secrets, guestPassword) {
			if strings.Contains(string(content), secret) {
				p.t.Errorf("%s.%s holds %s", component, form, secret)
			}
		}
		switch form {
		case "json":
			schematest.Valid(p.t, content)
			document := struct{ Run *report.Run }{&run}
			if err := json.Unmarshal(content, &document); err != nil {
				p.t.Fatal(err)
			}
		case "html":
			page = string(content)
		}
	}
	return run, page
}

// wantReports holds the reports of a good build against what it made.
func wantReports(t *testing.T, p *packerRun, file string) {
	t.Helper()
	built, _ := p.reported("builder", answerFileSecret)
	ran, _ := p.reported("provisioner", answerFileSecret)
	if built.Packer.RunID == "" || built.Packer.RunID != ran.Packer.RunID || built.Packer.Version == "" || ran.Packer.BuilderType != "sysprep-vhd" || built.Packer.BuildName != "windows" {
		t.Errorf("%+v, %+v", built.Packer, ran.Packer)
	}
	if o := built.Outcome; !o.Good || o.Class != "proven" {
		t.Errorf("builder: %+v", o)
	}
	if o := ran.Outcome; !o.Good || o.Class != "generalized" && o.Class != "lost" {
		t.Errorf("provisioner: %+v", o)
	}
	if o := built.Output; o == nil || o.SHA256 != sum(t, file) {
		t.Errorf("output %+v, the file has %s", o, sum(t, file))
	}
	took := map[string]int64{}
	for _, phase := range built.Phases {
		if phase.EndMS != nil {
			took[phase.Name] = *phase.EndMS - phase.BeginMS
		}
	}
	if took["provision"] < ran.TookMS {
		t.Errorf("the provisioner ran for %d ms of %v", ran.TookMS, took)
	}
}
