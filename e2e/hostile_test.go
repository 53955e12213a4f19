//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign/foreigntest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// oneWord is Hostile as a name in a log of sysprep.
var oneWord = strings.NewReplacer(" ", "_", "\r", "", "\x00", "", "Pq\x9b", "Pq").Replace(foreigntest.Hostile)

// expectHarmless looks at everything that Packer wrote, to the screen and with
// PACKER_LOG=1.
func (p *packerRun) expectHarmless() {
	p.t.Helper()
	log, err := os.ReadFile(filepath.Join(p.dir, "packer.log"))
	if err != nil {
		p.t.Error(err)
	}
	for what, text := range map[string]string{"output": p.output(), "log": string(bytes.ReplaceAll(log, []byte("\t"), []byte(" ")))} {
		for line := range strings.Lines(text) {
			if harm := foreigntest.Harm(line); harm != "" {
				p.t.Errorf("Packer's %s shows %s\n%q", what, harm, line)
			}
		}
	}
}

func TestAGuestCannotSpeakToPackersOutput(t *testing.T) {
	t.Parallel()
	guest := inProcess(t, winsim.Scenario{Outcome: winsim.Refused, Class: "F01", Packages: []string{oneWord}}, winsim.ServerOptions{}, nil)
	p := startPacker(t, nullBuild(guest.Port, "", sysprepBlock()), nil)
	p.expect(1, "F01", `\u202eevil\u2066`)
	p.expectHarmless()
}

func TestAnImageCannotSpeakToPackersOutput(t *testing.T) {
	t.Parallel()
	disk := winimagetest.Disk(t, winimagetest.Spec{Files: map[string]string{
		winimagetest.Log:    strings.ReplaceAll(winimagetest.RefusedLog, "Contoso.Notes", "Contoso"+oneWord),
		winimagetest.Cached: strings.Replace(winimagetest.AnswerFile, "oobeSystem", foreigntest.HostileXML, 1),
	}})
	p := startPacker(t, fmt.Sprintf(`
source "null" "x" { communicator = "none" }
build {
  sources = ["source.null.x"]
  post-processors {
    post-processor "artifice" { files = [%q] }
    post-processor "sysprep-image" { format = "raw" }
  }
}
`, disk), nil)
	p.expect(1, "is not proven to be generalized", `\u202eevil\u2066`)
	p.expectHarmless()
}

func TestADownloadTellsPackersOutputNoCredentials(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("sig") == "TopSecret" {
			_, _ = w.Write([]byte("not the disk"))
		}
	}))
	defer server.Close()
	p := startPacker(t, fmt.Sprintf(`
source "sysprep-vhd" "windows" {
  source_url       = "%s/guest.vhd?sv=1&sig=TopSecret"
  source_checksum  = "sha256:%064d"
  output_directory = "output"
  winrm_username   = "packer"
  winrm_password   = %q
}
build { sources = ["source.sysprep-vhd.windows"] }
`, strings.Replace(server.URL, "http://", "HTTP://packer:TopSecret@", 1), 0, guestPassword), nil)
	p.expect(1, "Trying HTTP://***@", "Checksums did not match")
	p.expectHarmless()
}
