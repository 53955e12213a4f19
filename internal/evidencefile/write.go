package evidencefile

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
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
	// SBOM is the bill of materials, of Bill; nil: there is none.
	SBOM []byte
	// Hide takes the secrets that are known out of a text.
	Hide func(string) string
}

// Make makes the documents, which Write writes: the evidence, where the block asks for
// it, and the bill of materials. prefix is what their names begin with. None is made for
// an image that is not proven.
func (c *Config) Make(prefix string, a About) (documents []evidence.Document, err error) {
	if a.SBOM != nil {
		if !a.Result.Proven() {
			return nil, fmt.Errorf("sbom: %w", evidence.ErrNotProven)
		}
		documents = append(documents, evidence.Document{Path: prefix + evidence.SBOMSuffix, Content: a.SBOM})
	}
	if !c.Wanted() {
		return documents, nil
	}
	hide := func(s string) string { return secrets.Scrub(a.Hide(s)) }
	p := evidence.Proof{
		Findings: a.Result.Findings, Facts: a.Result.Facts, Materials: a.Materials, Hide: hide,
		Plugin: version.PluginVersion.String(), Packer: a.Packer,
	}
	for _, d := range documents {
		p.SBOM = evidence.Material{Name: filepath.Base(d.Path), SHA256: fmt.Sprintf("%x", sha256.Sum256(d.Content))}
	}
	statement, err := evidence.Statement(evidence.Image{Name: filepath.Base(a.Disk), File: a.Digests.File, Content: a.Digests.Content}, p)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	stated, err := evidence.Documents(prefix, statement, c.key)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	return append(stated, documents...), nil
}

// Write writes the documents and returns their paths. The disk is good without them, and
// they can be made later, so that one that cannot be written is said and is no error;
// none is left then.
func (c *Config) Write(ctx context.Context, ui packersdk.Ui, prefix string, documents []evidence.Document, inputs ...string) (paths []string) {
	if len(documents) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	if err := evidence.Write(ctx, prefix, documents, append(inputs[:len(inputs):len(inputs)], c.Inputs()...)...); err != nil {
		what, with := c.remade(prefix, documents)
		ui.Errorf("The image is whole and proven, but its %s could not be written: %s; make it with: %s", what, err, with)
		return nil
	}
	for _, d := range documents {
		paths = append(paths, d.Path)
		what := "Evidence"
		if d.IsSBOM() {
			what = "Bill of materials"
		}
		ui.Sayf("%s: %s", what, d.Path)
	}
	return paths
}

// Named tells of the paths of Write which is that of the statement or, where it is signed,
// of its envelope, and which of the bill of materials; "" where there is none.
func Named(paths []string) (statement, bill string) {
	for _, path := range paths {
		switch {
		case (evidence.Document{Path: path}).IsSBOM():
			bill = path
		case statement == "":
			statement = path
		}
	}
	return statement, bill
}

// remade says what documents are, and which commands make them of the disk.
func (c *Config) remade(prefix string, documents []evidence.Document) (what, with string) {
	var names, commands []string
	if c.Wanted() {
		names, commands = append(names, "evidence"), append(commands, "packer-plugin-sysprep inspect "+c.command(prefix))
	}
	if slices.ContainsFunc(documents, evidence.Document.IsSBOM) {
		names, commands = append(names, "bill of materials"), append(commands, "packer-plugin-sysprep sbom DISK -o "+prefix+evidence.SBOMSuffix)
	}
	return strings.Join(names, " or its "), strings.Join(commands, ", and: ")
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
