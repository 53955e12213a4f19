package evidencefile

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidence"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/secrets"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/version"
)

// writeLimit bounds writing the files.
const writeLimit = time.Minute

// About is what the evidence is about.
type About struct {
	// Disk is the final path of the disk.
	Disk    string
	Digests diskimage.Digests
	// Result is that of its proof.
	Result proof.Result
	// Packer is its version.
	Packer    string
	Materials []evidence.Material
	// Hide takes the secrets that are known out of a text.
	Hide func(string) string
}

// Make makes the documents, which Write writes; prefix is what their names begin with.
// None is made for an image that is not proven.
func (c *Config) Make(prefix string, a About) ([]evidence.Document, error) {
	if !c.Wanted() {
		return nil, nil
	}
	hide := func(s string) string { return secrets.Scrub(a.Hide(s)) }
	statement, err := evidence.Statement(
		evidence.Image{Name: filepath.Base(a.Disk), File: a.Digests.File, Content: a.Digests.Content},
		evidence.Proof{
			Findings: a.Result.Findings, Facts: a.Result.Facts, Materials: a.Materials, Hide: hide,
			Plugin: version.PluginVersion.String(), Packer: a.Packer,
		})
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	documents, err := evidence.Documents(prefix, statement, c.key)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	return documents, nil
}

// Write writes the documents and returns their paths. The disk is good without them, and
// they can be made later, so that one that cannot be written is said and is no error;
// none is left then.
func (c *Config) Write(ctx context.Context, ui packersdk.Ui, prefix string, documents []evidence.Document, inputs ...string) (paths []string) {
	if !c.Wanted() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	if err := evidence.Write(ctx, prefix, documents, append(inputs[:len(inputs):len(inputs)], c.Inputs()...)...); err != nil {
		ui.Errorf("The image is whole and proven, but its evidence could not be written: %s; make it with: packer-plugin-sysprep inspect %s", err, c.command(prefix))
		return nil
	}
	for _, d := range documents {
		paths = append(paths, d.Path)
		ui.Sayf("Evidence: %s", d.Path)
	}
	return paths
}

// command is the command line that makes the same evidence of the disk.
func (c *Config) command(prefix string) string {
	if c.Key != "" {
		return "DISK --evidence-key " + c.Key
	}
	return "DISK --evidence " + prefix
}

// Sources hashes the files that the image is made from, and names each as it is called.
func Sources(ctx context.Context, files ...string) (list []evidence.Material, err error) {
	for _, file := range files {
		sum, err := diskimage.FileDigest(ctx, file)
		if err != nil {
			return nil, fmt.Errorf("evidence: %w", err)
		}
		list = append(list, evidence.Material{Role: evidence.RoleSource, Name: filepath.Base(file), SHA256: sum})
	}
	return list, nil
}

// Hashing is a wait during which files are hashed, which says once a minute that it goes on.
func Hashing(say func(string), do func() error) error {
	return heartbeat.New(heartbeat.Real(time.Now, nil), say).During(heartbeat.Facts{Doing: "hashing the disk for its evidence"}, do)
}
