package image

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/packer/registry/image"
	"github.com/hashicorp/packer-plugin-sdk/rpc"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign/foreigntest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// hostileDisk has a log of a refused run, an answer file and, where the host
// allows it, a name that hurt whoever reads them.
func hostileDisk(t *testing.T, generalized bool) string {
	spec := winimagetest.Spec{Generalized: generalized, Files: map[string]string{
		winimagetest.Cached: strings.Replace(winimagetest.AnswerFile, "oobeSystem", foreigntest.HostileXML, 1),
	}}
	if !generalized {
		spec.Files[winimagetest.Log] = strings.ReplaceAll(winimagetest.RefusedLog, "Contoso.Notes", "Contoso"+strings.NewReplacer(" ", "_", "\r", "", "Pq\x9b", "Pq").Replace(foreigntest.Hostile))
	}
	plain := winimagetest.Disk(t, spec)
	named := filepath.Join(filepath.Dir(plain), "\u202e::error::\u200b.raw")
	if err := os.Rename(plain, named); err != nil {
		t.Fatal(err)
	}
	return named
}

// What an image says reaches a user through Packer's own plugin connection, Ui
// and error, and others through report and metadata.
func TestAnImageCannotSpeakToTheTerminal(t *testing.T) {
	for name, generalized := range map[string]bool{"good": true, "bad": false} {
		t.Run(name, func(t *testing.T) {
			files := []string{hostileDisk(t, generalized)}
			t.Chdir(t.TempDir())
			client := foreigntest.Plugin(t, func(s *rpc.PluginServer) error { return s.RegisterPostProcessor(new(PostProcessor)) })
			p := client.PostProcessor()
			if err := p.Configure(map[string]any{"format": "raw", "packer_build_name": "b"}); err != nil {
				t.Fatal(err)
			}
			screen := foreigntest.NewScreen()
			made, _, _, err := p.PostProcess(t.Context(), screen, &input{files: files, MockArtifact: packersdk.MockArtifact{IdValue: "https://u:TopSecret@host/x?sig=TopSecret"}})
			if (err == nil) != generalized {
				t.Fatalf("got %v\n%s", err, screen)
			}
			texts := map[string]string{"screen": screen.String()}
			if err != nil {
				texts["error"] = err.Error()
				if !strings.Contains(err.Error()+screen.String(), `\u202eevil\u2066`) {
					t.Errorf("the log is not told: %v\n%s", err, screen)
				}
			}
			reports, _ := filepath.Glob("output-b-image/*.json")
			for _, path := range reports {
				content, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				texts["report"] = string(bytes.ReplaceAll(content, []byte("  "), nil))
			}
			if len(reports) != 1 {
				t.Errorf("reports: %q", reports)
			}
			for what, text := range texts {
				if harm := foreigntest.Harm(text); harm != "" || text == "" {
					t.Errorf("the %s shows %s\n%q", what, harm, text)
				}
			}
			if made != nil && strings.Contains(made.Id(), "TopSecret") {
				t.Errorf("the artifact is %s", made.Id())
			}
		})
	}
}

func TestMetadataHasNoCredentials(t *testing.T) {
	b := newBench(t, winimagetest.Spec{Generalized: true}, map[string]any{"format": "raw"})
	b.input.IdValue = "https://u:TopSecret@host/x?sig=TopSecret"
	made, _, _, err := b.run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	metadata, _ := made.State(image.ArtifactStateURI).(*image.Image)
	if metadata == nil || !strings.HasPrefix(metadata.SourceImageID, "https://***@host/x") {
		t.Errorf("metadata %+v", metadata)
	}
}
