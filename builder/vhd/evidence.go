package vhd

import (
	"context"
	"net/url"
	"path"
	"path/filepath"
	"strings"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidence"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidencefile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
)

// evidenceState is the name under which State gives the path of the statement or, where
// it is signed, of its envelope; "" where there is none.
const evidenceState = "sysprep_evidence"

// sbomState is the name under which State gives the path of the bill of materials; ""
// where there is none.
const sbomState = "sysprep_sbom"

// sources begins to hash what the machine was made from, while its disk is converted:
// both read much of the same files. The function that it returns waits for the end; it
// is to be called.
func (r *run) sources(ctx context.Context) func() ([]evidence.Material, error) {
	if !r.config.Evidence.Wanted() || !r.makes() {
		return func() ([]evidence.Material, error) { return nil, nil }
	}
	var list []evidence.Material
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		list, err = evidencefile.Sources(ctx, r.source.Files...)
	}()
	return func() ([]evidence.Material, error) {
		<-done
		if len(list) > 0 && r.config.SourceURL != "" {
			list[0].Name = nameOfURL(r.config.SourceURL, list[0].Name) // not that in Packer's cache
		}
		return list, err
	}
}

// nameOfURL is the last element of an address, without what may be secret in it.
func nameOfURL(address, otherwise string) string {
	if local := localFile(address); local != "" {
		return filepath.Base(local)
	}
	u, err := url.Parse(address)
	if err != nil || strings.Trim(u.Path, "/.") == "" {
		return otherwise
	}
	return path.Base(u.Path)
}

// bill is the bill of materials of the converted disk, which is proven and has no name yet;
// nil where none is asked for.
func (r *run) bill(ctx context.Context, ui packersdk.Ui, disk string) ([]byte, error) {
	if !r.config.SBOM {
		return nil, nil
	}
	return evidencefile.Bill(ctx, ui, r.config.Verify.Windows, func(ctx context.Context) (diskimage.Disk, error) { return r.open(ctx, disk) })
}

// evidence makes what is written beside the converted disk, which has no name yet: its
// evidence and its bill of materials.
func (r *run) evidence(result proof.Result, sources func() ([]evidence.Material, error), bill []byte) ([]evidence.Document, error) {
	c := r.config
	materials, err := sources()
	if err != nil {
		return nil, err
	}
	if r.ran != nil && r.ran.AnswerFileSHA256 != "" {
		materials = append(materials, evidence.Material{Role: evidence.RoleAnswerFile, Name: "unattend.xml", SHA256: r.ran.AnswerFileSHA256})
	}
	return c.Evidence.Make(c.outputPath(), evidencefile.About{
		Disk: c.outputPath(), Digests: r.output.digests, Result: result, Packer: c.PackerCoreVersion, Materials: materials, SBOM: bill, Hide: r.hide,
	})
}

// writeEvidence writes it beside the disk, which has its name.
func (r *run) writeEvidence(ctx context.Context, ui packersdk.Ui, documents []evidence.Document) {
	r.output.evidence = r.config.Evidence.Write(ctx, ui, r.config.outputPath(), documents, r.inputs()...)
}
